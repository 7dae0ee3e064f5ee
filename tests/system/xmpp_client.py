"""A small XMPP client of its own, by the standard library alone: for `deploy/quickstart --check` and the system tests.

Blocking, one thread, every wait bounded. Nothing here is shared with the server's code, so a fault in one is not
hidden by the same fault in the other.

    with Client(host, port, domain, user, password, method="direct", cafile="run/ca.crt") as client:
        client.login()                              # TCP, TLS, SASL and binding; client.jid is the full JID
        client.presence()
        client.message("bob@localhost", "hello")
        answer = client.wait_for(is_message("hello to you"))
        result = client.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
                                                    # leaving says </stream:stream> and waits for the server's

`method` is "starttls" or "direct". `mechanism` names the one SASL mechanism to use; without it the strongest offered
is taken: SCRAM-SHA-512-PLUS down to SCRAM-SHA-1, and PLAIN only when named. The -PLUS variants bind by
tls-server-end-point, the one channel binding that Python's ssl lets a TLS 1.3 client compute.

The steps of `login()` can be made one by one: connect(), open_stream(), start_tls(), authenticate(mechanism), bind(resource).
Elements are xml.etree Elements with names in Clark notation ("{jabber:client}message").

    next(timeout)            the next top-level element; StreamClosed at the stream's end, TimeoutError when none comes
    wait_for(what, timeout)  the next element for which what(element) is true; others before it stay for later calls
    pending()                what has arrived and nobody has taken
    send(text or bytes)      as it is, unchecked

Below XML, for hostile input: raw(host, port) connects and negotiates nothing; then send(), start_tls_now() for TLS
at once, receive_until(bytes) and receive_all(), which reads until the peer closes.
"""

import argparse
import base64
import collections
import hashlib
import hmac
import itertools
import os
import re
import socket
import ssl
import stat
import sys
import time
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape, quoteattr

CLIENT = "jabber:client"
STREAM = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
CHANNEL_BINDING = "urn:xmpp:sasl-cb:0"

PREFERENCE = ("SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-256",
              "SCRAM-SHA-1")


class StreamError(Exception):
    """The server sent <stream:error/>; `condition` is the name of its defined condition."""

    def __init__(self, element):
        self.element = element
        self.condition = next((local(child) for child in element if local(child) != "text"), "")
        super().__init__(self.condition)


class StreamClosed(Exception):
    """The stream, or the connection below it, ended. `polite`: the server said </stream:stream> first."""

    def __init__(self, polite):
        self.polite = polite
        super().__init__("the stream was closed" if polite else "the connection ended without </stream:stream>")


class AuthenticationFailed(Exception):
    """The server refused the login, or did not prove itself; `condition` is that of RFC 6120 §6.5."""

    def __init__(self, condition):
        self.condition = condition
        super().__init__(condition)


