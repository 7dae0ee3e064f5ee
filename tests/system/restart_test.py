"""Restarts, by hand and by kill -9, in a row and with everybody coming back at once: THREATS X15, X16."""

import asyncio
import itertools
import os
import random
import resource
import signal
import time
import unittest

from crowd_test import Member
from faults import fault
from harness import PATIENCE, SANITIZED, Server, authority, wait_until
from ledger import Ledger
from storage_test import PING, ROSTER, roster_of
from stream_management_test import SM, Managed

RESTARTS = 20 if os.environ.get("COMITY_SANITIZE") == "thread" else 100
ROUND = 10  # restarts until who was away comes and reads


class Storm(unittest.TestCase):
    def test_a_hundred_restarts(self):
        """Half of them by SIGTERM, half by SIGKILL, while some write to who is there and to who is not."""
        with fault("X16", RESTARTS):
            self.storm()

    def storm(self):
        ledger = Ledger("storm")
        chance = random.Random(16)
        with Server(users=["alice", "bob", "away"]) as server:
            for number in range(RESTARTS):
                alice, bob = server.login("alice"), server.login("bob", "direct")
                alice.iq("set", f"<query xmlns='{ROSTER}'><item jid='{number}@x'/></query>")
                stored = [ledger.send(alice, "away@comity.test") for _ in range(chance.randrange(1, 6))]
                live = [ledger.send(alice, bob.jid) for _ in range(3)]
                # What goes to one account goes one way: its answer says that what went before is stored.
                alice.iq("get", PING, "away@comity.test")
                ledger.take(stored)
                ledger.read(bob, lambda: all(ledger.fates[each] for each in live))
                for _ in range(chance.randrange(4)):
                    ledger.send(alice, "away@comity.test")  # on its way at the end
                if number % 2:
                    server.kill()
                    alice.abort()
                    bob.abort()
                else:
                    self.stops(server, ledger, alice, bob)
                server.start()
                if number % ROUND == ROUND - 1:
                    with server.login("away") as away:
                        waiting = [each for each in ledger.taken if not ledger.fates[each]]
                        ledger.read(away, lambda: all(ledger.fates[each] for each in waiting))
                        away.iq("get", PING)
                        for element in away.pending():
                            ledger.book(element)
            with server.login("alice") as alice:
                self.assertEqual(set(roster_of(alice)), {f"{number}@x" for number in range(RESTARTS)})
            ledger.assert_balanced(everything=False)
            self.assertGreater(ledger.counts()["stored"], RESTARTS)
            self.assertEqual(ledger.counts()["delivered"], 3 * RESTARTS)
            self.assertNotIn("listener.", "".join(line for line in server.log().splitlines() if " error " in line))

    def stops(self, server, ledger, *clients):
        """Everybody is told, and it is over in time."""
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for client in clients:
            self.assertEqual(client.stream_error(), "system-shutdown")
            self.assertTrue(client.closed())
        server.assert_stops()
        self.assertLess(time.monotonic() - start, 5 if not SANITIZED else PATIENCE)


class Acknowledged(unittest.TestCase):
    kills = 12

    def test_what_the_server_has_acknowledged_outlives_it(self):  # THREATS X1, XEP-0198
        """It is killed the moment that it says how many stanzas it has: those it has."""
        ledger = Ledger("ack")
        with Server(users=["alice", *(f"away-{number}" for number in range(3))]) as server:
            for number in range(self.kills):
                with fault("X1"):
                    alice = Managed(server, "alice").log_in()
                    sent = [ledger.send(alice.client, f"away-{each % 3}@comity.test") for each in range(24)]
                    alice.client.send(f"<r xmlns='{SM}'/>")
                    handled = int(alice.command("a").get("h"))
                    server.kill()
                    alice.breaks()
                    ledger.take(sent[:handled - 1])  # the first was presence
                    server.start()
                    for user in range(3):
                        with server.login(f"away-{user}") as away:
                            away.iq("get", PING)
                            away.iq("get", PING, away.jid.partition("/")[0])
                            for element in away.pending():
                                ledger.book(element)
            ledger.assert_balanced(everything=False)
            self.assertGreater(len(ledger.taken), 0)


class Herd(unittest.TestCase):
    size = int(os.environ.get("COMITY_TEST_HERD", "300"))
    wait = 1.0  # seconds after which one tries again

    def test_everybody_comes_back_at_once(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        users = 50
        settings = {"log": {"level": "info"}, "limits": {"resources_per_user": self.size // users + 1}}
        with Server(settings=settings) as server:
            for number in range(users):
                server.add_user(f"member-{number}")
            with fault("X15", self.size):
                asyncio.run(self.herd(server, users))
            self.assertEqual(server.counter("comity_connections_rejected_total"), 0)
            wait_until(lambda: server.sessions() == 0, "all have left")

    async def herd(self, server, users):
        members = [Member(server, number) for number in range(self.size)]
        for member in members:
            # As many addresses as a herd has: each has limits of its own.
            member.address = f"127.0.{1 + member.number // 250}.{1 + member.number % 250}"
            member.user = f"member-{member.number % users}"
            member.jid = f"{member.user}@{server.domain}/{member.resource}"
        context = authority().context()
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(6 * PATIENCE):
            await asyncio.gather(*(member.log_in(context) for member in members))
            self.assertEqual(server.sessions(), self.size)
            await loop.run_in_executor(None, server.kill)
            ends = await asyncio.gather(*(member.reader.read() for member in members), return_exceptions=True)
            self.assertEqual(len(ends), self.size)
            back = [loop.create_task(self.comes_back(member, context)) for member in members]
            start = time.monotonic()
            await loop.run_in_executor(None, server.start)
            attempts = await asyncio.gather(*back)
            took = time.monotonic() - start
            self.assertEqual(server.sessions(), self.size)
            print(f"{self.size} back within {took:.1f} s, by at most {max(attempts)} attempts", flush=True)
            if not SANITIZED:
                self.assertLess(took, 60)
            self.assertLessEqual(max(attempts), 5)
            await asyncio.gather(*(member.leave() for member in members))

    async def comes_back(self, member, context):
        """How many attempts it took while there was a server; one that found no port is none of them."""
        attempts = 0
        for wait in itertools.repeat(self.wait):
            member.received = b""
            try:
                await member.log_in(context)
                return attempts + 1
            except ConnectionRefusedError:
                pass
            except (OSError, AssertionError):
                attempts += 1
            await asyncio.sleep(wait)


if __name__ == "__main__":
    unittest.main()
