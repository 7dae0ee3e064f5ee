"""TLS, SASL and what stands before a session: THREATS B and C, as far as bytes on a stream can show it."""

import base64

from harness import PASSWORD
from hostile.cases import BYTES, FRAGMENTS, OPENED, WHOLE, Case, at, breaks, ends, fails
from hostile.peer import CLIENTS, SASL, SERVERS, TLS, Unexpected

CASES = []
STARTTLS = f"<starttls xmlns='{TLS}'/>"
IN_CLEAR = at(states=("clear",))
CLIENTS_TLS = at(CLIENTS, ("tls",))
SERVERS_TLS = at(SERVERS, ("tls",))
TLS_OPENED = at(states=("tls",))


def case(row, name, send, expect, where, parted=(WHOLE, BYTES)):
    CASES.append(Case(row, name, send, expect, tuple(where), parted))


def encoded(octets):
    return base64.b64encode(octets.encode() if isinstance(octets, str) else octets).decode()


def auth(mechanism, octets=None, text=None):
    content = text if text is not None else "" if octets is None else encoded(octets)
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{content}</auth>"


# B1: what is injected across STARTTLS is acted on by nobody (CVE-2011-0411).
async def tls_refused(peer):
    said = await peer.rest()
    if said != f"<failure xmlns='{TLS}'/></stream:stream>".encode():
        raise Unexpected(f"wanted only that TLS is refused, got {said[-600:]}")
    return said


for name, behind in (("credentials", auth("PLAIN", b"\0u0\0x")), ("a request", "<iq type='get' id='a'/>"),
                     ("a header", "<?xml version='1.0'?><stream:stream>"), ("another", STARTTLS), ("junk", "x" * 100000),
                     ("a dialback key", "<db:result from='peer.test' to='comity.test'>00</db:result>"),
                     ("white space", " " * 3), ("an end", "</stream:stream>")):
    case("B1", f"{name} behind <starttls/>", STARTTLS + behind, tls_refused, IN_CLEAR, (WHOLE,))


async def tcp_ends(peer):
    """The answer to <starttls/> has been read; then plaintext comes where TLS has to."""
    await peer.until(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    peer.write(f"<auth xmlns='{SASL}' mechanism='PLAIN'>AA==</auth>")
    said = await breaks(peer)
    if b"<" in said:
        raise Unexpected(f"plaintext was answered: {said}")
    return said


case("B1", "plaintext behind <proceed/>", STARTTLS, tcp_ends, IN_CLEAR, (WHOLE,))

# B3: no credential is judged in clear.
for mechanism in ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "ANONYMOUS", "EXTERNAL", "X-NONE"):
    case("B3", f"{mechanism} in clear", auth(mechanism, b"\0u0\0" + PASSWORD.encode()), fails("encryption-required"), IN_CLEAR)
case("B3", "SASL2 in clear", "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>", ends("not-authorized"),
     at(("starttls",), ("clear",)))
case("B3", "jabber:iq:auth", "<iq type='set' id='a'><query xmlns='jabber:iq:auth'><username>u0</username>"
     "<password>x</password></query></iq>", ends("not-authorized"), at(CLIENTS, ("clear", "tls", "sasl")))

# B9: the protocols of others.
for name, text in (("GET", "GET / HTTP/1.1\r\nHost: comity.test\r\n\r\n"), ("POST", "POST / HTTP/1.1\r\n\r\n"),
                   ("EHLO", "EHLO x\r\n"), ("SSH", "SSH-2.0-x\r\n")):
    case("B9", name, text, ends("not-well-formed"), at(("starttls", "direct", "s2s", "s2s_direct"), ("start", "secured")))


async def starttls_refused(peer):
    said = await peer.rest()
    mark = f"<failure xmlns='{TLS}'/>".encode()
    if mark not in said:
        raise Unexpected(f"wanted that TLS is refused, got {said[-600:]}")
    return said


case("B9", "<starttls/> under TLS", STARTTLS, starttls_refused, at(states=("tls",)))


# B10: what is cut off is nothing.
async def cut(peer):
    peer.connection.close()
    said = await breaks(peer)
    return said


for name, text in (("in its body", "<message to='{victim}'{sender}><body>cut"),
                   ("before its last byte", "<message to='{victim}'{sender}><body>cut</body></message")):
    case("B10", f"a message cut {name}",
         lambda peer, text=text: text.format(victim=peer.world.victim,
                                             sender="" if peer.client else " from='m@peer.test'"),
         cut, at(("starttls", "direct"), ("bound",)) + at(SERVERS, ("peer",)), (WHOLE,))

# C1: whom one is, and whom one says that one is (RFC 4616 §2).
WORD = PASSWORD.encode()
for octets, condition in ((b"\0a\0b\0c", "malformed-request"), (b"u0", "malformed-request"), (b"\0u0", "malformed-request"),
                          (b"\0\0" + WORD, "malformed-request"), (b"\0u0\0", "malformed-request"),
                          (b"\0\0", "malformed-request"), (b"u1@comity.test\0u0\0" + WORD, "invalid-authzid"),
                          (b"u0@other.test\0u0\0" + WORD, "invalid-authzid"), (b"u1\0u0\0" + WORD, "invalid-authzid"),
                          (b"\0u0\0wrong", "not-authorized"), (b"\0nobody\0" + WORD, "not-authorized"),
                          (b"\0u@0\0" + WORD, "not-authorized"), (b"\0\xff\0" + WORD, "not-authorized"),
                          (b"\0u0\0" + WORD + b" ", "not-authorized")):
    case("C1", repr(octets)[:40], auth("PLAIN", octets), fails(condition), CLIENTS_TLS, (WHOLE,))
