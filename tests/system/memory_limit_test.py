"""A daemon that the kernel would end for its memory: THREATS X13. A group of its own (cgroups(7), of either version) grants
it little more than it uses, and more clients come than fit."""

import contextlib
import os
import pathlib
import sys
import time
import unittest

from faults import fault
from harness import PATIENCE, SANITIZED, Server, wait_until
from ledger import Ledger

MIB = 1024 * 1024


class Group:
    """A group of the kernel's, below the one that this process is in."""

    def __init__(self):
        for line in pathlib.Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                self.unified, root = False, pathlib.Path("/sys/fs/cgroup/memory")
                break
            if not controllers:
                self.unified, root = True, pathlib.Path("/sys/fs/cgroup")
        else:
            if not (pathlib.Path("/sys/fs/cgroup") / "cgroup.controllers").exists():
                raise unittest.SkipTest("no cgroup of memory")
        for parent in (root / path.lstrip("/"), root):  # in a container the path may be one that is seen from outside
            self.folder = parent / f"comity-test-{os.getpid()}"
            with contextlib.suppress(OSError):
                self.folder.mkdir()
                if (self.folder / self.limit_file).exists():
                    return
                self.folder.rmdir()
        raise unittest.SkipTest("no group can be made")

    @property
    def limit_file(self):
        return "memory.max" if self.unified else "memory.limit_in_bytes"

    def used(self):
        """Bytes, with those of files."""
        return int((self.folder / ("memory.current" if self.unified else "memory.usage_in_bytes")).read_text("ascii"))

    def limit(self, size):
        (self.folder / self.limit_file).write_text(str(size), encoding="ascii")

    def join(self):
        """The program, with its arguments, that goes into the group and becomes another."""
        return [sys.executable, "-c", "import os, sys; open(sys.argv[1], 'w').write('0'); os.execv(sys.argv[2], sys.argv[2:])",
                str(self.folder / "cgroup.procs")]

    def remove(self):
        wait_until(lambda: not (self.folder / "cgroup.procs").read_text("ascii"), "nobody is in the group")
        self.folder.rmdir()


@unittest.skipIf(SANITIZED, "what a sanitizer keeps does not shrink")
class Limited(unittest.TestCase):
    """More is wanted than there is memory for: those who were there first stay and lose nothing."""

    residents = 100

    def setUp(self):
        self.group = Group()
        self.addCleanup(self.group.remove)
        self.server = Server(users=["resident", "newcomer"], settings={
            "log": {"level": "info"},
            "limits": {"unauthenticated_per_ip": 100000, "connections_per_ip": 100000, "resources_per_user": 1000,
                       "send_queue_bytes": 4 * MIB}})
        self.server.under = self.group.join()

    @contextlib.contextmanager
    def limited(self, limit):
        """(those who were there before the limit, what was used then)"""
        with self.server as server, server.control():
            residents = [server.login("resident", resource=f"r{number}") for number in range(self.residents)]
            ledger = Ledger("before")
            self.talk(residents, ledger)
            used = self.group.used()
            self.group.limit(limit(used))
            time.sleep(6)  # a limit that was not there is looked for every five seconds
            yield residents, used
            server.assert_alive()
            ledger = Ledger("after")
            stay = residents[:self.residents // 2]
            for each in stay:
                each.pending()  # what those that left had to say
            self.talk(stay, ledger)
            server.login("newcomer").close()
            for each in stay:
                self.assertTrue(each.close())
            for each in residents:
                each.abort()

    @staticmethod
    def talk(residents, ledger):
        """Each to the next one, and all of it arrives."""
        for each, following in zip(residents, [*residents[1:], residents[0]]):
            ledger.send(each, following.jid)
        ledger.read_all(residents, ledger.settled, PATIENCE)
        ledger.assert_balanced()

    def test_more_newcomers_than_memory(self):  # THREATS X13
        """They wait before the door, and come in when others have left."""
        with self.limited(lambda used: used * 6 // 5) as (residents, used), fault("X13"):
            crowd, waits = [], []
            while len(waits) < 5 and len(crowd) < 20000:
                client = self.server.client("newcomer")
                client.timeout = 1
                try:
                    client.login()
                    crowd.append(client)
                except OSError:
                    waits.append(client)
            self.server.wait_log(r"memory\.short used=\d+ limit=\d+")
            self.talk(residents, Ledger("meanwhile"))
            for each in [*crowd, *waits]:
                each.abort()
            self.server.wait_log(r"memory\.enough")
            print(f"{used} bytes used, {len(crowd)} newcomers let in, {len(waits)} left before the door", flush=True)
            self.assertEqual(len(waits), 5)

    def test_more_to_be_sent_than_memory(self):  # THREATS X13
        """Who came last on each of the loops goes first, and is told why."""
        with self.limited(lambda used: used + 48 * MIB) as (residents, used), fault("X13"):
            gluttons = [self.server.login("newcomer", resource=f"g{number}") for number in range(15)]
            sent = 0
            while "memory.shed" not in self.server.log() and sent < 40000:
                for _ in range(5):  # that nobody reads
                    residents[0].message(gluttons[sent % len(gluttons)].jid, "x" * 5000)
                    sent += 1
                residents[0].iq("get", "<ping xmlns='urn:xmpp:ping'/>", "resident@comity.test")
            self.server.wait_log(r"memory\.shed used=\d+ limit=\d+")
            self.server.wait_log(r'c2s\.closed .*peer=newcomer@\S+ cause=limit error=resource-constraint detail="out of memory"')
            for each in gluttons:
                each.abort()
            shed = self.server.log().count('detail="out of memory"')
            self.assertLess(shed, self.residents // 4)
            self.server.wait_log(r"memory\.enough")
            print(f"{used} bytes used, {shed} shed after {sent} messages that nobody read", flush=True)


if __name__ == "__main__":
    unittest.main()
