"""Sessions and stanzas over real sockets: THREATS F5, F6, F7, F10, RFC 6120 §7, §8, RFC 6121 §8.5."""

import unittest
from xml.sax.saxutils import quoteattr

from harness import SystemTest, wait_until
from xmpp_client import BIND, CLIENT, error_condition, is_message, local

PING = "<ping xmlns='urn:xmpp:ping'/>"
ROSTER = "<query xmlns='jabber:iq:roster'/>"


def is_presence(sender, kind=None):
    return lambda each: (each.tag == f"{{{CLIENT}}}presence" and each.get("from") == sender
                         and each.get("type") == kind)


def bare(client):
    return client.jid.split("/")[0]


class Resources(SystemTest):
    options = {"users": ["alice", "bob", "carol", "dave"]}

    def befriend(self, a, b):
        """Both see each other's presence. Who has asked for the roster is told of what becomes of it."""
        a.iq("get", ROSTER)
        b.iq("get", ROSTER)
        for one, other in ((a, b), (b, a)):
            one.presence(to=bare(other), kind="subscribe")
            other.wait_for(is_presence(bare(one), "subscribe"))
            other.presence(to=bare(one), kind="subscribed")
            one.wait_for(is_presence(bare(other), "subscribed"))

    def test_the_servers_choice_cannot_be_guessed(self):  # RFC 6120 §7.6
        chosen = []
        for _ in range(8):
            with self.server.login("alice", available=False) as client:
                chosen.append(client.jid.partition("/")[2])
        self.assertEqual(len(set(chosen)), 8)
        for each in chosen:
            self.assertRegex(each, r"^[A-Za-z0-9_-]{16,}$")

    def test_the_clients_choice_is_made_conformant_or_refused(self):  # RFC 6120 §7.7.2.1
        for wish, bound in (("home", "home"), ("Home", "Home"), ("a b/c@d", "a b/c@d"), ("e\u0301", "\u00e9")):
            with self.server.login("alice", resource=wish, available=False) as client:
                self.assertEqual(client.jid, f"alice@comity.test/{bound}")
        client = self.server.client("alice", "direct")
        client.connect()
        client.open_stream()
        client.authenticate()
        for wish in ("a" * 1024, "\u202e", "\u2028"):
            answer = client.iq("set", f"<bind xmlns='{BIND}'><resource>{wish}</resource></bind>")
            self.assertEqual(error_condition(answer), "bad-request", ascii(wish))
        self.assertEqual(client.bind("at-last"), "alice@comity.test/at-last")
        client.close()

    def test_the_newcomer_has_the_resource(self):  # THREATS F5, RFC 6120 §7.7.2.2
        with self.server.login("bob") as bob, self.server.login("alice", resource="first") as alice:
            self.befriend(alice, bob)
            bob.wait_for(is_presence(alice.jid))
            alice.close()
            bob.wait_for(is_presence(f"{bare(alice)}/first", "unavailable"))
            bob.pending()
            previous = self.server.login("alice", resource="home")
            bob.wait_for(is_presence(previous.jid))
            for method in ("direct", "starttls") * 10:
                newcomer = self.server.login("alice", method, resource="home")
                self.assertEqual(previous.stream_error(), "conflict")
                self.assertTrue(previous.closed())
                # Unavailable before available, once each.
                told = [bob.wait_for(lambda each: each.tag == f"{{{CLIENT}}}presence") for _ in range(2)]
                self.assertEqual([(each.get("from"), each.get("type")) for each in told],
                                 [(newcomer.jid, "unavailable"), (newcomer.jid, None)])
                previous = newcomer
            # Exactly one route: one message arrives once.
            self.assertEqual(self.server.sessions(), 2)
            bob.message(previous.jid, "once")
            bob.message(previous.jid, "end")
            previous.wait_for(is_message("end"))
            self.assertEqual([each.findtext(f"{{{CLIENT}}}body") for each in previous.pending()
                              if each.tag == f"{{{CLIENT}}}message"], ["once"])
            previous.close()

    def test_a_storm_of_conflicts(self):  # THREATS F5
        with self.server.control():
            clients = []
            for number in range(24):
                client = self.server.client("alice", "direct" if number % 2 else "starttls")
                client.connect()
                client.open_stream()
                if client.method == "starttls":
                    client.start_tls()
                client.authenticate()
                clients.append(client)
            for client in clients:
                client.send(f"<iq type='set' id='b'><bind xmlns='{BIND}'><resource>storm</resource></bind></iq>")
            wait_until(lambda: [each["peer"] for each in self.server.ctl_json("connections")
                                if each["established"] and each["peer"].startswith("alice@")] == ["alice@comity.test/storm"],
                       "one of them has it and the others are gone")
            survivors = 0
            for client in clients:
                client.wait_for(lambda each: each.get("id") == "b")
                client.send(f"<iq type='get' id='p'>{PING}</iq>")
                answer = client.next()
                survivors += local(answer) == "iq"
                client.abort()
            self.assertEqual(survivors, 1)

    def test_resources_have_an_end(self):  # THREATS F6, RFC 6120 §7.6.2.1, XEP-0205
        clients = [self.server.login("alice", available=False) for _ in range(10)]
        client = self.server.client("alice", "direct")
        client.connect()
        client.open_stream()
        client.authenticate()
        refused = client.iq("set", f"<bind xmlns='{BIND}'/>")
        error = refused.find(f"{{{CLIENT}}}error")
        self.assertEqual((error.get("type"), error_condition(refused)), ("wait", "resource-constraint"))
        self.assertIsNotNone(error.find("{urn:xmpp:errors}resource-limit-exceeded"))
        clients.pop().close()
        wait_until(lambda: self.server.sessions() == 9, "a resource is free")
        client.bind()
        for each in (*clients, client):
            each.close()

    def test_a_broken_connection_makes_its_user_unavailable(self):
        with self.server.login("carol") as carol, self.server.login("dave") as dave:
            self.befriend(carol, dave)
            dave.wait_for(is_presence(carol.jid))
            carol.abort()
            dave.wait_for(is_presence(carol.jid, "unavailable"))


