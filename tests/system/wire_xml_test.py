"""XML as hostile peers send it, over real sockets: THREATS A1-A8, A10-A16."""

import unittest
import xml.etree.ElementTree as ElementTree

import wire
from harness import SANITIZED, SystemTest
from xmpp_client import CLIENT, error_condition, is_message

BOMB = "<!DOCTYPE s [<!ENTITY a0 'lol'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 10)) + "]>"
LIMIT_BEFORE = 10000
LIMIT_AFTER = 256 * 1024


class Refusals(SystemTest):
    """What the answer must be, whoever sends it: most are sent in clear, where the same framer and parser read."""

    options = {"users": ["mallory", "victim"],
               "settings": {"limits": {"unauthenticated_per_ip": 2000, "connections_per_ip": 5000}}}

    def assert_refused(self, condition, data, features_first=True, split=True):
        conditions = condition if isinstance(condition, tuple) else (condition,)
        whole = wire.everything_sent(self.server, data, features_first=features_first)
        self.assertIn(wire.error_of(self.with_header(whole, features_first)), conditions, f"{data!r}: {whole}")
        if split:
            for at, received in enumerate(wire.at_every_split(self.server, data, features_first), 1):
                self.assertIn(wire.error_of(self.with_header(received, features_first)), conditions,
                              f"{data!r} split at {at}: {received}")

    @staticmethod
    def with_header(received, features_first):
        # The header that went before the features has been read already.
        return (b"<stream:stream id='read'>" if features_first else b"") + received

    def assert_refused_after_login(self, condition, data):
        """The same for a user who has logged in, with a message behind it that nobody may get."""
        conditions = condition if isinstance(condition, tuple) else (condition,)
        data = data.encode() if isinstance(data, str) else data
        with self.server.control() as (victim, _):
            client = self.server.login("mallory", "direct")
            try:
                client.send(data + f"<message to='{victim.jid}'><body>behind</body></message>".encode())
                self.assertIn(client.stream_error(), conditions, data)
                self.assertTrue(client.closed(), "</stream:stream> follows")
            finally:
                client.abort()
            self.assertEqual([each for each in victim.pending() if each.tag == f"{{{CLIENT}}}message"], [])

    def test_doctype_is_refused_where_it_begins(self):  # THREATS A1, RFC 6120 §11.1
        self.assert_refused("restricted-xml", BOMB, features_first=False, split=False)
        self.assert_refused("restricted-xml", BOMB, split=False)
        self.assert_refused("restricted-xml", "<!DOCTYPE s [<!ENTITY a 'b'>]>", features_first=False)
        self.assert_refused("restricted-xml", "<!DOCTYPE s>")
        self.assert_refused("restricted-xml", f"<message>{BOMB}<body>&a9;</body></message>", split=False)
        self.assert_refused_after_login("restricted-xml", BOMB)
        self.assert_refused_after_login("restricted-xml", f"<message><body>{BOMB}&a9;</body></message>")

    def test_comments_and_processing_instructions_are_refused(self):  # THREATS A2, RFC 6120 §11.1
        for data in ("<!-- x -->", "<?foo bar?>", "<message><!-- x --></message>", "<message><?foo bar?></message>",
                     "<?xml version='1.0'?>", "<message>&foo;</message>", "<message a='&foo;'/>"):
            with self.subTest(data):
                self.assert_refused("restricted-xml", data)
                self.assert_refused_after_login("restricted-xml", data)
        for data in ("<!-- x -->", "<?foo bar?>", "<?xml version='1.0' standalone='no'?>" + wire.HEADER[21:]):
            with self.subTest(data):
                self.assert_refused("restricted-xml", data, features_first=False)

    def test_nothing_but_utf_8(self):  # THREATS A3, RFC 6120 §11.6
        stream = wire.HEADER[21:].encode()
        self.assert_refused("unsupported-encoding", b"<?xml version='1.0' encoding='ISO-8859-1'?>" + stream,
                            features_first=False)
        self.assert_refused(("unsupported-encoding", "not-well-formed"), wire.HEADER.encode("utf-16"),
                            features_first=False, split=False)
        self.assert_refused(("unsupported-encoding", "not-well-formed"), b"\xfe\xff\0<\0s", features_first=False)
        # Policy: no byte order mark either.
        self.assert_refused("not-well-formed", b"\xef\xbb\xbf" + wire.HEADER.encode(), features_first=False,
                            split=False)

    def test_what_is_no_utf_8_or_no_xml_character(self):  # THREATS A4
        bad = [b"\xeb\x3c\x3e", b"\xc0\xbc", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbf\xbe", b"\xef\xbf\xbf",
               b"&#0;", b"&#x1;", b"&#xD800;", b"\x80", b"\xe2\x82", *(bytes([byte]) for byte in range(0x20)
                                                                      if byte not in b"\t\n\r")]
        for octets in bad:
            for before, behind in ((b"<message><body>", b"</body></message>"), (b"<message a='", b"'/>"),
                                   (b"<message><a", b"/></message>")):
                data = before + octets + behind
                with self.subTest(data):
                    self.assert_refused("not-well-formed", data, split=len(octets) > 1 and octets != b"&#x1;")
        self.assert_refused("not-well-formed", b"<message><aaa\xeb/></message>")

    def test_what_is_no_utf_8_reaches_nobody(self):  # THREATS A4
        with self.server.control() as (victim, _):
            for octets in (b"\xeb\x3c\x3e", b"\xc0\xbc", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xef\xbf\xbe", b"&#0;",
                           b"\x1b"):
                client = self.server.login("mallory", available=False)
                client.send(f"<message to='{victim.jid}'><body>".encode() + octets + b"</body></message>")
                self.assertEqual(client.stream_error(), "not-well-formed")
                client.abort()
            self.assertEqual([each for each in victim.pending() if each.tag == f"{{{CLIENT}}}message"], [])

    def test_undeclared_and_reserved_prefixes(self):  # THREATS A7
        for data in ("<p:message/>", "<message p:a='b'/>", "<message xmlns:xml='u'/>", "<message xmlns:p=''/>",
                     "<message xmlns:xmlns='u'/>"):
            with self.subTest(data):
                self.assert_refused("bad-namespace-prefix", data)
        # The prefix "stream" is bound by the stream header alone.
        other = ("<s:stream to='comity.test' version='1.0' xmlns='jabber:client' "
                 "xmlns:s='http://etherx.jabber.org/streams'>")
        received = wire.everything_sent(self.server, other + "<stream:features/>")
        self.assertIn(b"<bad-namespace-prefix", received)
        received = wire.everything_sent(self.server, other + "<s:features/>")
        self.assertIn(b"<bad-format", received)

    def test_namespace_separators_separate_nothing(self):  # THREATS A6
        self.assert_refused("not-well-formed", "<p:message xmlns:p='jabber:client&#x1;message'/>")
        self.assert_refused("not-well-formed", b"<p:message xmlns:p='jabber:client\x0cmessage'/>")
        for between in ("\n", "&#10;", "|", " "):
            with self.subTest(between):
                data = f"<p:message xmlns:p='jabber:client{between}message'/>"
                self.assert_refused("not-authorized", data)
                self.assert_refused_after_login("unsupported-stanza-type", data)

    def test_misuse_at_stream_level(self):  # THREATS A8
        self.assert_refused("bad-format", "hello")
        self.assert_refused("bad-format", "<![CDATA[hello]]>")
        for data in ("<message></iq>", "<message a='b' a='c'/>", "<message><body></message></body>",
                     "<message a=b/>", "</stream:streams>"):
            with self.subTest(data):
                self.assert_refused("not-well-formed", data)
        self.assert_refused("bad-format", wire.HEADER[21:-1] + "/>")
        self.assert_refused("bad-format", wire.HEADER[21:])  # and unclosed, as in a restart that is none
        for data in ("<foo xmlns='jabber:client'/>", "<message xmlns='foo:bar'/>", "<foo xmlns='foo:bar'/>"):
            with self.subTest(data):
                self.assert_refused_after_login("unsupported-stanza-type", data)

    def test_compression_is_not_to_be_had(self):  # THREATS A16, XEP-0138
        ask = "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>"

        def assert_no_compression(client):
            self.assertNotIn("compress", ElementTree.tostring(client.features, encoding="unicode"))
            client.send(ask)
            answer = client.next()
            self.assertEqual(answer.tag, "{http://jabber.org/protocol/compress}failure")
            self.assertEqual([child.tag for child in answer],
                             ["{http://jabber.org/protocol/compress}unsupported-method"])

        with self.server.client("mallory") as client:
            client.connect()
            client.open_stream()
            assert_no_compression(client)
            client.start_tls()
            assert_no_compression(client)
            client.authenticate()
            assert_no_compression(client)
            client.bind()
            assert_no_compression(client)
            self.assertEqual(client.iq("get", "<ping xmlns='urn:xmpp:ping'/>", self.server.domain).get("type"), "result")