for text in ("!", "A", "AA", "AAA", "AAAA=", "AA==AA==", "A GFsaWNlAGI=", "=A", "=="):
    case("C1", f"base64 {text}", auth("PLAIN", text=text), fails("incorrect-encoding"), CLIENTS_TLS, (WHOLE,))
case("C1", "a message that is too long", auth("PLAIN", text="A" * (1 << 20)), ends("policy-violation"), CLIENTS_TLS, (WHOLE,))

# C3: SCRAM's grammar (RFC 5802 §7), on every transport.
for message, condition in (
        ("y,,n=u0,r=abc", "not-authorized"), ("p=tls-unique,,n=u0,r=abc", "malformed-request"),
        ("p=,,n=u0,r=abc", "malformed-request"), ("x,,n=u0,r=abc", "malformed-request"), ("n,n=u0,r=abc", "malformed-request"),
        ("n,,n=u0,r=", "malformed-request"), ("n,,n=u0", "malformed-request"), ("n,,r=abc,n=u0", "malformed-request"),
        ("n,,n=u0,r=a,r=b", "malformed-request"), ("n,,n=u0,n=u1,r=a", "malformed-request"),
        ("n,,m=x,n=u0,r=abc", "malformed-request"), ("n,,n=u=0,r=abc", "malformed-request"),
        ("n,a=u1@comity.test,n=u0,r=abc", "invalid-authzid"), ("c=biws,r=abc,p=AAAA", "malformed-request"),
        ("n,,n=u0,r=a b", "malformed-request"), ("n,,n=,r=abc", "malformed-request")):
    # Behind a proxy, and on a WebSocket, what binds to a channel may not be offered: there "y" is the truth.
    case("C3", message, auth("SCRAM-SHA-256", message), fails(condition), CLIENTS_TLS, (WHOLE,))
for name, element in (("a response first", f"<response xmlns='{SASL}'>AA==</response>"),
                      ("<success/> of a client", f"<success xmlns='{SASL}'/>")):
    case("C3", name, element, fails("malformed-request"), TLS_OPENED)
case("C3", "<abort/> of nothing", f"<abort xmlns='{SASL}'/>", fails("aborted"), TLS_OPENED)
case("C3", "<auth/> behind the login", auth("PLAIN", b"\0u0\0x"), ends("not-authorized"),
     at(states=("sasl", "bound", "resumed", "peer")))

# C4: what is not offered is not accepted.
for mechanism in ("ANONYMOUS", "X-OAUTH2", "plain", "EXTERNAL", "DIGEST-MD5", "scram-sha-1", "", "SCRAM-SHA-256-PLUS-PLUS"):
    case("C4", f"{mechanism or 'no'} mechanism", auth(mechanism, b"\0u0\0" + WORD), fails("invalid-mechanism"), CLIENTS_TLS)
for mechanism in ("ANONYMOUS", "PLAIN", "SCRAM-SHA-1", "external", ""):
    case("C4", f"{mechanism or 'no'} mechanism for servers", auth(mechanism, b"\0u0\0" + WORD), fails("invalid-mechanism"),
         SERVERS_TLS)
for name, authzid, condition in (("another domain", "other.test", "invalid-authzid"), ("ours", "comity.test", "invalid-authzid"),
                                 ("a user there", "u@peer.test", "invalid-authzid"),
                                 ("a subdomain", "a.peer.test", "invalid-authzid")):
    case("C4", f"EXTERNAL for {name}", auth("EXTERNAL", authzid), fails(condition), SERVERS_TLS)
case("C4", "EXTERNAL that is no base64", auth("EXTERNAL", text="!"), fails("incorrect-encoding"), SERVERS_TLS)

# C5: nobody becomes somebody else by a restart.
for name, attributes in (("another host", {"to": "other.test"}), ("another user", {"from": "u9x@comity.test"}),
                         ("both", {"to": "other.test", "from": "u0@other.test"})):
    case("C5", name, lambda peer, attributes=attributes: peer.header(**attributes),
         ends("invalid-from" if "to" not in attributes else "not-authorized"), at(CLIENTS, ("restart",)))
for name, attributes, condition in (("another server", {"from": "other.peer.test"}, "improper-addressing"),
                                    ("one of ours", {"from": "comity.test"}, "not-authorized")):
    case("C5", name, lambda peer, attributes=attributes: peer.header(**attributes), ends(condition), at(SERVERS, ("restart",)))

# C7: nothing but negotiation before authentication (RFC 6120 §4.9.3.12), and before binding.
UNAUTHENTICATED = [each for each in OPENED if each[1] in ("clear", "tls", "sasl")]
for text in ("<message to='{victim}'{sender}><body>x</body></message>", "<presence to='{victim}'{sender}/>",
             "<iq type='get' id='a' to='{victim}'{sender}><ping xmlns='urn:xmpp:ping'/></iq>"):
    case("C7", text[:9], lambda peer, text=text: text.format(
        victim=peer.world.victim, sender="" if peer.client else " from='m@peer.test'"), ends("not-authorized"),
        UNAUTHENTICATED, (WHOLE, BYTES, FRAGMENTS))
case("C7", "binding too early", "<iq type='set' id='a'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
     ends("not-authorized"), at(CLIENTS, ("clear", "tls")))
