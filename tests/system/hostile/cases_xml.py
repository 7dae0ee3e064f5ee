"""XML and framing: THREATS A."""

from hostile.cases import (BEFORE_OPENED, BOUND, BYTES, EACH, FRAGMENTS, ON_TCP, OPENED, PEERED, WHOLE, Case, arrives, at,
                           ends, ends_or_closes, nothing, refuses, says)
from hostile.peer import CLIENTS, SERVERS

BOMB = "<!DOCTYPE s [<!ENTITY a0 'lol'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)) + "]>"
SMALL_BOMB = "<!DOCTYPE s [<!ENTITY a 'b'>]>"
# Where parting at every place costs least: no login is needed.
CHEAP = tuple(pair for pair in at(states=("start", "clear")) if pair[0] in ("starttls", "s2s")) + at(
    ("websocket",), ("tls",))
ANYWHERE = at()


def message(content, attributes=""):
    """To the one whom nothing may reach."""
    return lambda peer: (f"<message to='{peer.world.victim}' id='c'{'' if peer.client else sender(peer)}{attributes}>"
                         + content + "</message>")


def sender(peer):
    return "" if peer.client else " from='mallory@peer.test'"


def raw_message(octets, before=b"<body>", behind=b"</body>"):
    return lambda peer: (f"<message to='{peer.world.victim}'{sender(peer)} id='c'>".encode() + before + octets + behind
                         + b"</message>")


CASES = []


def case(row, name, send, expect, where, parted=(WHOLE, BYTES)):
    CASES.append(Case(row, name, send, expect, tuple(where), parted))


# A1: entities are refused where the document type begins; nothing is expanded.
case("A1", "a bomb", BOMB, ends("restricted-xml"), ANYWHERE, (WHOLE,))
case("A1", "a document type", "<!DOCTYPE s>", ends("restricted-xml"), ANYWHERE, (WHOLE, BYTES, FRAGMENTS))
case("A1", "a document type, parted", SMALL_BOMB, ends("restricted-xml"), CHEAP, (EACH,))
case("A1", "a bomb in a stanza", lambda peer: message(f"<body>{BOMB}&a9;</body>")(peer), ends("restricted-xml"),
     BOUND + PEERED)

# A2: restricted XML (RFC 6120 §11.1).
for text in ("<!-- x -->", "<?foo bar?>"):
    case("A2", text, text, ends("restricted-xml"), ANYWHERE, (WHOLE, BYTES, FRAGMENTS))
    case("A2", f"{text}, parted", text, ends("restricted-xml"), CHEAP, (EACH,))
for text in ("<message><!-- x --></message>", "<message><?foo bar?></message>", "<message>&foo;</message>",
             "<message a='&foo;'/>"):
    case("A2", text, text, ends("restricted-xml"), OPENED, (WHOLE, FRAGMENTS))
case("A2", "a second XML declaration", "<?xml version='1.0'?>", ends("restricted-xml"),
     [each for each in OPENED if each[0] != "websocket"])
case("A2", "standalone", lambda peer: "<?xml version='1.0' standalone='no'?>" + peer.header(), ends("restricted-xml"),
     at(ON_TCP, ("start", "secured", "restart")))

# A3: nothing but UTF-8 (RFC 6120 §11.6).
case("A3", "ISO-8859-1", lambda peer: "<?xml version='1.0' encoding='ISO-8859-1'?>" + peer.header(),
     ends("unsupported-encoding"), at(ON_TCP, ("start", "secured", "restart")))
case("A3", "UTF-16", lambda peer: peer.header().encode("utf-16"), ends("unsupported-encoding", "not-well-formed"),
     at(ON_TCP, ("start", "secured", "restart")), (WHOLE,))
case("A3", "half of UTF-16", b"\xfe\xff\0<\0s", ends("unsupported-encoding", "not-well-formed"),
     at(ON_TCP, ("start", "secured", "restart")))
case("A3", "a byte order mark", lambda peer: b"\xef\xbb\xbf" + peer.header().encode(), ends("not-well-formed"),
     at(ON_TCP, ("start", "secured", "restart")), (WHOLE,))

