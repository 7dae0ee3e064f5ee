"""Stream management (XEP-0198) on the wire: acknowledgements, resumption after every kind of loss, and a ledger of what
was sent: each message is got once, whatever happens to the connection."""

import collections
import random
import signal
import unittest

from harness import Server, wait_until
from xmpp_client import CLIENT, STREAM, StreamError, local

SM = "urn:xmpp:sm:3"


class Managed:
    """A client that counts. `got` are the bodies of messages, in order; `jid` stays the same over its connections."""

    def __init__(self, server, user, method="starttls", resource=None):
        self.server, self.user, self.method, self.resource = server, user, method, resource
        self.handled = 0
        self.got = []
        self.identifier = None
        self.client = None

    def log_in(self):
        self.client = self.server.client(self.user, self.method)
        self.client.resource = self.resource
        self.client.login()
        self.jid = self.client.jid
        self.client.send(f"<enable xmlns='{SM}' resume='true'/>")
        enabled = self.command("enabled")
        self.identifier = enabled.get("id")
        self.handled = 0
        self.client.send("<presence/>")
        return self

    def command(self, name):
        return self.client.wait_for(lambda element: element.tag == f"{{{SM}}}{name}")

    def resume(self, handled=None):
        """On a new connection. The answer, <resumed/> or <failed/>."""
        self.client.abort()
        self.client = self.server.client(self.user, self.method)
        self.client.connect()
        self.client.open_stream()
        if self.method == "starttls":
            self.client.start_tls()
        self.client.authenticate(None)
        self.client.send(f"<resume xmlns='{SM}' previd='{self.identifier}' "
                         f"h='{self.handled if handled is None else handled}'/>")
        return self.client.wait_for(lambda element: element.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"))

    def take(self, until, acknowledge=True):
        """Counts what comes until `until()` holds."""
        while not until():
            element = self.client.next()
            if element.tag.startswith(f"{{{CLIENT}}}"):
                self.handled += 1
                body = element.findtext(f"{{{CLIENT}}}body")
                if body is not None:
                    self.got.append(body)
            elif element.tag == f"{{{SM}}}r" and acknowledge:
                self.client.send(f"<a xmlns='{SM}' h='{self.handled}'/>")
            elif element.tag == f"{{{STREAM}}}error":
                raise StreamError(element)

    def leaves(self):
        """Having said what it has, lest it be kept for the next time."""
        self.client.send(f"<a xmlns='{SM}' h='{self.handled}'/>")
        self.client.close()

    def breaks(self):
        """Its connection is gone, and nobody has said so."""
        self.client.abort()

    def send(self, to, body):
        self.client.message(to, body, identifier=body)


class Resumption(unittest.TestCase):
    def suspended(self, server):
        wait_until(lambda: "session.suspended" in server.log(), "the server has noticed")

    def test_what_is_acknowledged(self):
        with Server(users=["alice"]) as server:
            alice = Managed(server, "alice").log_in()
            alice.send(alice.jid, "1")
            alice.client.send(f"<r xmlns='{SM}'/>")
            self.assertEqual(alice.command("a").get("h"), "2")  # presence and message
            # A stanza that its stream answers counts like any other, both ways.
            alice.client.send("<iq type='get' id='x' to='@'><ping xmlns='urn:xmpp:ping'/></iq>")
            alice.client.send("<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
            alice.client.send(f"<r xmlns='{SM}'/>")
            self.assertEqual(alice.command("a").get("h"), "4")
            alice.leaves()

    def test_resumed_by_each_method_and_on_another_port(self):
        with Server(users=["alice", "bob"]) as server, server.login("bob") as bob:
            for before, after in (("starttls", "direct"), ("direct", "starttls")):
                with self.subTest(before):
                    alice = Managed(server, "alice", before).log_in()
                    bob.message(alice.jid, "first")
                    alice.take(lambda: "first" in alice.got)
                    sessions = server.metric("comity_sessions")
                    alice.breaks()
                    bob.message(alice.jid, "second")
                    alice.method = after
                    resumed = alice.resume()
                    self.assertEqual((local(resumed), resumed.get("previd"), resumed.get("h")),
                                     ("resumed", alice.identifier, "1"))
                    alice.take(lambda: "second" in alice.got)
                    self.assertEqual(alice.got, ["first", "second"])
                    self.assertEqual(server.metric("comity_sessions"), sessions)
                    alice.leaves()

    def test_the_old_stream_is_told_and_a_second_resumption_wins_over_the_first(self):  # THREATS F1
        with Server(users=["alice", "mallory"]) as server:
            alice = Managed(server, "alice").log_in()
            old, alice.client = alice.client, server.client("alice")
            self.assertEqual(local(alice.resume()), "resumed")
            self.assertEqual(old.stream_error(), "conflict")
            old.abort()
            thief = Managed(server, "mallory").log_in()
            thief.breaks()
            thief.identifier = alice.identifier
            failed = thief.resume()
            self.assertEqual([local(failed), local(failed[0])], ["failed", "item-not-found"])
            thief.client.bind()  # which it may, all the same
            thief.client.send(f"<resume xmlns='{SM}' previd='{alice.identifier}' h='0'/>")
            failed = thief.command("failed")
            self.assertEqual(local(failed[0]), "unexpected-request")
            thief.client.close()
            early = server.raw("direct")
            early.open_stream()
            early.send(f"<resume xmlns='{SM}' previd='{alice.identifier}' h='0'/>")
            self.assertEqual(local(early.next()[0]), "unexpected-request")
            early.abort()
            alice.leaves()

    def test_counts_that_cannot_be(self):  # THREATS F2
        with Server(users=["alice"]) as server:
            for count, condition in (("5", "undefined-condition"), ("4294967295", "undefined-condition"),
                                     ("-1", "policy-violation"), ("4294967296", "policy-violation"),
                                     ("abc", "policy-violation"), ("", "policy-violation"), (None, "policy-violation")):
                with self.subTest(count):
                    alice = Managed(server, "alice")
                    alice.client = server.client("alice", "direct")
                    alice.client.login()
                    alice.client.send(f"<enable xmlns='{SM}' resume='true'/>")
                    alice.command("enabled")
                    alice.client.send(f"<a xmlns='{SM}'" + (f" h='{count}'" if count is not None else "") + "/>")
                    error = alice.client.next()
                    self.assertEqual(error.tag, f"{{{STREAM}}}error")
                    self.assertEqual(local(error[0]), condition)
                    detail = error.find(f"{{{SM}}}handled-count-too-high")
                    self.assertEqual(detail is not None, condition == "undefined-condition")
                    if detail is not None:
                        self.assertEqual((detail.get("h"), detail.get("send-count")), (count, "0"))
                    self.assertTrue(alice.client.closed())
                    alice.breaks()

    def test_enabled_out_of_order(self):
        with Server(users=["alice"]) as server:
            alice = server.client("alice", "direct")
            alice.connect()
            alice.open_stream()
            alice.authenticate(None)
            alice.send(f"<enable xmlns='{SM}'/>")
            self.assertEqual(local(alice.next()[0]), "unexpected-request")
            alice.bind()
            alice.send(f"<enable xmlns='{SM}'/><enable xmlns='{SM}'/>")
            self.assertEqual([local(alice.next()) for _ in range(3)], ["enabled", "failed", "error"])
            alice.abort()

    def test_time_is_over(self):
        with Server(users=["alice", "bob"], settings={"stream_management": {"resume_timeout": "1s"}}) as server:
            with server.login("bob") as bob:
                alice = Managed(server, "alice", resource="phone").log_in()
                bob.message("alice@comity.test/phone", "kept", identifier="kept")
                alice.take(lambda: alice.got, acknowledge=False)
                alice.breaks()
                server.wait_log(r"session\.expired")
                refused = alice.resume()
                self.assertEqual((local(refused), refused.get("h")), ("failed", "1"))  # her presence
                alice.client.bind()
                alice.client.send("<presence/>")
                kept = alice.client.wait_for(lambda element: element.get("id") == "kept")
                self.assertIsNotNone(kept.find("{urn:xmpp:delay}delay"))
                alice.leaves()

    def test_over_a_restart_of_the_server(self):
        with Server(users=["alice", "bob"]) as server:
            alice = Managed(server, "alice", resource="phone").log_in()
            bob = Managed(server, "bob", "direct", resource="desk").log_in()
            bob.send(alice.jid, "1")
            alice.take(lambda: alice.got, acknowledge=False)
            bob.breaks()
            self.suspended(server)
            alice.send(bob.jid, "2")
            server.process.send_signal(signal.SIGTERM)
            with self.assertRaises(StreamError):
                alice.take(lambda: False)
            alice.breaks()
            server.assert_stops()
            server.start()
            wait_until(lambda: server.metric("comity_sessions") == 2, "both sessions have been taken up")
            for each, heard in ((alice, ["1"]), (bob, ["2"])):
                self.assertEqual(local(each.resume()), "resumed")
                each.take(lambda: each.got == heard)
            alice.send(bob.jid, "3")
            bob.take(lambda: bob.got == ["2", "3"])
            alice.leaves()
            bob.leaves()

    def test_ledger_over_lost_connections(self):
        """Thirty times the connection is lost in the middle of a chat that goes on; nothing of it is lost or doubled."""
        with Server(users=["alice", "bob"]) as server, server.login("bob", "direct") as bob:
            alice = Managed(server, "alice").log_in()
            alice.take(lambda: alice.handled > 0)
            chance = random.Random(198)
            sent = []
            for _ in range(30):
                for _ in range(chance.randrange(1, 12)):
                    sent.append(f"m{len(sent)}")
                    bob.message(alice.jid, sent[-1])
                stop_at = chance.randrange(len(alice.got), len(sent) + 1)
                alice.take(lambda: len(alice.got) >= stop_at, acknowledge=chance.random() < 0.7)
                alice.breaks()
                alice.method = chance.choice(("starttls", "direct"))
                self.assertEqual(local(alice.resume()), "resumed")
            alice.take(lambda: len(alice.got) >= len(sent))
            self.assertEqual(alice.got, sent)
            self.assertEqual([body for body, times in collections.Counter(alice.got).items() if times > 1], [])
            alice.leaves()
            wait_until(lambda: server.metric("comity_sessions") == 1, "only bob is left")


if __name__ == "__main__":
    unittest.main()
