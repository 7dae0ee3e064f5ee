"""Sessions, and what is sent in them: THREATS F, and D8 and D9 where clients are concerned."""

from hostile.cases import BOUND, BYTES, FRAGMENTS, WHOLE, Case, at, closed_in_order, ends, nothing, refuses
from hostile.peer import BIND, CLIENTS, SM, Unexpected

CASES = []
PING = "<ping xmlns='urn:xmpp:ping'/>"
ROSTER = "<query xmlns='jabber:iq:roster'/>"


def case(row, name, send, expect, where, parted=(WHOLE, BYTES)):
    CASES.append(Case(row, name, send, expect, tuple(where), parted))


# D8: errors and results are answered by nothing.
for text in ("<message to='nobody@comity.test' type='error' id='x'><error type='cancel'/></message>",
             "<iq to='nobody@comity.test/r' type='result' id='x'/>", "<iq to='comity.test' type='result' id='x'/>",
             "<iq to='elsewhere.test' type='error' id='x'><error type='cancel'/></iq>", "<iq to='a@@b' type='result' id='x'/>",
             "<message to='a@@b' type='error' id='x'><error type='cancel'/></message>"):
    case("D8", text[:48], text, nothing, BOUND, (WHOLE, BYTES, FRAGMENTS))

# D9: addresses that are none (RFC 7622 §3.4).
BAD = ("a@@b", "@comity.test", "a b@comity.test", "a\u2fcf\uff20b@comity.test", "a\u200d@comity.test",
       "\u00df\u0378@comity.test", "a" * 1024 + "@comity.test", "u@comity.test/", "u@comity..test", "u@" + "a" * 64 + ".test",
       "u@comity.test/" + "r" * 1024, "a\"b@comity.test", "a&amp;b@comity.test", "a:b@comity.test", "a&lt;b@comity.test",
       "\u05d0a@comity.test", "/r", "u@", "u@comity.test/\ue000", "\u0130\u200b@comity.test")
for address in BAD:
    for kind, text in (("message", "<message to='{}' id='c'><body>x</body></message>"),
                       ("iq", "<iq to='{}' id='c' type='get'>" + PING + "</iq>")):
        case("D9", f"a {kind} to {ascii(address)[:30]}", text.format(address), refuses("jid-malformed", "modify"), BOUND,
             (WHOLE,))


# F1: sessions of others, and at the wrong time (XEP-0198 §5).
def not_resumed(condition):
    async def judge(peer):
        said = await peer.until(b"</failed>")
        if f"<{condition} ".encode() not in said or b"<resumed" in said:
            raise Unexpected(f"wanted {condition}, got {said}")
        return said + await closed_in_order(peer)
    return judge


for name, identifier in (("guessed", "A" * 22), ("huge", "x" * 5000), ("of nobody", "1")):
    case("F1", f"a resumption by an id that is {name}", f"<resume xmlns='{SM}' previd='{identifier}' h='0'/>",
         not_resumed("item-not-found"), at(CLIENTS, ("sasl",)))
case("F1", "a resumption without an id", f"<resume xmlns='{SM}' previd='' h='0'/>", not_resumed("bad-request"),
     at(CLIENTS, ("sasl",)))
case("F1", "a resumption once bound", f"<resume xmlns='{SM}' previd='x' h='0'/>", not_resumed("unexpected-request"), BOUND)
for name, text in (("<resume/>", f"<resume xmlns='{SM}' previd='x' h='0'/>"), ("<enable/>", f"<enable xmlns='{SM}'/>")):
    case("F1", f"{name} before authentication", text, not_resumed("unexpected-request"), at(CLIENTS, ("clear", "tls")))

# F2: counts that cannot be.
for count in ("", "h='-1'", "h='4294967296'", "h='abc'", "h=''", "h=' 1'", "h='0x1'", "h='1.0'"):
    case("F2", f"<a {count}/>", f"<a xmlns='{SM}' {count}/>", ends("policy-violation"), at(CLIENTS, ("resumed",)))
for count in (5, 2 ** 31, 2 ** 32 - 1):
    case("F2", f"more acknowledged than sent: {count}", f"<a xmlns='{SM}' h='{count}'/>",
         ends("undefined-condition", containing=b"<handled-count-too-high xmlns='urn:xmpp:sm:3' h='"),
         at(CLIENTS, ("resumed",)))
case("F2", "an element that it has not", f"<nothing xmlns='{SM}'/>", ends("unsupported-stanza-type"), BOUND)


# F7: who sends is what was bound, whatever is claimed (RFC 6120 §8.1.2.1).
async def true_sender(peer):
    said = await peer.until(b"</message>")
    if said.count(b" from='") != 1 or f" from='{peer.jid}'".encode() not in said:
        raise Unexpected(f"not from {peer.jid}: {said}")
    return said + await closed_in_order(peer)


for claimed in ("control-a@comity.test/control", "eve@elsewhere.test", "U0@COMITY.TEST/x", "comity.test", "", "a@@b"):
    case("F7", f"from {claimed}",
         lambda peer, claimed=claimed: f"<message from='{claimed}' to='{peer.jid}' id='c'><body>x</body></message>",
         true_sender, BOUND)


