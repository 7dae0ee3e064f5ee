"""A hostile peer: one connection to the daemon under attack, brought to a state in order, and then not.

Transports and states, in the order in which they are passed:

    starttls     start clear secured tls restart sasl bound resumed
    direct       start tls restart sasl bound resumed
    websocket    start tls restart sasl bound resumed
    s2s          start clear secured tls restart peer
    s2s_direct   start tls restart peer

start: connected, and nothing said (inside TLS, but for STARTTLS; inside a WebSocket). clear: features came in clear.
secured: STARTTLS is done, and no stream is open. tls: features came under TLS. restart: SASL has succeeded, and no stream
is open. sasl: features came behind that. bound: a resource is bound. resumed: a session is resumed on this connection
(XEP-0198). peer: the server of the domain `peer.test` has proven itself by its certificate (XEP-0178).
"""

import asyncio
import base64
import os
import re
import socket

from harness import PASSWORD, PATIENCE

STATES = {
    "starttls": ("start", "clear", "secured", "tls", "restart", "sasl", "bound", "resumed"),
    "direct": ("start", "tls", "restart", "sasl", "bound", "resumed"),
    "websocket": ("start", "tls", "restart", "sasl", "bound", "resumed"),
    "s2s": ("start", "clear", "secured", "tls", "restart", "peer"),
    "s2s_direct": ("start", "tls", "restart", "peer"),
}
CLIENTS = ("starttls", "direct", "websocket")
SERVERS = ("s2s", "s2s_direct")
EVERY = CLIENTS + SERVERS
# In these no stream is open: a stream header is what comes next.
UNOPENED = ("start", "secured", "restart")
PEER = "peer.test"
# Seconds for which a connection may outlast its stream.
LINGERS = 5

CLIENT, SERVER = "jabber:client", "jabber:server"
STREAMS = "http://etherx.jabber.org/streams"
FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SM = "urn:xmpp:sm:3"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"

_ERROR = re.compile(rb"<stream:error(?: [^>]*)?><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'\s*/?>")
# A stanza that does not name its namespace.
STANZA = re.compile(rb"^<(message|presence|iq)(?=[ />])(?![^>]* xmlns=)")


class Wire(asyncio.Protocol):
    """What has come, and whether the connection still is."""

    def __init__(self):
        self.got = bytearray()
        self.ended = False
        self.changed = asyncio.Event()

    def data_received(self, data):
        self.got += data
        self.changed.set()

    def eof_received(self):
        self.ended = True
        self.changed.set()

    def connection_lost(self, error):
        self.ended = True
        self.changed.set()


class Unexpected(AssertionError):
    pass