def local(element):
    """An element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def is_message(body, sender=None):
    """For wait_for: a message with this body, and from this bare or full JID if one is given."""
    def matches(element):
        if element.tag != f"{{{CLIENT}}}message" or element.findtext(f"{{{CLIENT}}}body") != body:
            return False
        return sender is None or element.get("from", "") == sender or element.get("from", "").split("/")[0] == sender
    return matches


def error_condition(stanza):
    """The defined condition of a stanza of type error; None if it is no error."""
    error = stanza.find(f"{{{CLIENT}}}error")
    if error is None:
        return None
    return next((local(child) for child in error if local(child) != "text"), "")


class _Framing:
    """Turns the bytes of one stream into its header, its top-level elements and its end."""

    def __init__(self):
        self.parser = ElementTree.XMLPullParser(("start", "end"))
        self.depth = 0
        self.header = None

    def feed(self, data):
        """The (kind, element) pairs that `data` completes; the kinds are "header", "element" and "end"."""
        self.parser.feed(data)
        if hasattr(self.parser, "flush"):
            self.parser.flush()
        for event, element in self.parser.read_events():
            if event == "start":
                self.depth += 1
                if self.depth == 1:
                    self.header = element
                    yield "header", element
                continue
            self.depth -= 1
            if self.depth == 1:
                self.header.remove(element)
                yield "element", element
            elif self.depth == 0:
                yield "end", element


class Client:
    """One connection. Not safe for use by two threads at once."""

    def __init__(self, host, port, domain, user, password, method="starttls", cafile=None, *, mechanism=None,
                 resource=None, timeout=20.0, context=None, alpn=("xmpp-client",)):
        """Opens nothing. `host` is where to connect, `domain` whom to expect there; `user` is the localpart.

        `context` overrides the TLS context made from `cafile`; `alpn` is offered on direct TLS only.
        """
        if method not in ("starttls", "direct"):
            raise ValueError(f"method is starttls or direct, not {method!r}")
        self.host, self.port, self.domain = host, port, domain
        self.user, self.password = user, password
        self.method, self.mechanism, self.resource = method, mechanism, resource
        self.timeout = timeout
        self.context = context or tls_context(cafile)
        if method == "direct" and alpn:
            self.context.set_alpn_protocols(list(alpn))
        self.socket = None
        self.jid = None
        self.header = None
        self.features = None
        self.used_mechanism = None
        self._framing = None
        self._arrived = collections.deque()
        self._skipped = collections.deque()
        self._ended = False
        self._closed_ours = False
        self._ids = itertools.count(1)

    @classmethod
    def raw(cls, host, port, *, domain="localhost", cafile=None, context=None, timeout=20.0):
        """A connected client that has negotiated nothing and sent nothing."""
        client = cls(host, port, domain, "", "", cafile=cafile, context=context, timeout=timeout)
        client._connect_tcp()
        return client

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.close()
        else:
            self.abort()

    # Connection

    def _connect_tcp(self):
        if str(self.host).startswith("/"):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(self.timeout)
            self.socket.connect(self.host)
        else:
            self.socket = socket.create_connection((self.host, self.port), self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connect(self):
        """TCP, and TLS where the method is "direct". The certificate must be the domain's, by an authority we trust."""
        self._connect_tcp()
        if self.method == "direct":
            self.start_tls_now()

    def start_tls_now(self):
        """The TLS handshake, at this very point of the connection."""
        self.socket.settimeout(self.timeout)
        self.socket = self.context.wrap_socket(self.socket, server_hostname=self.domain)

    def tls_version(self):
        """"TLSv1.3" and the like; None on a connection without TLS."""
        return self.socket.version() if isinstance(self.socket, ssl.SSLSocket) else None

    def alpn(self):
        """The protocol that the server chose, or None."""
        return self.socket.selected_alpn_protocol() if isinstance(self.socket, ssl.SSLSocket) else None

    def login(self):
        """Everything from TCP to a bound resource; returns the full JID."""
        self.connect()
        self.open_stream()
        if self.method == "starttls":
            self.start_tls()
        self.authenticate(self.mechanism)
        return self.bind(self.resource)

    def close(self, timeout=None):
        """Ends the stream politely and waits for the server to do the same; True if it did."""
        if self.socket is None:
            return self._ended
        try:
            if self._framing is not None:
                self.send_close()
                deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
                while not self._ended:
                    self._receive(deadline)
        except (StreamClosed, OSError):
            pass
        finally:
            self.abort()
        return self._ended

    def send_close(self):
        """</stream:stream>, once."""
        if not self._closed_ours:
            self._closed_ours = True
            self.send("</stream:stream>")

    def abort(self):
        """Ends the connection without a word."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    # Bytes

    def send(self, data):
        """Sends text or bytes as they are."""
        self.socket.settimeout(self.timeout)
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def _read(self, deadline):
        """Some bytes, b"" at the connection's end. Raises TimeoutError at the deadline."""
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError(f"nothing from {self.host}:{self.port} within the time")
        self.socket.settimeout(remaining)
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def receive_until(self, mark, timeout=None):
        """Raw bytes up to the read in which `mark` came; fewer if the peer closes. Not to be mixed with next()."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        received = b""
        while mark is None or mark not in received:
            data = self._read(deadline)
            if not data:
                break
            received += data
        return received

    def receive_all(self, timeout=None):
        """Raw bytes until the peer closes; TimeoutError if it does not."""
        return self.receive_until(None, timeout)

    # Elements

    def _receive(self, deadline):
        if self._framing is None:
            raise RuntimeError("open_stream() comes first")
        data = self._read(deadline)
        if not data:
            polite, self._ended = self._ended, True
            raise StreamClosed(polite)
        for kind, element in self._framing.feed(data):
            if kind == "header":
                self.header = element
            elif kind == "element":
                self._arrived.append(element)
            else:
                self._ended = True

    def _next_arrived(self, deadline):
        while not self._arrived:
            if self._ended:
                raise StreamClosed(True)
            self._receive(deadline)
        return self._arrived.popleft()

    def next(self, timeout=None):
        """The next top-level element, oldest first, and a <stream:error/> like any other."""
        if self._skipped:
            return self._skipped.popleft()
        return self._next_arrived(time.monotonic() + (self.timeout if timeout is None else timeout))

    def wait_for(self, what, timeout=None):
        """The first element for which what(element) holds. StreamError if the server sends one in its place."""
        for index, element in enumerate(self._skipped):
            if what(element):
                del self._skipped[index]
                return element
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while True:
            element = self._next_arrived(deadline)
            if what(element):
                return element
            if element.tag == f"{{{STREAM}}}error":
                raise StreamError(element)
            self._skipped.append(element)

    def pending(self):
        """Takes all elements that have come and were not asked for."""
        taken = [*self._skipped, *self._arrived]
        self._skipped.clear()
        self._arrived.clear()
        return taken

    def stream_error(self, timeout=None):
        """The condition of the stream error that must come next, after whatever else is still on its way."""
        return StreamError(self.wait_for(lambda element: element.tag == f"{{{STREAM}}}error", timeout)).condition

    def closed(self, timeout=None):
        """Reads on until the connection ends; True if </stream:stream> came before. TimeoutError if it does not end."""
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            while True:
                self._receive(deadline)
        except StreamClosed as end:
            self.abort()
            return end.polite

    # Negotiation

    def stream_header(self, **attributes):
        """Our stream header as text; attributes override, and None takes one out."""
        values = {"to": self.domain, "version": "1.0", "xml:lang": "en", "xmlns": CLIENT, "xmlns:stream": STREAM}
        values.update(attributes)
        written = " ".join(f"{name}={quoteattr(value)}" for name, value in values.items() if value is not None)
        return f"<?xml version='1.0'?><stream:stream {written}>"

    def open_stream(self, **attributes):
        """Opens, or restarts, the stream and returns the server's features."""
        self._framing = _Framing()
        self._ended = self._closed_ours = False
        self.send(self.stream_header(**attributes))
        self.features = self.wait_for(lambda element: element.tag == f"{{{STREAM}}}features")
        return self.features

    def start_tls(self):
        """STARTTLS on a stream that offers it, and the stream that follows; returns its features."""
        if self.features.find(f"{{{TLS}}}starttls") is None:
            raise RuntimeError("the server does not offer STARTTLS")
        self.send(f"<starttls xmlns='{TLS}'/>")
        answer = self.next()
        if answer.tag != f"{{{TLS}}}proceed":
            raise RuntimeError(f"STARTTLS was answered by <{local(answer)}/>")
        if self._arrived:
            raise RuntimeError("plaintext after <proceed/>")
        self.start_tls_now()
        return self.open_stream()

    def mechanisms(self):
        """The names of the SASL mechanisms offered."""
        return [each.text for each in self.features.findall(f"{{{SASL}}}mechanisms/{{{SASL}}}mechanism")]

    def authenticate(self, mechanism=None, **attributes):
        """SASL and the stream restart; AuthenticationFailed by the server's condition, or ours about its proof.

        `attributes` are those of the new stream's header, as for stream_header().
        """
        offered = self.mechanisms()
        if mechanism is None:
            mechanism = next((name for name in PREFERENCE if name in offered and self._can_bind(name)), None)
        if mechanism is None or mechanism not in offered:
            raise AuthenticationFailed("no-common-mechanism")
        if mechanism == "PLAIN":
            self._exchange_plain()
        else:
            self._exchange_scram(mechanism, offered)
        self.used_mechanism = mechanism
        return self.open_stream(**attributes)

    def _can_bind(self, mechanism):
        """True if the mechanism needs no channel binding, or one that we have."""
        if not mechanism.endswith("-PLUS"):
            return True
        kinds = [each.get("type") for each in self.features.iter(f"{{{CHANNEL_BINDING}}}channel-binding")]
        return not kinds or "tls-server-end-point" in kinds

    def _sasl_answer(self, expected):
        answer = self.next()
        if answer.tag == f"{{{SASL}}}failure":
            raise AuthenticationFailed(next((local(child) for child in answer if local(child) != "text"), ""))
        if answer.tag != f"{{{SASL}}}{expected}":
            raise AuthenticationFailed(f"unexpected <{local(answer)}/>")
        return base64.b64decode(answer.text or "")

    def _exchange_plain(self):
        secret = base64.b64encode(b"\0" + self.user.encode() + b"\0" + self.password.encode()).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>")
        self._sasl_answer("success")

    def _exchange_scram(self, mechanism, offered):
        plus = mechanism.endswith("-PLUS")
        digest = mechanism.removesuffix("-PLUS").removeprefix("SCRAM-").replace("-", "").lower()
        if plus:
            binding_flag = "p=tls-server-end-point"
            binding = server_end_point(self.socket.getpeercert(binary_form=True))
        else:
            # RFC 5802 §6: "y" only if we could bind and the server seems unable to.
            binding_flag = "n" if any(name.endswith("-PLUS") for name in offered) else "y"
            binding = b""
        nonce = base64.b64encode(os.urandom(24)).decode()
        name = self.user.replace("=", "=3D").replace(",", "=2C")
        first_bare = f"n={name},r={nonce}"
        first = f"{binding_flag},,{first_bare}"
        self.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{base64.b64encode(first.encode()).decode()}</auth>")

        server_first = self._sasl_answer("challenge").decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        if not fields.get("r", "").startswith(nonce) or fields["r"] == nonce:
            raise AuthenticationFailed("the server's nonce does not extend ours")
        salted = hashlib.pbkdf2_hmac(digest, self.password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        bound = base64.b64encode(f"{binding_flag},,".encode() + binding).decode()
        final_bare = f"c={bound},r={fields['r']}"
        signed = f"{first_bare},{server_first},{final_bare}".encode()
        client_key = hmac.digest(salted, b"Client Key", digest)
        signature = hmac.digest(hashlib.new(digest, client_key).digest(), signed, digest)
        proof = bytes(key ^ mask for key, mask in zip(client_key, signature))
        final = f"{final_bare},p={base64.b64encode(proof).decode()}".encode()
        self.send(f"<response xmlns='{SASL}'>{base64.b64encode(final).decode()}</response>")

        server_final = self._sasl_answer("success").decode()
        expected = hmac.digest(hmac.digest(salted, b"Server Key", digest), signed, digest)
        if not hmac.compare_digest(server_final, "v=" + base64.b64encode(expected).decode()):
            raise AuthenticationFailed("the server did not prove that it knows the password")

    def bind(self, resource=None):
        """Binds a resource, the server's choice without one; returns the full JID."""
        wish = f"<resource>{escape(resource)}</resource>" if resource else ""
        result = self.iq("set", f"<bind xmlns='{BIND}'>{wish}</bind>")
        self.jid = result.findtext(f"{{{BIND}}}bind/{{{BIND}}}jid")
        if not self.jid:
            raise RuntimeError(f"binding failed: {error_condition(result)}")
        return self.jid

    # Stanzas

    def message(self, to, body, kind="chat", identifier=None, extra=""):
        """Sends a message; returns its id. `extra` is XML that follows the body."""
        identifier = identifier or f"m{next(self._ids)}"
        self.send(f"<message to={quoteattr(to)} type={quoteattr(kind)} id={quoteattr(identifier)}>"
                  f"<body>{escape(body)}</body>{extra}</message>")
        return identifier

    def presence(self, to=None, kind=None, content=""):
        """Sends presence; available to all without arguments."""
        to = f" to={quoteattr(to)}" if to else ""
        kind = f" type={quoteattr(kind)}" if kind else ""
        self.send(f"<presence{to}{kind}>{content}</presence>")

    def iq(self, kind, content, to=None, timeout=None):
        """Sends a request and returns its answer, a result or an error."""
        identifier = f"q{next(self._ids)}"
        to = f" to={quoteattr(to)}" if to else ""
        self.send(f"<iq type='{kind}' id='{identifier}'{to}>{content}</iq>")
        return self.wait_for(lambda element: element.tag == f"{{{CLIENT}}}iq" and element.get("id") == identifier
                             and element.get("type") in ("result", "error"), timeout)


def tls_context(cafile):
    """A context that trusts the authority in `cafile` alone (the system's without one) and checks names."""
    context = ssl.create_default_context(cafile=None if cafile is None else str(cafile))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


# The DER of the signature algorithms' object identifiers, and the digest that each signs by.
_SIGNATURE_DIGESTS = {
    "1.2.840.113549.1.1.12": "sha384",  # sha384WithRSAEncryption
    "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.10045.4.3.3": "sha384",  # ecdsa-with-SHA384
    "1.2.840.10045.4.3.4": "sha512",
}


def server_end_point(certificate):
    """The tls-server-end-point binding of a DER certificate. RFC 5929 §4.1: MD5 and SHA-1 are replaced by SHA-256."""
    return hashlib.new(_SIGNATURE_DIGESTS.get(_signature_algorithm(certificate), "sha256"), certificate).digest()


def _der(data, at):
    """The tag, the content's start and its end, of the DER element at an offset."""
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start:start + count], "big"), start + count
    return tag, start, start + length


