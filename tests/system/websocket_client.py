"""A WebSocket client of its own (RFC 6455), by the standard library alone, for XMPP by RFC 7395: right frames and wrong
ones, blocking, every wait bounded."""

import base64
import collections
import hashlib
import os
import re
import socket
import xml.etree.ElementTree as ElementTree

from harness import PASSWORD, PATIENCE, authority

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STREAM_END = f"<close xmlns='{FRAMING}'/>"

Frame = collections.namedtuple("Frame", "opcode fin masked reserved payload")


def frame(payload=b"", opcode=TEXT, fin=True, mask=True, reserved=0, announced=None):
    payload = payload.encode() if isinstance(payload, str) else payload
    size = len(payload) if announced is None else announced
    octets = 0 if size < 126 else 2 if size < 65536 else 8
    head = bytes([fin << 7 | reserved << 4 | opcode, mask << 7 | (size if octets == 0 else 126 if octets == 2 else 127)])
    key = os.urandom(4) if mask else bytes(4)
    return (head + (size.to_bytes(octets, "big") if octets else b"") + (key if mask else b"")
            + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)))


def opening(to="comity.test", **attributes):
    more = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return f"<open xmlns='{FRAMING}' to='{to}' version='1.0'{more}/>"


class WebSocket:
    """One connection whose opening handshake is done; `server` has a port for it (Server(web=True))."""

    def __init__(self, server, headers=None, port=None, tls=True, alpn=("http/1.1",)):
        self.server = server
        self.got = b""
        plain = socket.create_connection(("127.0.0.1", port or server.web_port), PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = authority().context()
        if alpn:
            context.set_alpn_protocols(list(alpn))
        self.connection = context.wrap_socket(plain, server_hostname=server.domain) if tls else plain
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": server.domain, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key,
                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": "xmpp"} | (headers or {})
        self.connection.sendall(("GET /xmpp-websocket HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n").encode())
        while b"\r\n\r\n" not in self.got:
            self._more()
        head, self.got = self.got.split(b"\r\n\r\n", 1)
        self.head = head.decode()
        accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
        if not self.head.startswith("HTTP/1.1 101 ") or f": {accept}" not in self.head:
            raise AssertionError(f"no WebSocket: {self.head}")
        if not re.search(r"(?im)^sec-websocket-protocol: *xmpp\r?$", self.head):
            raise AssertionError(f"not the subprotocol: {self.head}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def _more(self):
        more = self.connection.recv(65536)
        if not more:
            raise EOFError(self.got)
        self.got += more

    def send_bytes(self, data):
        self.connection.sendall(data)

    def send(self, element):
        self.send_bytes(frame(element))

    def receive_frame(self):
        def need(count):
            while len(self.got) < count:
                self._more()
        need(2)
        size, start = self.got[1] & 127, 2
        if size > 125:
            start = 4 if size == 126 else 10
            need(start)
            size = int.from_bytes(self.got[2:start], "big")
        need(start + size)
        first, second = self.got[0], self.got[1]
        payload, self.got = self.got[start:start + size], self.got[start + size:]
        found = Frame(first & 15, bool(first & 128), bool(second & 128), first >> 4 & 7, payload)
        if not found.fin or found.masked or found.reserved:
            raise AssertionError(f"not a frame of our server: {found}")
        return found

    def receive(self):
        """The next message, parsed: each stands alone (RFC 7395 §3.3.3)."""
        found = self.receive_frame()
        if found.opcode != TEXT or not found.payload.startswith(b"<"):
            raise AssertionError(f"no message: {found}")
        return ElementTree.fromstring(found.payload.decode())

    def receive_all(self):
        """Every message up to the Close frame, and its code."""
        texts = []
        while True:
            found = self.receive_frame()
            if found.opcode == CLOSE:
                return texts, int.from_bytes(found.payload[:2], "big")
            if found.opcode == TEXT:
                texts.append(found.payload.decode())

    def ended(self):
        """The transport has ended, and nothing more was said."""
        try:
            self._more()
        except EOFError:
            return True
        return False

    # What a client does

    def open_stream(self, **attributes):
        self.send(opening(self.server.domain, **attributes))
        header = self.receive()
        if header.tag != f"{{{FRAMING}}}open":
            raise AssertionError(ElementTree.tostring(header))
        return header, self.receive()

    def log_in(self, user, resource="web"):
        self.open_stream()
        secret = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>")
        if self.receive().tag != f"{{{SASL}}}success":
            raise AssertionError("refused")
        self.open_stream()
        self.send("<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                  f"<resource>{resource}</resource></bind></iq>")
        return self.receive().findtext(".//{urn:ietf:params:xml:ns:xmpp-bind}jid")

    def close(self):
        """In order, on both layers."""
        self.send(STREAM_END)
        texts, code = self.receive_all()
        self.send_bytes(frame(code.to_bytes(2, "big"), CLOSE))
        if texts[-1:] != [STREAM_END] or code != 1000 or not self.ended():
            raise AssertionError((texts, code))
