"""What a case is: bytes that a hostile peer sends in a state, and what must come back."""

import collections
import dataclasses
import re
import typing

from hostile.peer import CLIENTS, EVERY, SERVERS, STANZA, STATES, UNOPENED, Unexpected, frame, stream_error_in

# How bytes are parted. whole: as they are. bytes: one by one. each: in two, at every place, on a connection each.
# fragments: in frames of a byte each, on a WebSocket (RFC 6455 §5.4).
WHOLE, BYTES, EACH, FRAGMENTS = "whole", "bytes", "each", "fragments"

_STANZA_ERROR = re.compile(rb"<error[^>]*><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'")
_SASL_FAILURE = re.compile(rb"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'[^>]*><([a-z-]+)\s*/>")


def counted_in(scope, said):
    """What the daemon must have counted, having said this."""
    counts = collections.Counter()
    error = stream_error_in(said)
    if error:
        counts["comity_stream_errors_sent_total", scope, error] += 1
    for condition in _SASL_FAILURE.findall(said):
        counts["comity_auth_failures_total", scope, condition.decode()] += 1
    if scope == "c2s":  # what another server is refused goes by a stream of ours to it
        for condition in _STANZA_ERROR.findall(said):
            counts["comity_stanza_errors_sent_total", scope, condition.decode()] += 1
    return counts


@dataclasses.dataclass(frozen=True)
class Case:
    """`row` is that of THREATS §1. `send`: text, bytes, or what makes them of a Peer. `expect` judges what comes back:
    a coroutine of a Peer that gives all that it said, or raises Unexpected. `at`: (transport, state) pairs."""

    row: str
    name: str
    send: typing.Any
    expect: typing.Any
    at: tuple
    parted: tuple = (WHOLE, BYTES)

    def runs(self):
        for transport, state in self.at:
            for way in self.parted:
                if way == FRAGMENTS and transport != "websocket":
                    continue
                # How many places there are to part it at, only a connected peer knows: at most as many as these.
                yield Run(self, transport, state, way)


@dataclasses.dataclass(frozen=True)
class Run:
    case: Case
    transport: str
    state: str
    way: str
    place: int = 0

    def __str__(self):
        place = f" at {self.place}" if self.way == EACH else ""
        return f"{self.case.row} {self.case.name}: {self.transport}, {self.state}, {self.way}{place}"


def made(run, peer):
    """The bytes of a run, as the transport carries them."""
    text = run.case.send(peer) if callable(run.case.send) else run.case.send
    if run.way == FRAGMENTS:
        data = text.encode() if isinstance(text, str) else bytes(text)
        data = STANZA.sub(rb"<\1 xmlns='jabber:client'", data)
        return b"".join(frame(data[at:at + 1], 1 if at == 0 else 0, at == len(data) - 1) for at in range(len(data)))
    return peer.encoded(text)


# Where

def at(transports=EVERY, states=None, but=()):
    """The pairs of these transports and those of their states that are named (all without), but for some."""
    return tuple((transport, state) for transport in transports for state in STATES[transport]
                 if (states is None or state in states) and state not in but)


OPENED = tuple((transport, state) for transport, state in at() if state not in UNOPENED)
BEFORE_OPENED = at(states=UNOPENED)
ON_TCP = tuple(each for each in EVERY if each != "websocket")
BOUND = at(CLIENTS, ("bound", "resumed"))
PEERED = at(SERVERS, ("peer",))


# What must come back

def _count(said, mark):
    return len(re.findall(mark, said))