def _signature_algorithm(certificate):
    """RFC 5280 §4.1: Certificate is tbsCertificate, signatureAlgorithm, signature; the algorithm begins by its name."""
    _, inside, _ = _der(certificate, 0)
    _, _, after_tbs = _der(certificate, inside)
    _, algorithm, _ = _der(certificate, after_tbs)
    _, start, end = _der(certificate, algorithm)
    arcs, value = [], 0
    for byte in certificate[start:end]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    return ".".join(str(arc) for arc in (*divmod(arcs[0], 40), *arcs[1:]))


def _password_from(path):
    if stat.S_IMODE(os.stat(path).st_mode) & 0o077:
        sys.exit(f"{path}: readable by others; chmod 600 it")
    with open(path, encoding="utf-8") as file:
        return file.read().rstrip("\n")


def main():
    parser = argparse.ArgumentParser(description="Log in to an XMPP server and print what it offers.")
    parser.add_argument("jid", help="user@domain")
    parser.add_argument("--password-file", required=True)
    parser.add_argument("--connect", default="127.0.0.1:5222", help="host:port")
    parser.add_argument("--method", choices=("starttls", "direct"), default="starttls")
    parser.add_argument("--mechanism")
    parser.add_argument("--cafile")
    arguments = parser.parse_args()
    user, _, domain = arguments.jid.partition("@")
    host, port = re.fullmatch(r"\[?(.*?)\]?:(\d+)", arguments.connect).groups()
    with Client(host, int(port), domain, user, _password_from(arguments.password_file), arguments.method,
                arguments.cafile, mechanism=arguments.mechanism) as client:
        jid = client.login()
        print(f"{jid}: {arguments.method}, {client.tls_version()}, ALPN {client.alpn()}, {client.used_mechanism}")
        print(ElementTree.tostring(client.features, encoding="unicode"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