# A4: what is no UTF-8, and what no XML character. On a WebSocket what is no UTF-8 is none of a text frame (RFC 6455 §8.1).
NO_UTF8 = [b"\xeb\x3c\x3e", b"\xc0\xbc", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82"]
NO_CHARACTER = [b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"&#0;", b"&#x1;", b"&#xD800;", b"\0", b"\x01", b"\x0b", b"\x1b",
                b"\x1f"]
for octets in NO_UTF8 + NO_CHARACTER:
    judge = ends_or_closes("not-well-formed", 1007) if octets in NO_UTF8 else ends("not-well-formed")
    for place, before, behind in (("text", b"<body>", b"</body>"), ("attribute", b"<a b='", b"'/>"),
                                  ("name", b"<a", b"/>")):
        case("A4", f"{octets!r} in a {place}", raw_message(octets, before, behind), judge,
             at(("direct",), ("bound",)) + at(("s2s_direct",), ("peer",)), (WHOLE, BYTES))
    case("A4", f"{octets!r}", raw_message(octets), judge, at(("websocket",), ("tls", "bound")) + at(CLIENTS, ("resumed",))
         + at(("starttls",), ("tls",)), (WHOLE, BYTES))
case("A4", "an overlong <, parted", b"<message><body>\xc0\xbc</body></message>", ends_or_closes("not-well-formed", 1007),
     CHEAP[1::2], (EACH,))

# A5: names of the stream's own layers are not relayed, and do nothing.
for child in ("<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>",
              "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
              "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>evil</see-other-host></stream:error>",
              "<x xmlns='u'><y xmlns='http://etherx.jabber.org/streams'/></x>",
              "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
              "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
              "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"):
    case("A5", child[:40], message(child), refuses("policy-violation"), BOUND, (WHOLE, BYTES, FRAGMENTS))
    case("A5", child[:40], message(child), nothing, PEERED, (WHOLE, BYTES))
case("A5", "the stream's end in a stanza", message("<body>x</stream:stream>"), ends("not-well-formed",
                                                                                     "bad-namespace-prefix"),
     BOUND + PEERED)

# A6: what separates names and namespaces separates nothing.
for text in ("jabber:client&#x1;message", "jabber:client\x0cmessage"):
    case("A6", repr(text), f"<p:message xmlns:p='{text}'/>", ends("not-well-formed"), OPENED, (WHOLE,))
for text in ("jabber:client\nmessage", "jabber:client&#10;message", "jabber:client|message", "jabber:client message"):
    case("A6", repr(text), f"<p:message xmlns:p='{text}'/>", ends("unsupported-stanza-type"), BOUND + PEERED, (WHOLE,))

# A7: prefixes that nothing declares, and those that may not be.
for text in ("<p:message/>", "<message p:a='b'/>", "<message xmlns:xml='u'/>", "<message xmlns:p=''/>",
             "<message xmlns:xmlns='u'/>"):
    case("A7", text, text, ends("bad-namespace-prefix"), OPENED, (WHOLE, BYTES, FRAGMENTS))
    case("A7", f"{text}, parted", text, ends("bad-namespace-prefix"), CHEAP[1::2], (EACH,))

# A8: misuse of the root's level.
ON_STREAMS = [each for each in OPENED if each[0] != "websocket"]
case("A8", "text", "hello", ends("bad-format"), ON_STREAMS)
case("A8", "CDATA", "<![CDATA[hello]]>", ends("bad-format", "not-well-formed"), OPENED)
for text in ("<message></iq>", "<message a='b' a='c'/>", "<message><body></message></body>", "<message a=b/>",
             "</stream:streams>"):
    case("A8", text, text, ends("not-well-formed"), OPENED, (WHOLE, BYTES, FRAGMENTS))
    case("A8", f"{text}, parted", text, ends("not-well-formed"), CHEAP[1::2], (EACH,))
case("A8", "a stream in the stream", lambda peer: peer.header()[:-1] + "/>", ends("bad-format"), ON_STREAMS)
case("A8", "a stream in the stream, unclosed", lambda peer: peer.header(), ends("bad-format"), ON_STREAMS, (WHOLE,))
for text in ("<foo xmlns='jabber:client'/>", "<message xmlns='foo:bar'/>", "<foo xmlns='foo:bar'/>"):
    case("A8", text, text, ends("unsupported-stanza-type"), BOUND + PEERED, (WHOLE, BYTES, FRAGMENTS))

# Sizes, by default: of one element before authentication, and of one after it, from clients and from servers.
BEFORE, AFTER, BETWEEN = 10000, 256 * 1024, 512 * 1024

# A9: stream headers (RFC 6120 §4.7, §4.9.3).
HEADERS = (
    ("host-unknown", {"to": "unhosted.test"}), ("improper-addressing", {"to": None}), ("improper-addressing", {"to": "a@b"}),
    ("improper-addressing", {"to": "comity.test/r"}), ("improper-addressing", {"to": ""}),
    ("improper-addressing", {"to": "a..b"}))
for condition, attributes in HEADERS:
    case("A9", f"{attributes}", lambda peer, attributes=attributes: peer.header(**attributes), ends(condition),
         at(states=("start", "secured")), (WHOLE, BYTES))
for condition, attributes in (("invalid-namespace", {"xmlns": "jabber:other"}),
                              ("invalid-namespace", {"xmlns:stream": "http://etherx.jabber.org/stream"})):
    case("A9", f"{attributes}", lambda peer, attributes=attributes: peer.header(**attributes), ends(condition),
         at(ON_TCP, ("start", "secured", "restart")), (WHOLE, BYTES))
case("A9", "a client's header to servers", lambda peer: peer.header(xmlns="jabber:client"), ends("invalid-namespace"),
     at(SERVERS, ("start", "secured", "restart")))
case("A9", "a server's header to clients", lambda peer: peer.header(xmlns="jabber:server"), ends("invalid-namespace"),
     at(("starttls", "direct"), ("start", "secured", "restart")))
for version in (None, "0.9", "x"):
    case("A9", f"version {version}", lambda peer, version=version: peer.header(version=version),
         ends("unsupported-version"), at(CLIENTS, ("start", "secured")), (WHOLE,))
case("A9", "version 2.0", lambda peer: peer.header(version="2.0"), says(b"</stream:features>"), BEFORE_OPENED)
case("A9", "a huge attribute", lambda peer: peer.header(a="x" * 65536), ends("policy-violation"), at(states=("start", "secured")), (WHOLE,))
case("A9", "a huge attribute, once proven", lambda peer: peer.header(a="x" * (BETWEEN + 1)), ends("policy-violation"),
     at(states=("restart",)), (WHOLE,))

# A10: sizes, at L-1, L and L+1; refused when they are known, not where they end.
COMPRESS = "<compress xmlns='http://jabber.org/protocol/compress'>"
UNSUPPORTED = b"<unsupported-method/></failure>"
# What it is once authenticated is another limit.
UNPROVEN = tuple(pair for pair in OPENED if pair[1] in ("clear", "tls"))
TOO_BIG = b"<stanza-too-big xmlns='urn:xmpp:errors'/>"


def compress(size, shape):
    before, behind = {"text": (COMPRESS, "</compress>"), "attribute": (COMPRESS[:-1] + " a='", "'/>"),
                      "cdata": (COMPRESS + "<![CDATA[", "]]></compress>"), "tag": (COMPRESS[:-1], "/>")}[shape]
    return before + (" " if shape == "tag" else "x") * (size - len(before) - len(behind)) + behind


for shape in ("text", "attribute", "cdata", "tag"):
    for size in (BEFORE - 1, BEFORE):
        case("A10", f"{size} bytes, {shape}", compress(size, shape), says(UNSUPPORTED), UNPROVEN, (WHOLE,))
    case("A10", f"{BEFORE + 1} bytes, {shape}", compress(BEFORE + 1, shape), ends("policy-violation", containing=TOO_BIG),
         UNPROVEN, (WHOLE,))
    case("A10", f"{BEFORE + 1} bytes and no end, {shape}", compress(BEFORE + 100, shape)[:BEFORE],
         ends("policy-violation", containing=TOO_BIG), [each for each in UNPROVEN if each[0] != "websocket"], (WHOLE,))


def sized(size, end=None):
    """A message to oneself of that size."""
    def build(peer):
        to = peer.jid if peer.client else "u0@comity.test/none"
        before, behind = f"<message to='{to}' id='c'{sender(peer)}><body>", "</body></message>"
        extra = len(" xmlns='jabber:client'") if peer.transport == "websocket" else 0
        return (before + "x" * (size - extra - len(before) - len(behind)) + behind)[:end]
    return build


for size in (AFTER - 1, AFTER):
    case("A10", f"{size} bytes", sized(size), arrives, BOUND, (WHOLE,))
case("A10", f"{AFTER + 1} bytes", sized(AFTER + 1), ends("policy-violation", containing=TOO_BIG), BOUND, (WHOLE,))
case("A10", f"{AFTER + 1} bytes and no end", sized(AFTER + 9, AFTER), ends("policy-violation", containing=TOO_BIG),
     [each for each in BOUND if each[0] != "websocket"], (WHOLE,))
for size in (BETWEEN - 1, BETWEEN):
    case("A10", f"{size} bytes", sized(size), nothing, PEERED, (WHOLE,))
case("A10", f"{BETWEEN + 1} bytes", sized(BETWEEN + 1), ends("policy-violation", containing=TOO_BIG), PEERED, (WHOLE,))
case("A10", f"{BETWEEN + 1} bytes and no end", sized(BETWEEN + 9, BETWEEN),
     ends("policy-violation", containing=TOO_BIG), PEERED, (WHOLE,))


# A11-A13: elements, depth, attributes, namespaces.
def elements(count):
    return COMPRESS + "<a/>" * (count - 1) + "</compress>"


for count in (31, 32):
    case("A11", f"{count} elements", elements(count), says(UNSUPPORTED), UNPROVEN, (WHOLE,))
case("A11", "33 elements", elements(33), ends("policy-violation"), UNPROVEN, (WHOLE,))


def to_oneself(content):
    def build(peer):
        to = peer.jid if peer.client else "u0@comity.test/none"
        return f"<message to='{to}' id='c'{sender(peer)}>{content}</message>"
    return build


def nested(levels):
    return "<a xmlns='u'>" * (levels - 1) + "</a>" * (levels - 1)


def attributes(count, prefix):
    return "<x xmlns:p='u' " + " ".join(f"{prefix}a{n}='b'" for n in range(count - 1)) + "/>"


def namespaces(count):
    return "<x " + " ".join(f"xmlns:p{n}='u{n}'" for n in range(count)) + "/>"


def limit(row, name, content, limit_is):
    for count in (limit_is - 1, limit_is):
        case(row, f"{count} {name}", to_oneself(content(count)), arrives, BOUND, (WHOLE,))
        case(row, f"{count} {name}", to_oneself(content(count)), nothing, PEERED, (WHOLE,))
    case(row, f"{limit_is + 1} {name}", message(content(limit_is + 1)), ends("policy-violation"), BOUND + PEERED, (WHOLE,))


limit("A11", "elements", lambda count: "<x xmlns='u'>" + "<a/>" * (count - 2) + "</x>", 5000)
limit("A12", "levels", nested, 64)
case("A12", "87350 levels, never closed", lambda peer: f"<message to='{peer.world.victim}'{sender(peer)}>" + "<a>" * 87350,
     ends("policy-violation"), [each for each in BOUND if each[0] != "websocket"] + list(PEERED), (WHOLE,))
limit("A13", "attributes", lambda count: attributes(count, ""), 256)
limit("A13", "attributes with a prefix", lambda count: attributes(count, "p:"), 256)
limit("A13", "namespaces", namespaces, 64)
case("A13", "a flood of attributes", message(attributes(20000, "p:")), ends("policy-violation"), BOUND + PEERED, (WHOLE,))

# A14: acted on in the read of the last byte, for every place to part it at.
case("A14", "a request, parted", lambda peer: f"<iq type='get' id='c' to='{peer.world.domain}'><x xmlns='u'/></iq>",
     refuses("service-unavailable"), at(("direct", "websocket"), ("bound",)), (EACH,))

# A16: compression is not to be had (XEP-0138).
for text in (COMPRESS + "<method>zlib</method></compress>", COMPRESS + "</compress>",
             COMPRESS + "<method>lzw</method><method>zlib</method></compress>"):
    case("A16", text[50:], text, says(UNSUPPORTED), OPENED, (WHOLE, BYTES, FRAGMENTS))
