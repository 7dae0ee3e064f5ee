"""More connections than descriptors: THREATS X12, G4."""

import os
import resource
import time
import unittest

from faults import fault
from harness import PATIENCE, Server
from storage_test import ROSTER
from xmpp_client import is_message


@unittest.skipIf("undefined" in os.environ.get("COMITY_SANITIZE", ""),
                 "the sanitizer takes a descriptor for each class it meets")
class FewDescriptors(unittest.TestCase):
    room = 12

    def test_more_clients_than_descriptors(self):  # THREATS X12, G4
        with Server(users=["alice", "away"]) as server, server.control() as (a, b), fault("X12"):
            with server.login("alice") as alice:
                resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.fds() + self.room,) * 2)
                crowd = [server.raw() for _ in range(3 * self.room)]  # the system answers for the server
                server.wait_log(r"listener\.paused")
                # Who is there is served, what is stored is stored, and the operator is heard.
                a.message(b.jid, "still here")
                b.wait_for(is_message("still here", a.jid))
                for number in range(20):
                    answer = alice.iq("set", f"<query xmlns='{ROSTER}'><item jid='{number}@x'/></query>")
                    self.assertEqual(answer.get("type"), "result")
                alice.message("away@comity.test", "kept")
                alice.iq("get", "<ping xmlns='urn:xmpp:ping'/>", "away@comity.test")
                server.assert_alive()
                self.assertLess(server.cpu(), PATIENCE)
                # One leaves, and the next in line is served; in the end all are.
                served = 0
                while crowd:
                    client = crowd.pop(0)
                    start = time.monotonic()
                    client.open_stream()
                    served += 1
                    client.abort()
                    self.assertLess(time.monotonic() - start, PATIENCE / 4)
                self.assertEqual(served, 3 * self.room)
                with server.login("away") as away:
                    away.wait_for(is_message("kept"))


if __name__ == "__main__":
    unittest.main()
