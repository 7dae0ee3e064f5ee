"""What an operator sees of attacks: THREATS G7 and G8. That it is whole, short and without secrets, world.py asserts for
each of the cases here and everywhere else."""

from hostile.cases import WHOLE, Case, at, breaks, ends, fails, refuses
from hostile.peer import CLIENTS, SASL, SERVERS

CASES = []
# What may be written in XML and must not get into a line of log as it is.
NASTY = "x&#10;2026-01-01 fatal&#9;&#13;\u202e\u0085\u009b31m\u2028" + "y" * 3000


def case(row, name, send, expect, where, parted=(WHOLE,)):
    CASES.append(Case(row, name, send, expect, tuple(where), parted))


case("G7", "a host of ours that is none", lambda peer: peer.header(to=NASTY), ends("improper-addressing", "host-unknown"),
     at(states=("start", "secured")))
case("G7", "a sender", lambda peer: peer.header(**{"from": NASTY}), ends("invalid-from", "improper-addressing"),
     at(CLIENTS + SERVERS, ("start", "secured")))
case("G7", "a mechanism", f"<auth xmlns='{SASL}' mechanism='{NASTY}'>AA==</auth>", fails("invalid-mechanism"), at(states=("tls",)))
case("G7", "an error's text", lambda peer: (
    ("<stream:error xmlns:stream='http://etherx.jabber.org/streams'>" if peer.transport == "websocket" else "<stream:error>")
    + "<reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>"
    + NASTY + "</text></stream:error>"), breaks, at(states=("tls", "bound", "resumed", "peer")))
case("G7", "a dialback sender", f"<db:result from='{NASTY}' to='comity.test'>{NASTY}</db:result>", ends("improper-addressing"),
     at(SERVERS, ("tls", "peer")))
case("G7", "a stanza's addresses", f"<iq type='get' id='c' to='{NASTY}'><ping xmlns='urn:xmpp:ping'/></iq>",
     refuses("jid-malformed"), at(CLIENTS, ("bound", "resumed")))
