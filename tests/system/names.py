"""A name server for federation on loopback, that can be dead, slow or a liar.

It answers over UDP what `zone` says: {("b.test", "A"): ["127.0.0.1"], ("_xmpp-server._tcp.b.test", "SRV"):
[(0, 0, 5269, "b.test")]}. A name that it has nothing of any kind for does not exist. Nothing is signed.
"""

import random
import socket
import struct
import threading

TYPES = {1: "A", 28: "AAAA", 33: "SRV", 52: "TLSA"}

HABITS = ("honest", "silent", "slow", "servfail", "refused", "other_id", "other_question", "other_name", "garbage",
          "truncated", "pointer_loop", "long_name", "short_rdata", "too_many", "private_address")


def encoded(name):
    labels = name.rstrip(".").split(".")
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def decoded(data, at):
    labels = []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1").lower())
        at += 1 + data[at]
    return ".".join(labels), at + 1


class Names:
    """Use as a context manager. `habit` is one of HABITS, and may change at any time."""

    def __init__(self, zone=None):
        self.zone = zone or {}
        self.habit = "honest"
        self.asked = 0
        self.chance = random.Random(53)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.ended.set()
        self.socket.sendto(b"", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()

    def serve(self, domain, port, address="127.0.0.1"):
        """STARTTLS between servers at that port."""
        self.zone[f"_xmpp-server._tcp.{domain}", "SRV"] = [(0, 0, port, domain)]
        self.zone[domain, "A"] = [address]

    def _run(self):
        while not self.ended.is_set():
            query, peer = self.socket.recvfrom(4096)
            if len(query) < 17:
                continue
            self.asked += 1
            name, end = decoded(query, 12)
            kind = TYPES.get(struct.unpack_from("!H", query, end)[0], "?")
            answer = self._answer(query[:2], query[12:end + 4], name, kind, self.habit)
            if answer is None:
                continue
            if self.habit == "slow":
                threading.Timer(0.3, self._send, (answer, peer)).start()
            else:
                self._send(answer, peer)

    def _send(self, answer, peer):
        try:
            self.socket.sendto(answer, peer)
        except OSError:
            pass  # the test is over

    def _answer(self, identifier, question, name, kind, habit):
        if habit == "silent":
            return None
        if habit == "garbage":
            return identifier + self.chance.randbytes(60)
        if habit == "other_id":
            identifier = bytes(each ^ 0x5a for each in identifier)
        if habit == "other_question":
            question = encoded("elsewhere.test") + question[-4:]
        owner = encoded("elsewhere.test") if habit == "other_name" else b"\xc0\x0c"
        there = any((name, each) in self.zone for each in TYPES.values())
        code = {"servfail": 2, "refused": 5}.get(habit, 0 if there else 3)
        records = [] if code else [self._rdata(kind, each, habit) for each in self.zone.get((name, kind), ())]
        if habit == "pointer_loop":
            owner = b"\xc0" + bytes([12 + len(question)])  # which is where it stands itself
        if habit == "long_name":
            owner = (b"\x3f" + b"x" * 63) * 5 + b"\0"
        number = dict(zip(TYPES.values(), TYPES)).get(kind, 0)
        body = b"".join(owner + struct.pack("!HHIH", number, 1, 0, len(rdata)) + rdata for rdata in records)
        count = len(records) + (1000 if habit == "too_many" else 0)
        flags = 0x8180 | code | (0x0200 if habit == "truncated" else 0)
        return identifier + struct.pack("!HHHHH", flags, 1, count, 0, 0) + question + body

    @staticmethod
    def _rdata(kind, value, habit):
        if kind == "A":
            return socket.inet_aton("10.0.0.1" if habit == "private_address" else value)
        if kind == "SRV":
            priority, weight, port, target = value
            whole = struct.pack("!HHH", priority, weight, port) + encoded(target)
            return whole[:5] if habit == "short_rdata" else whole
        return bytes(value)
