#!/usr/bin/env python3
"""Peers that vanish without a word: in network namespaces of the test's own, every packet between them and the daemon is
lost from a moment on. THREATS X7.

The kernel finds them, after times that are divided here so that nobody waits a minute (faulty_machine.cpp); what they
are in earnest, tests/connection/tcp_options_test.cpp says.
"""

import asyncio
import contextlib
import os
import pathlib
import sys
import time
import unittest

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "lab"))

from faults import fault
from harness import PATIENCE, SANITIZED, program, wait_until
from hostile.peer import Peer
from hostile.world import World
from ledger import Ledger
from network import NOBODY, Network, ip
from stream_management_test import Managed

HERE, AWAY = "10.97.0.1", "10.97.0.2"
HURRY = 10
# tcp_options.hpp: probes begin behind this silence, and a peer is given up once it has not answered for so long.
FIRST_PROBE, GIVEN_UP = 40 / HURRY, 60 / HURRY
RESUME = 2


class Reachable(World):
    """Listens where other hosts can reach it."""

    def __init__(self, **options):
        super().__init__(users=4, **options)
        self.address = HERE
        self.environment = {"LD_PRELOAD": program("COMITY_FAULTY_MACHINE"), "COMITY_TEST_HURRY": str(HURRY)}
        self.write_config()


@unittest.skipIf(os.geteuid() != 0, "only root makes network namespaces")
class Vanished(unittest.TestCase):
    @contextlib.contextmanager
    def two_hosts(self):
        """A daemon on one host, where this thread is too, and another host."""
        with Network({"here": [HERE], "away": [AWAY]}) as network, network.hosts["here"].inside():
            with Reachable(settings={"stream_management": {"resume_timeout": f"{RESUME}s"}}) as server:
                yield server, network.hosts["here"], network.hosts["away"]

    @staticmethod
    def lose_everything(here, away):
        """From now on, both ways."""
        for host, other in ((here, AWAY), (away, HERE)):
            ip("-n", host.netns, "neighbour", "replace", other, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent")

    def test_idle_and_written_to(self):
        """They are given up in time and not before, whichever side they are on; what was sent to one that may resume is
        kept for its account, once; who is still there notices nothing."""
        kinds = 4
        with self.two_hosts() as (server, here, away), fault("X7", kinds):
            with away.inside():
                idle = server.login("u0")
                idle_direct = server.login("u1", "direct")
                written = Managed(server, "u2").log_in()
                peer = asyncio.Runner()
                other_server = Peer(server, "s2s_direct")
                peer.run(other_server.reach("peer"))
            with here.inside(), server.login("u3") as sender, peer:  # out of the other one, this thread is in neither
                ledger = Ledger("gone")
                self.assertEqual(server.sessions(), 6)  # with the control pair
                self.assertEqual(server.counter("comity_connections", scope="s2s", direction="inbound"), 1)
                began = time.monotonic()
                self.lose_everything(here, away)
                sent = [ledger.send(sender, written.jid) for _ in range(5)]
                gone = {}

                def all_gone():
                    left = {"client": 6 - server.counter("comity_connections", scope="c2s"),
                            "server": 1 - server.counter("comity_connections", scope="s2s", direction="inbound")}
                    for kind, count in left.items():
                        for number in range(int(count)):
                            gone.setdefault(f"{kind} {number}", time.monotonic() - began)
                    return len(gone) == kinds
                wait_until(all_gone, lambda: f"all have been given up: {gone}", GIVEN_UP + PATIENCE)
                print(f"given up after {min(gone.values()):.1f} to {max(gone.values()):.1f} s", flush=True)
                self.assertGreater(min(gone.values()), FIRST_PROBE)
                if not SANITIZED:
                    self.assertLess(max(gone.values()), GIVEN_UP + 1.5)
                # It might have come back; now it has not.
                wait_until(lambda: server.sessions() == 3, lambda: f"{server.sessions()} sessions, not 3")
                with server.login("u2") as again:
                    ledger.read(again, ledger.settled)
                ledger.assert_balanced()
                self.assertEqual(ledger.counts(), {"stored": len(sent)})
                for each in (idle, idle_direct, written.client):
                    each.abort()
                other_server.close()
            self.assertEqual(server.look_at_control(), [])


if __name__ == "__main__":
    unittest.main()
