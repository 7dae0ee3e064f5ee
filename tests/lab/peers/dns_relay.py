"""A resolver that passes every query on to config.server and its answer back: after config.delay seconds, and with
config.plain as one that knows no DNSSEC."""

import socket
import struct
import threading

import listening

CONFIG = listening.HOST["config"]
DELAY = float(CONFIG.get("delay", 0))
AUTHENTIC, CHECKING_DISABLED = 0x20, 0x10


def without_dnssec(query):
    """The header and the question alone: no EDNS, so no DO, and neither AD nor CD."""
    identifier, high, low, *_ = struct.unpack_from("!HBBHHHH", query)
    end = query.index(b"\0", 12) + 5
    return struct.pack("!HBBHHHH", identifier, high, low & ~(AUTHENTIC | CHECKING_DISABLED), 1, 0, 0, 0) + query[12:end]


def answer(listener, query, sender):
    if CONFIG.get("plain"):
        query = without_dnssec(query)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.settimeout(20)
        upstream.sendto(query, (CONFIG["server"], 53))
        reply = bytearray(upstream.recv(65536))
    if CONFIG.get("plain"):
        reply[3] &= ~AUTHENTIC & 0xFF
    threading.Timer(DELAY, listener.sendto, (bytes(reply), sender)).start()


def relay(listener):
    while True:
        query, sender = listener.recvfrom(65536)
        threading.Thread(target=answer, args=(listener, query, sender), daemon=True).start()


queries = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
queries.bind((listening.HOST["ip4"], 53))
threading.Thread(target=relay, args=(queries,), daemon=True).start()
listening.serve({})