class Smuggling(SystemTest):
    """What a recipient gets of stanzas made to be read differently by somebody: THREATS A4, A5."""

    options = {"users": ["mallory", "victim"]}

    def setUp(self):
        self.mallory = self.server.login("mallory", "direct")
        self.victim = self.server.login("victim")
        self.addCleanup(self.mallory.close)
        self.addCleanup(self.victim.close)

    def test_elements_of_the_stream_are_not_relayed(self):  # THREATS A5
        for child in ("<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>",
                      "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
                      "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>evil</see-other-host></stream:error>",
                      "<x xmlns='u'><y xmlns='http://etherx.jabber.org/streams'/></x>",
                      "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
                      "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
                      "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"):
            with self.subTest(child):
                identifier = self.mallory.message(self.victim.jid, "x", extra=child)
                refused = self.mallory.wait_for(lambda each: each.get("id") == identifier)
                self.assertEqual(error_condition(refused), "policy-violation")
        self.mallory.message(self.victim.jid, "last")
        self.victim.wait_for(is_message("last"))
        self.assertEqual(self.victim.pending(), [])

    def test_the_end_of_the_stream_inside_a_stanza(self):  # THREATS A5
        self.mallory.send(f"<message to='{self.victim.jid}'><body>x</stream:stream></message>")
        self.assertEqual(self.mallory.stream_error(), "not-well-formed")

    def test_what_arrives_is_the_tree_that_was_sent(self):  # THREATS A4
        content = ("<a xmlns='u:1' xmlns:p='u:2' p:q='&lt;&amp;&#39;&quot;&#9;&#10;&#13;]]&gt;' q=\"it's\"><p:b/>"
                   "<![CDATA[<message to='x'>]]>&#x10FFFF;\u00e9&#13;<c xmlns='jabber:server'/><c xmlns=''/>"
                   "<stream xmlns='u:3'>]]&gt;</stream></a>")
        self.mallory.message(self.victim.jid, "tree", extra=content)
        got = self.victim.wait_for(is_message("tree"))
        sent = ElementTree.fromstring(f"<message xmlns='jabber:client'>{content}</message>")

        def tree(element):
            return (element.tag, sorted(element.attrib.items()), element.text, element.tail,
                    [tree(child) for child in element])
        self.assertEqual(tree(got.find("{u:1}a")), tree(sent.find("{u:1}a")))


