"""XML as hostile peers send it, over real sockets, where the table of hostile/ does not reach: THREATS A4, A7, A10, A14-A16."""

import unittest
import xml.etree.ElementTree as ElementTree

import wire
from harness import SANITIZED, SystemTest
from xmpp_client import error_condition, is_message

LIMIT_BEFORE = 10000


class Streams(SystemTest):
    options = {"users": ["mallory"]}

    def test_the_prefix_of_streams_is_bound_by_the_stream_alone(self):  # THREATS A7
        other = ("<s:stream to='comity.test' version='1.0' xmlns='jabber:client' "
                 "xmlns:s='http://etherx.jabber.org/streams'>")
        received = wire.everything_sent(self.server, other + "<stream:features/>")
        self.assertIn(b"<bad-namespace-prefix", received)
        received = wire.everything_sent(self.server, other + "<s:features/>")
        self.assertIn(b"<bad-format", received)

    def test_compression_is_not_offered(self):  # THREATS A16, XEP-0138
        with self.server.client("mallory") as client:
            client.connect()
            for step in (client.open_stream, client.start_tls, client.authenticate):
                step()
                self.assertNotIn("compress", ElementTree.tostring(client.features, encoding="unicode"))


class Smuggling(SystemTest):
    """What a recipient gets of stanzas made to be read differently by somebody: THREATS A4."""

    options = {"users": ["mallory", "victim"]}

    def setUp(self):
        self.mallory = self.server.login("mallory", "direct")
        self.victim = self.server.login("victim")
        self.addCleanup(self.mallory.close)
        self.addCleanup(self.victim.close)

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


class WhiteSpace(SystemTest):
    """Between elements it counts as part of the next one, at L-1, L and L+1: THREATS A10."""

    def answer(self, size):
        client = self.server.raw()
        try:
            client.send(wire.HEADER)
            client.receive_until(b"</stream:features>")
            client.send(" " * size)
            if size > LIMIT_BEFORE:
                return client.receive_all()
            client.send("<compress xmlns='http://jabber.org/protocol/compress'/>")
            return client.receive_until(b"</failure>")
        finally:
            client.abort()

    def test_it_has_an_end(self):
        self.assertIn(b"<failure", self.answer(LIMIT_BEFORE - 1))
        self.assertIn(b"<failure", self.answer(LIMIT_BEFORE))
        self.assertIn(b"<stanza-too-big", self.answer(LIMIT_BEFORE + 1))


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
