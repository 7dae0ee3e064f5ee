"""Federation in a broken world: names that nobody or a liar answers for, lines that are cut and healed, and clocks.

THREATS X6, X7, X8 and X9 between servers, with a ledger: what one server took from its user arrives, or comes back.
"""

import time
import unittest

from faults import fault
from federation import Federation
from harness import PATIENCE, wait_until
from ledger import Ledger
from names import HABITS
from xmpp_client import error_condition

A, B = "a.test", "b.test"
# What RFC 6120 §8.3.3 has for a server that cannot be found, or not in time.
NOT_FOUND = {"remote-server-not-found", "remote-server-timeout"}


class Resolving(unittest.TestCase):
    def test_name_servers_that_are_dead_slow_or_lie(self):  # THREATS X6, E3-E7
        """Each habit for a domain of its own, since answers are kept. All that is sent comes back or arrives, those who
        need no names notice nothing, and once the name server is well again everything arrives."""
        with Federation(A, B) as world:
            a, b = world[A], world[B]
            with a.login("alice") as alice, a.login("bob", "direct") as local, b.login("bob") as bob:
                ledger = Ledger("names")
                ledger.send(alice, bob.jid)
                ledger.read(bob, ledger.settled)  # while all is well
                for habit in HABITS:
                    if habit == "honest":
                        continue
                    with self.subTest(habit), fault("X6"):
                        domain = f"{habit.replace('_', '-')}.test"
                        world.names.serve(domain, world.way[B].port)
                        world.names.habit = habit
                        asked = world.names.asked
                        identifier = ledger.send(alice, f"bob@{domain}")
                        # Meanwhile what needs no names goes on: here, and to whom there is a stream.
                        ledger.send(alice, local.jid)
                        ledger.send(alice, bob.jid)
                        ledger.read(local, lambda: len(ledger.got[alice.jid, local.jid]) == asked_for(ledger, local.jid))
                        ledger.read(bob, lambda: len(ledger.got[alice.jid, bob.jid]) == asked_for(ledger, bob.jid))
                        bounced = alice.wait_for(lambda each: each.get("id") == identifier)
                        ledger.book(bounced)
                        # "slow" is as good as honest: it leads to a server that hosts no such domain.
                        self.assertIn(error_condition(bounced), NOT_FOUND | {"service-unavailable"})
                        self.assertGreater(world.names.asked, asked)
                        a.assert_alive()
                world.names.habit = "honest"
                ledger.assert_balanced()
                self.assertEqual(ledger.counts()["bounced"], len(HABITS) - 1)
                self.assertEqual(a.counter("comity_s2s_pending_stanzas"), 0)

    def test_a_name_server_that_comes_back(self):  # THREATS X6, E7
        """It was dead for long enough to be given up, and answers again; the domain that nobody answered for is left
        alone for a while, another is found."""
        with Federation(A, (B, "c.test")) as world, world[A].login("alice") as alice, fault("X6"):
            world[B].add_user("carol@c.test")
            with world[B].login("carol", domain="c.test") as carol:
                ledger = Ledger("back")
                world.names.habit = "silent"
                ledger.send(alice, f"bob@{B}")
                ledger.read_all([alice], ledger.settled, PATIENCE)
                self.assertEqual(ledger.counts(), {"bounced": 1})
                world.names.habit = "honest"
                ledger.send(alice, carol.jid)
                ledger.read_all([alice, carol], ledger.settled, PATIENCE)
                ledger.assert_balanced()
                self.assertEqual(ledger.counts(), {"bounced": 1, "delivered": 1})


def asked_for(ledger, recipient):
    return sum(to == recipient for _, to in ledger.pairs.values())


class Lines(unittest.TestCase):
    def test_cut_and_healed(self):  # THREATS X8
        """The line between two servers is cut in the middle of talks both ways, and healed: nothing is lost, nothing
        comes twice, and each pair's order is kept."""
        ledger = Ledger("cut")
        cuts = 8
        with Federation(A, B) as world, world[A].login("alice") as alice, world[B].login("bob") as bob, fault("X8", cuts):
            for _ in range(cuts):
                for number in range(10):
                    ledger.send(alice, bob.jid)
                    ledger.send(bob, alice.jid)
                    if number == 4:
                        self.down(world)
                time.sleep(0.2)  # what is on its way is in the cut line by then
                self.assertFalse(ledger.settled())
                for way in world.way.values():
                    way.heal()
                ledger.read_all([alice, bob], ledger.settled, 2 * PATIENCE)
            ledger.assert_balanced()
            self.assertEqual(ledger.counts(), {"delivered": 20 * cuts})

    def test_reset(self):  # THREATS X8, X9
        """All streams between two servers are reset while both write. What had gone into the kernel may be lost, for
        there are no acknowledgements between servers; nothing comes twice or out of order, and what is sent after the
        loss was noticed arrives or comes back."""
        with Federation(A, B) as world, world[A].login("alice") as alice, world[B].login("bob") as bob, fault("X9", 2):
            ledger = Ledger("reset")
            for _ in range(20):
                ledger.send(alice, bob.jid)
                ledger.send(bob, alice.jid)
            ledger.read_all([alice, bob], lambda: len(ledger.fates) > 5, PATIENCE)
            for way in world.way.values():
                way.reset_all()
            wait_until(lambda: all(server.counter("comity_connections", scope="s2s") == 0
                                   for server in world.servers.values()), "both have noticed")
            after = [ledger.send(sender, recipient.jid) for _ in range(10)
                     for sender, recipient in ((alice, bob), (bob, alice))]
            ledger.read_all([alice, bob], lambda: all(ledger.fates[each] for each in after), PATIENCE)
            ledger.take(after)
            ledger.assert_balanced(everything=False)

    @staticmethod
    def down(world):
        for way in world.way.values():
            way.down()


if __name__ == "__main__":
    unittest.main()