class Limits(SystemTest):
    """Each at L-1, L and L+1, before and after login: THREATS A10-A13."""

    options = {"users": ["mallory", "victim"]}

    def before(self, data):
        """(answer, stream error, the error's details) to an element before login; one of the two is None."""
        client = self.server.raw()
        try:
            client.send(wire.HEADER)
            client.receive_until(b"</stream:features>")
            client.send(data)
            received = client.receive_until(b">" if data.startswith("<compress") else None)
            if b"<stream:error>" not in received:
                return received, None, ""
            received += client.receive_all()
            whole = b"<stream:stream >" + received
            return None, wire.error_of(whole), wire.details_of(whole)
        finally:
            client.abort()

    def assert_too_big_before(self, data):
        _, error, details = self.before(data)
        self.assertEqual(error, "policy-violation", data[:60])
        self.assertEqual(details, "<stanza-too-big xmlns='urn:xmpp:errors'/>")

    def assert_answered_before(self, data):
        answer, error, _ = self.before(data)
        self.assertIsNone(error, data[:60])
        self.assertIn(b"<failure", answer)

    def test_bytes_of_an_element_before_login(self):  # THREATS A10, RFC 6120 §13.12, L08
        def compress(size, shape):
            before, behind = {
                "text": ("<compress xmlns='http://jabber.org/protocol/compress'>", "</compress>"),
                "attribute": ("<compress xmlns='http://jabber.org/protocol/compress' a='", "'/>"),
                "cdata": ("<compress xmlns='http://jabber.org/protocol/compress'><![CDATA[", "]]></compress>"),
                "tag": ("<compress xmlns='http://jabber.org/protocol/compress'", "/>"),
            }[shape]
            filling = " " if shape == "tag" else "x"
            return before + filling * (size - len(before) - len(behind)) + behind
        for shape in ("text", "attribute", "cdata", "tag"):
            with self.subTest(shape):
                self.assert_answered_before(compress(LIMIT_BEFORE - 1, shape))
                self.assert_answered_before(compress(LIMIT_BEFORE, shape))
                self.assert_too_big_before(compress(LIMIT_BEFORE + 1, shape))
                # Refused when it is known, not when its end tag comes.
                self.assert_too_big_before(compress(LIMIT_BEFORE + 100, shape)[:LIMIT_BEFORE])
        with self.subTest("white space"):
            ask = compress(100, "text")
            self.assert_answered_before_after_space(LIMIT_BEFORE - 1, ask)
            self.assert_answered_before_after_space(LIMIT_BEFORE, ask)
            self.assert_too_big_before(" " * (LIMIT_BEFORE + 1))
        self.assertEqual(self.before("<compress><!--" + "x" * LIMIT_BEFORE)[1], "restricted-xml")

    def assert_answered_before_after_space(self, size, ask):
        client = self.server.raw()
        try:
            client.send(wire.HEADER)
            client.receive_until(b"</stream:features>")
            client.send(" " * size + ask)
            self.assertIn(b"<failure", client.receive_until(b"</failure>"))
        finally:
            client.abort()

    def test_bytes_of_the_stream_header(self):  # THREATS A9, A10
        received = wire.everything_sent(self.server, wire.HEADER[:-1] + " a='" + "x" * 65536 + "'>")
        self.assertEqual(wire.error_of(received), "policy-violation")

    def test_elements_before_login(self):  # THREATS A11
        def compress(elements):
            return "<compress xmlns='http://jabber.org/protocol/compress'>" + "<a/>" * (elements - 1) + "</compress>"
        self.assert_answered_before(compress(31))
        self.assert_answered_before(compress(32))
        self.assertEqual(self.before(compress(33))[1], "policy-violation")

    def assert_after_login(self, passes, content, label):
        """A message of that content reaches the victim, or ends the stream and does not."""
        with self.subTest(label), self.server.login("victim", available=True) as victim:
            client = self.server.login("mallory", available=False)
            try:
                client.send(content(victim.jid))
                if passes:
                    victim.wait_for(lambda each: each.tag == f"{{{CLIENT}}}message")
                else:
                    error = client.wait_for(lambda each: each.tag.endswith("}error"))
                    self.assertEqual([child.tag for child in error if "xmpp-streams" in child.tag],
                                     ["{urn:ietf:params:xml:ns:xmpp-streams}policy-violation"])
                    self.assertEqual(victim.pending(), [])
                    if label.startswith("bytes"):
                        self.assertIsNotNone(error.find("{urn:xmpp:errors}stanza-too-big"))
            finally:
                client.abort()

    def test_bytes_after_login(self):  # THREATS A10
        def message(size):
            def made(to):
                before, behind = f"<message to='{to}'><body>", "</body></message>"
                return before + "x" * (size - len(before) - len(behind)) + behind
            return made
        self.assert_after_login(True, message(LIMIT_AFTER - 1), "bytes L-1")
        self.assert_after_login(True, message(LIMIT_AFTER), "bytes L")
        self.assert_after_login(False, message(LIMIT_AFTER + 1), "bytes L+1")
        self.assert_after_login(False, lambda to: message(LIMIT_AFTER + 9)(to)[:LIMIT_AFTER], "bytes, no end tag")

    def test_elements_after_login(self):  # THREATS A11
        def message(elements):
            return lambda to: f"<message to='{to}'><x xmlns='u'>" + "<a/>" * (elements - 2) + "</x></message>"
        self.assert_after_login(True, message(4999), "elements L-1")
        self.assert_after_login(True, message(5000), "elements L")
        self.assert_after_login(False, message(5001), "elements L+1")

    def test_depth(self):  # THREATS A12
        def message(levels):
            inner = levels - 1
            return lambda to: f"<message to='{to}'>" + "<a xmlns='u'>" * inner + "</a>" * inner + "</message>"
        self.assert_after_login(True, message(63), "depth L-1")
        self.assert_after_login(True, message(64), "depth L")
        self.assert_after_login(False, message(65), "depth L+1")
        self.assert_after_login(False, lambda to: f"<message to='{to}'>" + "<a>" * 87350, "never closed")

    def test_attributes_and_namespaces(self):  # THREATS A13
        def attributes(count, prefix=""):
            # `to` is one of them.
            return lambda to: (f"<message to='{to}'>" f"<x xmlns:p='u' "
                               + " ".join(f"{prefix}a{n}='b'" for n in range(count - 1)) + "/></message>")
        for prefix in ("", "p:"):
            self.assert_after_login(True, attributes(255, prefix), f"attributes L-1 {prefix}")
            self.assert_after_login(True, attributes(256, prefix), f"attributes L {prefix}")
            self.assert_after_login(False, attributes(257, prefix), f"attributes L+1 {prefix}")
            self.assert_after_login(False, attributes(20000, prefix), f"attributes, a flood {prefix}")

        def namespaces(count):
            return lambda to: (f"<message to='{to}'><x " + " ".join(f"xmlns:p{n}='u{n}'" for n in range(count))
                               + "/></message>")
        self.assert_after_login(True, namespaces(63), "namespaces L-1")
        self.assert_after_login(True, namespaces(64), "namespaces L")
        self.assert_after_login(False, namespaces(65), "namespaces L+1")