def ends(*conditions, containing=b"", header=None):
    """A stream error of one of these conditions inside an opened stream, the closing tag, and the end of the connection,
    though this peer does not end it (RFC 6120 §4.4, §4.9.1.1). `header`: whether a header comes before it, if not as the
    state says."""
    async def judge(peer):
        said = await peer.rest()
        condition = stream_error_in(said)
        if condition not in conditions:
            raise Unexpected(f"wanted {' or '.join(conditions)}, got {condition}: {said[-600:]}")
        if containing not in said:
            raise Unexpected(f"no {containing}: {said[-600:]}")
        web = peer.transport == "websocket"
        wanted = 1 if (peer.state in UNOPENED if header is None else header) else 0
        headers = _count(said, rb"<open[ >]" if web else rb"<stream:stream[ >]")
        if headers != wanted:
            raise Unexpected(f"{headers} headers, not {wanted}, before the error: {said[-600:]}")
        if not said.endswith(b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>" if web else b"</stream:stream>"):
            raise Unexpected(f"not closed behind the error: {said[-600:]}")
        if web and not peer.parted:
            raise Unexpected("no Close frame")
        return said
    return judge


def ends_or_closes(condition, *codes):
    """As ends(), or by one of those codes of a WebSocket, which may know before anyone looks at XML."""
    inner = ends(condition)

    async def judge(peer):
        if peer.transport != "websocket":
            return await inner(peer)
        said = await peer.rest()
        if stream_error_in(said) != condition and getattr(peer, "close_code", None) not in codes:
            raise Unexpected(f"wanted {condition} or {codes}, got {getattr(peer, 'close_code', None)}: {said[-600:]}")
        return said
    return judge


async def closed_in_order(peer):
    """The stream is still there, and ends as its peer asks."""
    web = peer.transport == "websocket"
    mark = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>" if web else "</stream:stream>"
    peer.send(mark)
    said = await peer.rest()
    if not said.endswith(mark.encode()) or stream_error_in(said):
        raise Unexpected(f"the stream did not go on: {said[-600:]}")
    return said.removesuffix(mark.encode())


def fails(condition, mark=b"</failure>", namespace="urn:ietf:params:xml:ns:xmpp-sasl"):
    """A failure of that condition, and the stream goes on."""
    async def judge(peer):
        said = await peer.until(mark)
        if f"<failure xmlns='{namespace}'".encode() not in said or f"<{condition}".encode() not in said:
            raise Unexpected(f"wanted {condition}, got {said[-600:]}")
        return said + await closed_in_order(peer)
    return judge


def refuses(condition, kind=None):
    """A stanza error of that condition for the stanza whose id is `c`, and the session goes on."""
    async def judge(peer):
        said = await peer.until(b"</error>")
        found = _STANZA_ERROR.findall(said)
        if [each.decode() for each in found] != [condition] or b"id='c'" not in said:
            raise Unexpected(f"wanted {condition}, got {said[-600:]}")
        if kind and f"type='{kind}'".encode() not in said[said.rindex(b"<error"):]:
            raise Unexpected(f"not of type {kind}: {said[-600:]}")
        return said + await peer.ping() + await closed_in_order(peer)
    return judge


async def nothing(peer):
    """No word, and the session or the stream goes on."""
    before = await peer.ping() if peer.state in ("bound", "resumed") else b""
    said = (before + await closed_in_order(peer)).replace(b"<r xmlns='urn:xmpp:sm:3'/>", b"")  # of the ping's answer
    if said:
        raise Unexpected(f"wanted no answer, got {said[-600:]}")
    return said


async def arrives(peer):
    """What was sent to oneself has come, and nothing else."""
    said = await peer.until(b"</message>")
    if b"id='c'" not in said or b"type='error'" in said:
        raise Unexpected(f"it has not arrived: {said[-600:]}")
    return said + await closed_in_order(peer)


def says(mark, count=1):
    """`mark` so many times, and the stream goes on."""
    async def judge(peer):
        said = b""
        for _ in range(count):
            said += await peer.until(mark)
        said += await closed_in_order(peer)
        if said.count(mark) != count:
            raise Unexpected(f"{mark} {said.count(mark)} times: {said[-600:]}")
        return said
    return judge


async def breaks(peer):
    """The connection ends, and no stream error is said."""
    said = await peer.rest()
    if stream_error_in(said):
        raise Unexpected(f"wanted no error, got {said[-600:]}")
    return said
