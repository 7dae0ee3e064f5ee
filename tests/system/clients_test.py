"""Real clients against the daemon: each library of driven_client.py by each method that it has logs in, is counted,
makes friends, chats, finds its messages and comes back, and each of them talks to each other one.

A class here is a library and a method (xmppjs_starttls); its name on the command line runs it alone.
"""

import contextlib
import dataclasses
import re
import unittest

from driven_client import LIBRARIES, DrivenClient
from harness import PASSWORD, Authority, SystemTest, wait_until

LABELS = {"starttls": "starttls", "direct": "direct_tls", "websocket": "websocket"}

# What a body must come through: letters beyond the BMP, markup, both kinds of quotes, spaces at the ends.
HARD_TO_CARRY = " grüß <b>dich</b> & \"alle\" 'hier' 🦑 שלום ]]> "


class ClientTest(SystemTest):
    options = {"hosts": ("localhost",), "web": True}  # a name that all of them resolve without a name server

    def setUp(self):
        """Users of this test alone."""
        self.alice, self.bob = (f"{name}-{self._testMethodName.removeprefix('test_')}" for name in ("alice", "bob"))
        for user in (self.alice, self.bob):
            self.server.add_user(user)

    def befriend(self, one, other):
        """Both subscribe to each other, as people do: one asks, the other accepts and asks back."""
        for asking, asked in ((one, other), (other, one)):
            asking.tell("subscribe", asked.bare)
            asked.wait_for("asked", asking.bare)
            asked.tell("accept", asking.bare)
            asking.sees(asked)

    def rows(self, client):
        return [row for row in self.server.ctl_json("connections") if row["peer"] == client.jid]


class Scenario:
    """What every library does; `library` and `method` are of the subclass."""

    library = method = None

    def client(self, user, **options):
        return DrivenClient(self.library, self.server, user, self.method, **options)

    def counted(self, family, **labels):
        return self.server.counter(family, scope="c2s", direction="inbound", method=LABELS[self.method], **labels)

    def test_logs_in(self):
        established = self.counted("comity_connections_established_total")
        tried = self.server.counter("comity_auth_attempts_total", mechanism=self.library.mechanisms[self.method])
        with self.client(self.alice) as alice:
            self.assertEqual(f"{alice.bare}/home", alice.log_in("home"))
            row, = self.rows(alice)
            self.assertEqual(LABELS[self.method], row["method"])
            self.assertEqual(self.library.mechanisms[self.method], row["authentication"])
            self.assertEqual(established + 1, self.counted("comity_connections_established_total"))
            self.assertEqual(tried + 1, self.server.counter("comity_auth_attempts_total", mechanism=row["authentication"]))
            self.assertEqual({}, alice.contacts())
            features = alice.features(self.server.domain)
            self.assertLessEqual({"urn:xmpp:ping", "vcard-temp", "jabber:iq:version", "urn:xmpp:time", "msgoffline",
                                  "http://jabber.org/protocol/disco#info"}, features)
            alice.quit()
            wait_until(lambda: not self.rows(alice), "the connection is gone")
            self.assertRegex(self.server.log(), rf"c2s\.closed .*{re.escape(alice.bare)}.* cause=peer_closed")

    def test_logs_in_with_letters_beyond_ascii(self):  # RFC 5802 §5.1, RFC 7622 §3.3
        if not self.library.beyond_ascii:
            self.skipTest(f"{self.library.name} cannot")
        user, password = "jürgen-имя", "Füße, =2C 🦑"
        self.server.add_user(user, password)
        with self.client(user, password=password) as client:
            client.log_in("home")
            client.quit()

    def test_is_refused_with_a_wrong_password(self):  # L05, THREATS C2
        refused = self.counted("comity_connection_failures_total", phase="authentication", cause="auth_rejected")
        with self.client(self.alice, password=PASSWORD + "!") as alice:
            alice.connect()
            alice.wait_for("failed")
            wait_until(lambda: self.counted("comity_connection_failures_total", phase="authentication",
                                            cause="auth_rejected") > refused, "the refusal is counted")

    def test_turns_away_from_a_certificate_it_does_not_trust(self):
        established = self.counted("comity_connections_established_total")
        with self.client(self.alice, cafile=Authority().certificate) as alice:
            alice.connect()
            alice.wait_for("failed")
            self.assertEqual(established, self.counted("comity_connections_established_total"))

    def test_makes_friends_and_chats(self):
        with self.client(self.alice) as alice, self.client(self.bob) as bob:
            alice.log_in("home")
            bob.log_in("work")
            self.befriend(alice, bob)
            for client, other in ((alice, bob), (bob, alice)):
                wait_until(lambda client=client, other=other: client.contacts() == {other.bare: "both"},
                           lambda client=client, other=other: f"{client.user} has {other.user} for a friend")
            alice.tell("presence", HARD_TO_CARRY.strip())
            bob.sees(alice, status=HARD_TO_CARRY.strip())
            for body in (HARD_TO_CARRY, "x" * 60000, "and bye"):
                alice.send(bob, body)
                self.assertEqual("", bob.gets(alice, body))
                bob.send(alice, body)
                self.assertEqual("", alice.gets(bob, body))
            alice.tell("remove", bob.bare)  # RFC 6121 §2.5: and so from each other's presence
            bob.sees(alice, kind="unavailable")
            wait_until(lambda: alice.contacts() == {}, "alice has no contact")
            wait_until(lambda: bob.contacts() == {alice.bare: "none"}, "bob has one without a subscription")
            bob.quit()
            alice.sees(bob, kind="unavailable")
            alice.quit()

    def test_finds_its_messages(self):  # XEP-0160, XEP-0203
        with self.client(self.alice) as alice:
            alice.log_in("home")
            bodies = [f"{number} {HARD_TO_CARRY}" for number in range(5)]
            for body in bodies:
                alice.tell("send", self.server.jid(self.bob), body)
            # The server has what came before this.
            alice.features(self.server.domain)
            with self.client(self.bob) as bob:
                bob.log_in("work")
                for body in bodies:
                    self.assertRegex(bob.gets(alice, body), r"^20\d\d-?\d\d-?\d\dT\d\d:\d\d:\d\d")
                alice.send(bob, "live")
                self.assertEqual("", bob.gets(alice, "live"))
                bob.features(self.server.domain)  # has acknowledged it by then: else it finds it again
                bob.quit()
            with self.client(self.bob) as bob:
                bob.log_in("work")
                alice.send(bob, "only this")
                self.assertEqual("", bob.gets(alice, "only this"))
                self.assertEqual([], [event for event in bob.seen if event.name == "message"])
                bob.quit()
            alice.quit()

    def test_comes_back(self):
        def closed_by_the_operator():
            self.server.ctl("close", alice.bare)
            self.server.ctl("close", bob.bare)

        def restarted():
            self.server.stop()
            self.server.start()

        def killed():
            self.server.kill()
            self.server.start()

        with self.client(self.alice) as alice, self.client(self.bob) as bob:
            alice.log_in("home")
            bob.log_in("work")
            self.befriend(alice, bob)
            for lose_them in (closed_by_the_operator, restarted, killed):
                with self.subTest(lose_them.__name__):
                    alice.forget()
                    bob.forget()
                    lose_them()
                    for client in (alice, bob):
                        client.wait_for("offline")
                        client.came_online()
                    alice.sees(bob)
                    bob.sees(alice)
                    alice.send(bob, f"{lose_them.__name__}?")
                    bob.gets(alice, f"{lose_them.__name__}?")
                    bob.send(alice, "and back")
                    alice.gets(bob, "and back")
                    self.assertEqual({bob.bare: "both"}, alice.contacts())
                    for client in (alice, bob):
                        row, = self.rows(client)
                        self.assertEqual(LABELS[self.method], row["method"])
            alice.quit()
            bob.quit()


