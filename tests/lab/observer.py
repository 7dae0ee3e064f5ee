"""Sees what a host dials: every TCP connection that it opens, in order, with what the first bytes show.

It reads copies of the packets on the host's link, so it takes nobody's word. For each connection: the address and port,
how it went (refused; silent, when nobody answered; opened), and, from what the host sent, whether TLS came at once or
after a plain stream's <starttls/>, and the server name and ALPN protocols of its ClientHello.
"""

import socket
import struct

ETH_P_ALL = 0x0003
SO_RCVBUFFORCE = 33
FIN, SYN, RST, ACK = 1, 2, 4, 16
ENOUGH = 16384


class Attempt:
    """One connection that the host opened."""

    def __init__(self, time, address, port, sequence):
        self.time, self.address, self.port = time, address, port
        self.state = "silent"  # then refused, or opened
        self.first = (sequence + 1) & 0xFFFFFFFF
        self.parts = {}

    def sent(self):
        """The first bytes that the host sent, as far as they are here without a gap."""
        data = b""
        while len(data) in self.parts and len(data) < ENOUGH:
            data += self.parts[len(data)]
        return data

    def describe(self):
        """The method, server name and ALPN: ("starttls", "b.org", ()), ("direct_tls", "b.org", ("xmpp-server",)),
        ("plain", None, ()), ("opened", None, ()) before anything is sent, ("refused", …) or ("silent", …)."""
        if self.state != "opened":
            return self.state, None, ()
        data = self.sent()
        if not data:
            return "opened", None, ()
        if data[0] == 0x16:
            return ("direct_tls", *client_hello(data))
        # Text holds no control byte like a TLS record's 22.
        hello = data.find(b"\x16\x03")
        if hello < 0:
            return "plain", None, ()
        return ("starttls", *client_hello(data[hello:]))


class Observer:
    """Watches from when it is made. `host` is a network.Namespace."""

    def __init__(self, host):
        self.addresses = set(host.addresses)
        self.attempts = []
        self.open = {}
        with host.inside():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self.socket.bind(("eth0", ETH_P_ALL))
        self.socket.setblocking(False)

    def close(self):
        self.socket.close()

    def dialled(self):
        """Every Attempt so far, oldest first, but for lookups in the DNS."""
        self._read()
        return [each for each in self.attempts if each.port != 53]

    def _read(self):
        while True:
            try:
                packet, (_, protocol, *_) = self.socket.recvfrom(1 << 17)
            except BlockingIOError:
                return
            segment = _ipv4(packet) if protocol == 0x0800 else _ipv6(packet) if protocol == 0x86DD else None
            if segment is not None and len(segment[2]) >= 20:
                self._see(*segment)

    def _see(self, source, target, segment):
        source_port, target_port, sequence, _, offset, flags = struct.unpack("!HHIIBB", segment[:14])
        payload = segment[(offset >> 4) * 4:]
        if source in self.addresses and target not in self.addresses:
            key = (source, source_port, target, target_port)
            if flags & SYN and not flags & ACK:
                known = self.open.get(key)
                if known is None or known.first != (sequence + 1) & 0xFFFFFFFF:  # not a repetition
                    self.open[key] = Attempt(0, target, target_port, sequence)
                    self.attempts.append(self.open[key])
            elif payload and key in self.open:
                attempt = self.open[key]
                at = (sequence - attempt.first) & 0xFFFFFFFF
                if at < ENOUGH:
                    attempt.parts.setdefault(at, payload)
        elif target in self.addresses:
            attempt = self.open.get((target, target_port, source, source_port))
            if attempt is not None and attempt.state == "silent":
                attempt.state = "refused" if flags & RST else "opened" if flags & SYN and flags & ACK else "silent"


def _ipv4(packet):
    length = (packet[0] & 15) * 4
    total = struct.unpack("!H", packet[2:4])[0]
    if packet[9] != socket.IPPROTO_TCP:
        return None
    # A length of 0 is how the kernel shows a packet that the link would have to cut.
    return (socket.inet_ntop(socket.AF_INET, packet[12:16]), socket.inet_ntop(socket.AF_INET, packet[16:20]),
            packet[length:total or len(packet)])


def _ipv6(packet):
    if packet[6] != socket.IPPROTO_TCP:
        return None
    return (socket.inet_ntop(socket.AF_INET6, packet[8:24]), socket.inet_ntop(socket.AF_INET6, packet[24:40]),
            packet[40:])


def client_hello(data):
    """(server name or None, ALPN protocols) of a TLS record stream that begins with a ClientHello (RFC 8446 §4.1.2)."""
    handshake = b""
    while len(data) >= 5 and data[0] == 0x16:
        length = struct.unpack("!H", data[3:5])[0]
        handshake += data[5:5 + length]
        data = data[5 + length:]
    name, protocols = None, ()
    try:
        at = 4 + 2 + 32
        at += 1 + handshake[at]
        at += 2 + struct.unpack_from("!H", handshake, at)[0]
        at += 1 + handshake[at]
        end = at + 2 + struct.unpack_from("!H", handshake, at)[0]
        at += 2
        while at < end:
            kind, length = struct.unpack_from("!HH", handshake, at)
            body = handshake[at + 4:at + 4 + length]
            if kind == 0:  # RFC 6066 §3
                name = body[5:].decode("ascii")
            elif kind == 16:  # RFC 7301 §3.1
                protocols, inner = [], 2
                while inner < len(body):
                    protocols.append(body[inner + 1:inner + 1 + body[inner]].decode("ascii"))
                    inner += 1 + body[inner]
                protocols = tuple(protocols)
            at += 4 + length
    except (struct.error, IndexError):
        return name, protocols  # not all of it is here yet
    return name, protocols