# F8: wrappers that only a server may make come from whom they come.
for name, wrapper in (("carbons", "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></received>"),
                      ("an archive's result", "<result xmlns='urn:xmpp:mam:2' id='x' queryid='x'/>")):
    case("F8", name, lambda peer, wrapper=wrapper: f"<message to='{peer.jid}' id='c' from='{peer.jid.split('/')[0]}'>"
         f"<body>x</body>{wrapper}</message>", true_sender, BOUND)
for kind in ("get", "set"):
    case("F8", f"a roster's {kind} for somebody else", lambda peer, kind=kind:
         f"<iq type='{kind}' id='c' to='control-a@comity.test'>{ROSTER}</iq>", refuses("service-unavailable"), BOUND)
    case("F8", f"a roster's {kind} to a resource", lambda peer, kind=kind:
         f"<iq type='{kind}' id='c' to='{peer.world.victim}'>{ROSTER}</iq>", refuses("service-unavailable"), BOUND)


# F9: ids and times in the server's name (XEP-0359 §5, XEP-0203): all of ours are taken out, the others stay.
def marks(*names):
    return "".join(f"<stanza-id xmlns='urn:xmpp:sid:0' by='{name}' id='{n}'/>"
                   f"<delay xmlns='urn:xmpp:delay' from='{name.split('@')[-1]}' stamp='1999-01-01T00:00:00Z'/>"
                   for n, name in enumerate(names))


def forged(peer):
    own = peer.jid.split("/")[0]
    names = own, own.upper(), "room@elsewhere.test", own
    return f"<message to='{peer.jid}' id='c'><body>x</body>{marks(*names)}</message>"


async def unmarked(peer):
    said = await peer.until(b"</message>")
    left = said[said.index(b"</body>") + len(b"</body>"):]
    if left.count(b"<stanza-id ") != 1 or left.count(b"<delay ") != 1 or left.count(b"elsewhere.test'") != 2:
        raise Unexpected(f"in our name: {said}")
    return said + await closed_in_order(peer)


case("F9", "three ids and times of ours and one of another's", forged, unmarked, BOUND, (WHOLE, BYTES, FRAGMENTS))

# F10: requests (RFC 6120 §8.2.3).
for condition, text in (
        ("bad-request", "<iq type='get' id='c' to='comity.test'/>"),
        ("bad-request", f"<iq type='get' id='c' to='comity.test'>{PING}{PING}</iq>"),
        ("bad-request", f"<iq type='foo' id='c' to='comity.test'>{PING}</iq>"),
        ("bad-request", f"<iq id='c' to='comity.test'>{PING}</iq>"),
        ("bad-request", "<iq type='get' id='c' to='comity.test'>text</iq>"),
        ("service-unavailable", f"<iq type='get' id='c' to='control-a@comity.test'>{PING}</iq>"),
        ("service-unavailable", f"<iq type='get' id='c' to='control-a@comity.test/none'>{PING}</iq>"),
        ("service-unavailable", f"<iq type='get' id='c' to='nobody@comity.test'>{PING}</iq>"),
        ("service-unavailable", "<iq type='get' id='c' to='comity.test'><unknown xmlns='u'/></iq>"),
        ("service-unavailable", "<iq type='get' id='c'><unknown xmlns='u'/></iq>"),
        ("not-allowed", f"<iq type='set' id='c'><bind xmlns='{BIND}'><resource>x</resource></bind></iq>")):
    case("F10", text[:60], text, refuses(condition), BOUND, (WHOLE, BYTES, FRAGMENTS))

# Each asks for another one: who asks again for one that was not found waits until it is tried again.
case("F10", "a request to a server that is none", lambda peer: f"<iq type='get' id='c' to='{peer.user}-{id(peer)}.test'>{PING}</iq>",
     refuses("remote-server-not-found"), BOUND)

# F13: requests with something taken out, doubled, or emptied.
for condition, content in (
        ("bad-request", "<query xmlns='jabber:iq:roster'><item name='n'/></query>"),
        ("bad-request", "<query xmlns='jabber:iq:roster'/>"),
        ("bad-request", "<query xmlns='jabber:iq:roster'><item jid='a@b.test'/><item jid='b@b.test'/></query>"),
        ("jid-malformed", "<query xmlns='jabber:iq:roster'><item jid=''/></query>"),
        ("jid-malformed", "<query xmlns='jabber:iq:roster'><item jid='a@@b'/></query>"),
        ("not-acceptable", "<query xmlns='jabber:iq:roster'><item jid='a@b.test'><group/></item></query>"),
        ("bad-request", "<query xmlns='jabber:iq:roster'><item jid='a@b.test'><group>g</group><group>g</group></item></query>"),
        ("not-acceptable", "<query xmlns='jabber:iq:roster'><item jid='a@b.test' name='" + "n" * 1024 + "'/></query>"),
        ("item-not-found", "<query xmlns='jabber:iq:roster'><item jid='a@b.test' subscription='remove'/></query>"),
        ("not-allowed", f"<bind xmlns='{BIND}'><resource></resource><resource>x</resource></bind>"),
        ("not-allowed", f"<bind xmlns='{BIND}'><resource>{'x' * 2000}</resource></bind>")):
    case("F13", content[:70], f"<iq type='set' id='c'>{content}</iq>", refuses(condition), BOUND, (WHOLE, BYTES))