class Together(ClientTest):
    def test_each_talks_to_each(self):
        with contextlib.ExitStack() as stack:
            clients = []
            for library in LIBRARIES:
                for method in library.mechanisms:
                    self.server.add_user(f"{library.name}-{method}")
                    client = stack.enter_context(DrivenClient(library, self.server, f"{library.name}-{method}", method))
                    client.log_in("here")
                    clients.append(client)
            pairs = [(one, other) for at, one in enumerate(clients) for other in clients[:at]]
            for one, other in pairs:
                self.befriend(one, other)
            for client in clients:
                client.tell("presence", f"I am {client.user}")
            for one, other in [*pairs, *((other, one) for one, other in pairs)]:
                one.sees(other, status=f"I am {other.user}")
                one.send(other, f"{one.user} greets {other.user} {HARD_TO_CARRY}")
                other.gets(one, f"{one.user} greets {other.user} {HARD_TO_CARRY}")
            for client in clients:
                self.assertEqual({other.bare: "both" for other in clients if other is not client}, client.contacts())
                client.quit()


class LastResort(ClientTest):
    def test_who_tries_every_mechanism_gets_in_by_the_last(self):
        """slixmpp binds by tls-unique under TLS 1.3, is refused (RFC 9266 §3), then says that it saw no -PLUS and is
        refused for that (RFC 5802 §6); the limit of failures leaves it its last mechanism."""
        library = dataclasses.replace(next(each for each in LIBRARIES if each.name == "slixmpp"), arguments=())
        with DrivenClient(library, self.server, self.alice) as alice:
            alice.log_in()
            row, = self.rows(alice)
            self.assertEqual(("TLSv1.3", "PLAIN"), (row["tls_version"], row["authentication"]))
            alice.quit()


for _library in LIBRARIES:
    for _method in _library.mechanisms:
        _name = f"{_library.name}_{_method}"
        globals()[_name] = type(_name, (Scenario, ClientTest), {
            "__module__": __name__, "__qualname__": _name, "library": _library, "method": _method})

if __name__ == "__main__":
    unittest.main(verbosity=2)