class Senders(SystemTest):
    options = {"users": ["alice", "bob"]}

    def setUp(self):
        self.alice = self.server.login("alice", resource="r")
        self.bob = self.server.login("bob", "direct", resource="r")
        self.addCleanup(self.alice.close)
        self.addCleanup(self.bob.close)

    def test_from_is_what_was_bound(self):  # THREATS F7, RFC 6120 §8.1.2.1
        for claimed in ("bob@comity.test", "eve@elsewhere.test", "alice@comity.test", "alice@comity.test/other",
                        "ALICE@comity.test/r", "comity.test", "", "a@@b"):
            body = f"from {claimed}"
            self.alice.send(f"<message from={quoteattr(claimed)} to='{self.bob.jid}'><body>{body}</body></message>")
            got = self.bob.wait_for(is_message(body))
            self.assertEqual(got.get("from"), self.alice.jid)
        self.alice.send(f"<presence from='bob@comity.test/x' to='{self.bob.jid}'/>")
        got = self.bob.wait_for(lambda each: each.tag == f"{{{CLIENT}}}presence" and each.get("to") == self.bob.jid
                                and each.get("from") != self.bob.jid)
        self.assertEqual(got.get("from"), self.alice.jid)

    def test_everything_else_goes_through_unchanged(self):
        self.alice.send(f"<message xml:lang='de' id='&lt;&#10;' to='{self.bob.jid}' type='chat' other='x'>"
                        "<body>b</body></message>")
        got = self.bob.wait_for(is_message("b"))
        self.assertEqual({name: value for name, value in got.attrib.items()},
                         {"from": self.alice.jid, "to": self.bob.jid, "id": "<\n", "type": "chat", "other": "x",
                          "{http://www.w3.org/XML/1998/namespace}lang": "de"})

    def answer(self, stanza):
        """(type, condition) of the next IQ that comes, once `stanza` is sent."""
        self.alice.send(stanza)
        answer = self.alice.wait_for(lambda each: each.tag == f"{{{CLIENT}}}iq")
        return answer.get("type"), error_condition(answer)

    def assert_nothing_more(self):
        """Whatever was sent so far is answered: what is sent now, the same ways, is behind it."""
        for to in ("comity.test", "alice@comity.test", "bob@comity.test", "nobody@comity.test", "elsewhere.test"):
            self.alice.iq("get", PING, to)
        self.assertEqual([each for each in self.alice.pending() if each.tag == f"{{{CLIENT}}}iq"], [])

    def test_each_request_gets_one_answer(self):  # THREATS F10, RFC 6120 §8.2.3
        result, bad = ("result", None), ("error", "bad-request")
        unavailable, malformed = ("error", "service-unavailable"), ("error", "jid-malformed")
        for stanza, expected in (
                (f"<iq type='get' to='comity.test'>{PING}</iq>", bad),  # no id
                ("<iq type='get' id='a' to='comity.test'/>", bad),
                (f"<iq type='get' id='a' to='comity.test'>{PING}{PING}</iq>", bad),
                (f"<iq type='foo' id='a' to='comity.test'>{PING}</iq>", bad),
                (f"<iq id='a' to='comity.test'>{PING}</iq>", bad),
                ("<iq type='get' id='a' to='comity.test'>text</iq>", bad),
                (f"<iq type='get' id='a' to='a@@b'>{PING}</iq>", malformed),
                (f"<iq type='get' id='a' to='@b'>{PING}</iq>", malformed),
                (f"<iq type='get' id='a' to='{'a' * 1024}@b'>{PING}</iq>", malformed),
                (f"<iq type='get' id='a' to='bob@comity.test'>{ROSTER}</iq>", unavailable),
                (f"<iq type='set' id='a' to='bob@comity.test'>{ROSTER}</iq>", unavailable),
                (f"<iq type='get' id='a' to='bob@comity.test'>{PING}</iq>", unavailable),
                (f"<iq type='get' id='a' to='bob@comity.test/none'>{PING}</iq>", unavailable),
                (f"<iq type='get' id='a' to='nobody@comity.test'>{PING}</iq>", unavailable),
                (f"<iq type='get' id='a' to='nobody@comity.test/r'>{PING}</iq>", unavailable),
                (f"<iq type='set' id='a' to='comity.test'>{PING}</iq>", unavailable),
                ("<iq type='get' id='a' to='comity.test'><unknown xmlns='u'/></iq>", unavailable),
                ("<iq type='get' id='a'><unknown xmlns='u'/></iq>", unavailable),
                (f"<iq type='get' id='a'>{PING}</iq>", result),
                (f"<iq type='get' id='a' to='alice@comity.test'>{PING}</iq>", result),
                (f"<iq type='get' id='a' to='comity.test'>{PING}</iq>", result),
                (f"<iq type='get' id='' to='comity.test'>{PING}</iq>", result),
                (f"<iq type='get' id='a' to='elsewhere.test'>{PING}</iq>", ("error", "remote-server-not-found"))):
            with self.subTest(stanza):
                self.assertEqual(self.answer(stanza), expected)
        self.assert_nothing_more()
        # RFC 6120 §8.3.1: results and errors are never answered.
        for to in ("comity.test", "bob@comity.test", "nobody@comity.test/r", "elsewhere.test", "a@@b"):
            self.alice.send(f"<iq type='result' id='a' to='{to}'/>"
                            f"<iq type='error' id='a' to='{to}'><error type='cancel'/></iq>")
        self.assert_nothing_more()

    def test_requests_reach_only_who_may_be_seen(self):  # RFC 6121 §8.5.3.1, THREATS F8
        self.assertEqual(self.answer(f"<iq type='get' id='a' to='{self.bob.jid}'>{PING}</iq>"),
                         ("error", "service-unavailable"))
        self.bob.presence(to=self.alice.jid)
        self.alice.wait_for(is_presence(self.bob.jid))
        self.alice.send(f"<iq type='get' id='seen' to='{self.bob.jid}'>{PING}</iq>")
        request = self.bob.wait_for(lambda each: each.get("id") == "seen")
        self.assertEqual(request.get("from"), self.alice.jid)
        self.bob.send(f"<iq type='result' id='seen' to='{self.alice.jid}'/>")
        self.assertEqual(self.alice.wait_for(lambda each: each.get("id") == "seen").get("type"), "result")
        self.bob.presence(to=self.alice.jid, kind="unavailable")
        self.alice.wait_for(is_presence(self.bob.jid, "unavailable"))

    def test_messages_for_nobody(self):  # RFC 6121 §8.5.1
        for to, condition in (("nobody@comity.test", "service-unavailable"), ("comity.test", "service-unavailable"),
                              ("a@elsewhere.test", "remote-server-not-found"), ("a@@b", "jid-malformed")):
            identifier = self.alice.message(to, "x")
            refused = self.alice.wait_for(lambda each, identifier=identifier: each.get("id") == identifier)
            self.assertEqual(error_condition(refused), condition)
            self.alice.send(f"<message type='error' to='{to}'><error type='cancel'/></message>")
        self.alice.iq("get", PING)
        self.assertEqual(self.alice.pending(), [])

    def test_what_is_queued_before_a_conflict_is_the_old_sessions(self):  # THREATS F5
        # The newcomer's stanzas count from its binding on, the old one's not any more.
        for _ in range(10):
            newcomer = self.server.client("alice", "direct", resource="r")
            newcomer.connect()
            newcomer.open_stream()
            newcomer.authenticate()
            newcomer.send(f"<iq type='set' id='b'><bind xmlns='{BIND}'><resource>r</resource></bind></iq>"
                          f"<message to='{self.bob.jid}'><body>new</body></message>")
            self.bob.wait_for(is_message("new", "alice@comity.test/r"))
            self.assertEqual(self.alice.stream_error(), "conflict")
            self.alice.abort()
            newcomer.wait_for(lambda each: each.get("id") == "b")
            newcomer.jid = "alice@comity.test/r"
            self.alice = newcomer
        self.addCleanup(self.alice.close)


if __name__ == "__main__":
    unittest.main()
