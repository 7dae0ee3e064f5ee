"""Servers that are none, or lie: THREATS D."""

from hostile.cases import BYTES, PEERED, WHOLE, Case, at, closed_in_order, ends, nothing
from hostile.peer import PEER, SERVERS, Unexpected

CASES = []
INSIDE = at(SERVERS, ("tls", "peer"))
ANY = at(SERVERS, ("clear", "tls", "peer"))
US = "comity.test"


def case(row, name, send, expect, where, parted=(WHOLE, BYTES)):
    CASES.append(Case(row, name, send, expect, tuple(where), parted))


def message(sender, to, more="<body>x</body>", kind=""):
    written = "".join(f" {name}='{value}'" for name, value in (("from", sender), ("to", to), ("type", kind), ("id", "c")) if value)
    return f"<message{written}>{more}</message>"


# D1: answers to what was never asked prove nothing (CVE-2012-3525): the same as before is refused behind them.
def still_refused(*conditions):
    """What was sent is not answered, and its sender is as unproven as before."""
    async def judge(peer):
        peer.send(message("m@bank.test", peer.world.victim))
        return await ends(*conditions)(peer)
    return judge


for name, element in (
        ("a valid result", f"<db:result type='valid' from='bank.test' to='{US}'/>"),
        ("a valid result twice", f"<db:result type='valid' from='bank.test' to='{US}'/>" * 2),
        ("a valid key", f"<db:verify type='valid' id='x' from='bank.test' to='{US}'/>"),
        ("a valid key of this peer", f"<db:verify type='valid' id='x' from='{PEER}' to='{US}'/>"),
        ("an invalid key", f"<db:verify type='invalid' id='x' from='bank.test' to='{US}'/>"),
        ("an error", f"<db:result type='error' from='bank.test' to='{US}'><error type='cancel'/></db:result>"),
        ("an unknown type", f"<db:result type='x' from='bank.test' to='{US}'/>")):
    case("D1", name, element, nothing, ANY)
    case("D1", f"{name}, and then to speak for it", element, still_refused("not-authorized"), at(SERVERS, ("tls",)), (WHOLE,))
    case("D1", f"{name}, and then to speak for it", element, still_refused("invalid-from"), PEERED, (WHOLE,))
for name, element in (("a result without addresses", "<db:result type='valid'/>"), ("a key without an id",
                      f"<db:verify from='{PEER}' to='{US}'>00</db:verify>"),
                      ("a user's address", f"<db:result from='a@{PEER}' to='{US}'>00</db:result>"),
                      ("an address that is none", f"<db:result from='a..b' to='{US}'>00</db:result>")):
    case("D1", name, element, ends("improper-addressing"), ANY)
case("D1", "an element that dialback has not", "<db:nothing/>", ends("unsupported-stanza-type"), INSIDE)


# D2: keys that were never made here.
def key_is(kind):
    async def judge(peer):
        said = await peer.until(b">")
        if f"type='{kind}'".encode() not in said:
            raise Unexpected(f"wanted {kind}, got {said}")
        return said + await closed_in_order(peer)
    return judge


for name, identifier, key in (("of zeros", "x", "0" * 64), ("empty", "x", ""), ("of our length, in capitals", "x", "A" * 64),
                              ("whose id has a space", f"x {PEER} {US}", "0" * 64), ("huge", "x", "0" * 9000),
                              ("that is no hexadecimal", "x", "z" * 64)):
    case("D2", f"a key {name}", f"<db:verify from='{PEER}' to='{US}' id='{identifier}'>{key}</db:verify>",
         key_is("invalid"), INSIDE, (WHOLE,))
case("D2", "a key for somebody else's domain", f"<db:verify from='{PEER}' to='bank.test' id='x'>00</db:verify>",
     key_is("error"), INSIDE)
case("D2", "in clear", f"<db:verify from='{PEER}' to='{US}' id='x'>00</db:verify>", key_is("error"), at(SERVERS, ("clear",)))

# D4: who sends, and to whom (RFC 6120 §8.1).
for condition, sender, to in (("invalid-from", "u@other.peer.test", None), ("improper-addressing", None, None),
                              ("improper-addressing", f"u@{PEER}", ""), ("host-unknown", f"u@{PEER}", "u@unhosted.test"),
                              ("invalid-from", f"u@{US}", None), ("invalid-from", "control-a@comity.test/control", None),
                              ("invalid-from", f"u@sub.{PEER}", None), ("invalid-from", "u@peer.test.evil.test", None),
                              ("invalid-from", "@@", None), ("host-unknown", f"u@{PEER}", "u@other.test")):
    case("D4", f"from {sender} to {to}",
         lambda peer, sender=sender, to=to: message(sender, peer.world.victim if to is None else to), ends(condition), PEERED)
for condition, sender in (("not-authorized", "bank.test"), ("not-authorized", f"u@{PEER}")):
    case("D4", f"from {sender}, unproven", lambda peer, sender=sender: message(sender, peer.world.victim), ends(condition),
         at(SERVERS, ("clear", "tls")))


PAIRS = 1000


# D5: many pairs on one stream: 32 are looked at, and no more (XEP-0220 §2.4.2).
async def most_refused(peer):
    """What is looked at is looked for in the DNS, which knows nothing of those domains."""
    said = b""
    for _ in range(PAIRS):
        said += await peer.until(b"</db:result>")
    constrained = said.count(b"<resource-constraint ")
    if constrained != PAIRS - 32:
        raise Unexpected(f"{constrained} of {PAIRS} refused for want of resources")
    return said + await closed_in_order(peer)


case("D5", f"{PAIRS} pairs on one stream", "".join(f"<db:result from='d{n}.evil.test' to='{US}'>00</db:result>"
                                                  for n in range(PAIRS)), most_refused, PEERED, (WHOLE,))


# D8: errors are answered by nothing, and so are results.
for name, text in (("an error", f"<message from='m@{PEER}' to='nobody@{US}/x' type='error'><error type='cancel'/></message>"),
                   ("a result", f"<iq from='m@{PEER}' to='nobody@{US}/x' type='result' id='c'/>"),
                   ("an error to us", f"<iq from='m@{PEER}' to='{US}' type='error' id='c'><error type='cancel'/></iq>"),
                   ("a result to us", f"<iq from='m@{PEER}' to='{US}' type='result' id='c'/>")):
    case("D8", name, text, nothing, PEERED)