class Pieces(SystemTest):
    """Bytes that come in small pieces, and names that never come twice: THREATS A14, A15."""

    options = {"users": ["mallory"]}

    def test_a_stanza_is_answered_at_its_last_byte(self):  # THREATS A14
        with self.server.login("mallory", "direct") as client:
            def iq(number):
                return f"<iq type='get' id='p{number}' to='comity.test'><ping xmlns='urn:xmpp:ping'/></iq>"
            for at in range(1, len(iq(100))):
                text = iq(100 + at)
                client.send(text[:at])
                client.send(text[at:])
                # Nothing more is sent until the answer is here.
                self.assertEqual(client.wait_for(lambda each, at=at: each.get("id") == f"p{100 + at}").get("type"),
                                 "result")

    @unittest.skipIf(SANITIZED, "measures processor time")
    def test_dribbled_tokens_take_linear_time(self):  # THREATS A14, CVE-2023-52425
        def time_for(size):
            with self.server.login("mallory", "direct", available=False) as client:
                client.send("<message to='mallory@comity.test/none' type='headline' id='")
                before = self.server.cpu()
                for _ in range(size // 16):
                    client.send("x" * 16)
                client.send("'/>")
                client.iq("get", "<ping xmlns='urn:xmpp:ping'/>", "comity.test")
                return self.server.cpu() - before
        time_for(1024)
        small, large = time_for(16 * 1024), time_for(128 * 1024)
        # Eight times the bytes: eight times the time, and 64 times if each piece were looked at from the beginning.
        self.assertLess(large, max(small, 0.02) * 24)

    @unittest.skipIf(SANITIZED, "measures memory")
    def test_names_are_not_kept(self):  # THREATS A15
        with self.server.login("mallory", "direct", available=False) as client:
            def ask(count, first):
                for start in range(first, first + count, 500):
                    client.send("".join(
                        f"<iq type='get' id='n{n}' to='comity.test'><name-{n:012} xmlns='u' attribute-{n:012}='b'/></iq>"
                        for n in range(start, start + 500)))
                    for n in range(start, start + 500):
                        answer = client.next()
                        self.assertEqual((answer.get("id"), error_condition(answer)), (f"n{n}", "service-unavailable"))
            ask(5000, 0)
            before = self.server.rss()
            ask(30000, 5000)
            self.assertLess(self.server.rss() - before, 4 * 1024 * 1024)


if __name__ == "__main__":
    unittest.main()