class Peer:
    """`world` gives ports, TLS contexts, and accounts. All waits are bounded; what comes otherwise is Unexpected."""

    def __init__(self, world, transport, user=None):
        self.world, self.transport = world, transport
        self.client = transport in CLIENTS
        self.user = user or world.next_user()
        self.wire = self.connection = None
        self.jid = None
        self.state = None
        self.said = bytearray()  # messages of a WebSocket, taken out of their frames
        self.parted = False      # its Close frame has come
        self.session = None      # what a resumption names
        self.handled = 0
        self.header_sent = 0

    # Bytes

    async def connect(self, source=None, receive_buffer=None):
        """`source`: the address to come from; `receive_buffer`: what the system keeps of what is not read, in bytes."""
        loop = asyncio.get_running_loop()
        port = self.world.port_of(self.transport)
        context = None if self.transport in ("starttls", "s2s") else self.world.context(self.transport)
        names = {"server_hostname": self.world.domain, "ssl_handshake_timeout": PATIENCE} if context else {}
        plain = socket.socket()
        try:
            plain.setblocking(False)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if source:
                plain.bind((source, 0))
            await loop.sock_connect(plain, (self.world.address, port))
            self.connection, self.wire = await loop.create_connection(Wire, sock=plain, ssl=context, **names)
        except BaseException:
            plain.close()
            raise
        if self.transport == "websocket":
            key = base64.b64encode(os.urandom(16)).decode()
            self.write(f"GET /xmpp-websocket HTTP/1.1\r\nHost: {self.world.domain}\r\nUpgrade: websocket\r\n"
                       f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Protocol: xmpp\r\n\r\n")
            head = await self.until(b"\r\n\r\n", raw=True)
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise Unexpected(f"no WebSocket: {head}")

    def write(self, data):
        """As it is, whatever the transport."""
        self.connection.write(data.encode() if isinstance(data, str) else bytes(data))

    def encoded(self, text):
        """The bytes by which the transport carries one element: on a WebSocket a frame, in which a stanza has to name
        its namespace itself (RFC 7395 §3.3.3)."""
        data = text.encode() if isinstance(text, str) else bytes(text)
        if self.transport != "websocket":
            return data
        return frame(STANZA.sub(rb"<\1 xmlns='jabber:client'", data, count=1))

    def send(self, text):
        self.write(self.encoded(text))

    async def changed(self, deadline):
        self.wire.changed.clear()
        remaining = deadline - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise Unexpected(f"nothing within the time; had {bytes(self.text()[-400:])}")
        try:
            await asyncio.wait_for(self.wire.changed.wait(), remaining)
        except asyncio.TimeoutError:
            raise Unexpected(f"nothing within the time; had {bytes(self.text()[-400:])}") from None

    def text(self):
        """All XML that has come and is not taken yet."""
        if self.transport != "websocket":
            return self.wire.got
        while True:
            whole = parse_frame(self.wire.got)
            if whole is None:
                return self.said
            opcode, payload, size = whole
            del self.wire.got[:size]
            if opcode == 1:
                self.said += payload
            elif opcode == 8 and not self.parted:
                self.parted = True
                self.close_code = int.from_bytes(payload[:2], "big")
                self.write(frame(payload[:2], opcode=8))

    async def until(self, mark, raw=False):
        """Takes what came up to and with `mark`."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            text = self.wire.got if raw else self.text()
            at = text.find(mark)
            if at >= 0:
                taken = bytes(text[:at + len(mark)])
                del text[:at + len(mark)]
                return taken
            if self.wire.ended:
                raise Unexpected(f"ended before {mark}: {bytes(text[-400:])}")
            await self.changed(deadline)

    async def rest(self, timeout=PATIENCE):
        """All that comes until the server has ended the connection, which follows the stream's end in time, though this
        peer does nothing for it (RFC 6120 §4.4)."""
        loop = asyncio.get_running_loop()
        deadline, closed = loop.time() + timeout, None
        while not self.wire.ended:
            if closed is None and self.text().endswith((b"</stream:stream>", b"urn:ietf:params:xml:ns:xmpp-framing'/>")):
                closed = loop.time()
            await self.changed(deadline)
        if closed is not None and loop.time() - closed > LINGERS:
            raise Unexpected(f"the connection ended {loop.time() - closed} s behind its stream")
        return bytes(self.text())

    def close(self):
        if self.connection is not None:
            self.connection.abort()

    # What a peer does in order

    def header(self, **attributes):
        values = {"to": self.world.domain, "version": "1.0"}
        if not self.client:
            values["from"] = PEER
        values.update(attributes)
        if self.transport == "websocket":
            values = {"xmlns": FRAMING, **values}
            end = "/>"
            name = "open"
        else:
            values = {"xmlns": CLIENT if self.client else SERVER, "xmlns:stream": STREAMS,
                      **({} if self.client else {"xmlns:db": "jabber:server:dialback"}), **values}
            end = ">"
            name = "stream:stream"
        written = " ".join(f"{key}='{value}'" for key, value in values.items() if value is not None)
        return f"<{name} {written}{end}"

    async def open(self, **attributes):
        self.send(self.header(**attributes))
        return await self.until(b"</stream:features>")

    async def start_tls(self):
        self.write(f"<starttls xmlns='{TLS}'/>")
        await self.until(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.upgrade()

    async def upgrade(self):
        self.connection = await asyncio.get_running_loop().start_tls(
            self.connection, self.wire, self.world.context(self.transport), server_hostname=self.world.domain,
            ssl_handshake_timeout=PATIENCE)

    def credentials(self):
        """The <auth/> that proves this peer."""
        if not self.client:
            return f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>"
        secret = base64.b64encode(f"\0{self.user}\0{PASSWORD}".encode()).decode()
        return f"<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>"

    async def authenticate(self):
        self.send(self.credentials())
        await self.until(b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")

    async def bind(self):
        self.send(f"<iq type='set' id='bind'><bind xmlns='{BIND}'/></iq>")
        bound = await self.until(b"</iq>")
        self.jid = re.search(rb"<jid>([^<]+)</jid>", bound)[1].decode()

    async def enable(self):
        self.send(f"<enable xmlns='{SM}' resume='true'/>")
        enabled = await self.until(b"/>")
        while b"<enabled" not in enabled:
            enabled = await self.until(b"/>")
        self.session = re.search(rb" id='([^']+)'", enabled)[1].decode()

    async def reach(self, state, source=None, **options):
        """From nothing to `state`, one of STATES for the transport."""
        if state == "resumed":
            before = Peer(self.world, self.transport, self.user)
            await before.reach("bound")
            await before.enable()
            # Its acknowledged count stays as it is: nothing was sent.
            before.close()
            self.jid, self.session = before.jid, before.session
        await self.connect(source, **options)
        for step in STATES[self.transport]:
            if step == "clear":
                await self.open()
            elif step == "secured":
                await self.start_tls()
            elif step == "tls":
                await self.open()
            elif step == "restart":
                await self.authenticate()
            elif step in ("sasl", "peer"):
                await self.open()
            elif step == "bound" and state != "resumed":
                await self.bind()
            elif step == "resumed":
                self.send(f"<resume xmlns='{SM}' previd='{self.session}' h='0'/>")
                await self.until(b"<resumed ")
                await self.until(b"/>")
            if step == state:
                break
        else:
            raise ValueError(f"{self.transport} has no state {state}")
        self.state = state
        return self

    async def ping(self, identifier="alive"):
        """The session still answers; what came before its answer."""
        self.send(f"<iq type='get' id='{identifier}' to='{self.world.domain}'><ping xmlns='urn:xmpp:ping'/></iq>")
        before = await self.until(f"id='{identifier}'".encode())
        before, _, head = before.rpartition(b"<iq ")
        if b"type='result'" not in head + await self.until(b">"):
            raise Unexpected(f"the ping was not answered: {head}")
        return before


def frame(payload=b"", opcode=1, fin=True):
    payload = payload.encode() if isinstance(payload, str) else bytes(payload)
    size = len(payload)
    octets = 0 if size < 126 else 2 if size < 65536 else 8
    head = bytes([fin << 7 | opcode, 128 | (size if octets == 0 else 126 if octets == 2 else 127)])
    # A key of zeros masks as well as any for a server, which may not care.
    return head + (size.to_bytes(octets, "big") if octets else b"") + bytes(4) + payload


def parse_frame(data):
    """(opcode, payload, size) of the first frame, None until it is whole."""
    if len(data) < 2:
        return None
    size, start = data[1] & 127, 2
    if size > 125:
        start = 4 if size == 126 else 10
        if len(data) < start:
            return None
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    return data[0] & 15, bytes(data[start:start + size]), start + size


def stream_error_in(said):
    """The condition of the stream error in what a server said up to its end, None without one."""
    found = _ERROR.search(said)
    return found[1].decode() if found else None
