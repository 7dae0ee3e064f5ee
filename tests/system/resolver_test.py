"""The process that resolves, apart from the one that serves (THREATS E6, X18, §3): what it may not have, and that its
end is felt by lookups alone."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import struct
import threading
import time
import unittest

from faults import fault
from harness import PATIENCE, SANITIZED, Server, assert_chat, children_of, resolvers_of, status_of, wait_until

NXDOMAIN = 3


class NameServer:
    """Says of every name at once that it does not exist, and nothing of those that begin with "slow"."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1@{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.held = set()  # the names it says nothing of
        self.thread.start()

    def serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            end = 12
            while query[end]:
                end += query[end] + 1
            if b"slow" in query.lower():
                self.held.add(query[12:end].lower())
                continue
            with contextlib.suppress(OSError):  # closed meanwhile
                self.socket.sendto(query[:2] + struct.pack(">HHHHH", 0x8180 | NXDOMAIN, 1, 0, 0, 0) + query[12:end + 5],
                                   peer)

    def close(self):
        self.socket.close()


class ResolverProcess(unittest.TestCase):
    def setUp(self):
        self.names = NameServer()
        self.addCleanup(self.names.close)
        self.server = self.enterContext(Server(users=("alice", "bob"), settings={
            "s2s": {"enabled": True}, "dns": {"servers": [self.names.address], "trust_anchors": [], "timeout": "5s"}}))

    def resolver(self):
        found = resolvers_of(self.server.pid)
        self.assertEqual(len(found), 1)
        return found[0]

    def explain(self, domain):
        return self.server.ctl("s2s", "explain", domain, "--dry-run", check=False).stdout

    def test_killed_it_is_back_and_only_lookups_in_flight_fail(self):
        server = self.server
        alice, bob = server.login("alice"), server.login("bob")
        self.addCleanup(bob.abort)
        self.addCleanup(alice.abort)
        assert_chat(alice, bob)
        for turn in range(3):
            with fault("X18"):
                self.kill_under_way(server, turn, alice, bob)
        self.assertEqual(len(re.findall(r"the resolver process has ended: killed by signal 9; \d+ lookups fail",
                                        server.log())), 3)
        server.assert_alive()

    def kill_under_way(self, server, turn, alice, bob):
        in_flight = [threading.Thread(target=self.explain, args=(f"slow{turn}-{number}.example",))
                     for number in range(4)]
        held = len(self.names.held)
        for each in in_flight:
            each.start()
        # All of them, both services of each: one that asks the next process instead would have that take the
        # name server for dead.
        wait_until(lambda: len(self.names.held) == held + 8, "lookups are under way")
        before = self.resolver()
        os.kill(before, signal.SIGKILL)
        begun = time.monotonic()
        # What is asked before the server knows is in flight too.
        wait_until(lambda: server.log().count("the resolver process has ended") > turn, "the server knows")
        answer = self.explain(f"fresh{turn}.example")
        took = time.monotonic() - begun
        self.assertIn("NXDOMAIN", answer.upper())
        self.assertLess(took, 2 if not SANITIZED else PATIENCE)
        self.assertNotEqual(self.resolver(), before)
        assert_chat(alice, bob)
        for each in in_flight:
            each.join()
        server.wait_metric(turn + 1, "comity_dns_resolver_restarts_total")

    def test_it_has_nothing_that_it_does_not_need(self):
        self.assertIn("NXDOMAIN", self.explain("a.example").upper())
        pid = self.resolver()
        for number in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            if SANITIZED and number == "2":
                continue  # for its report
            self.assertRegex(target, r"^(socket:\[|pipe:\[|anon_inode:|/dev/null$)")
        status = status_of(pid)
        self.assertEqual(int(status["CapEff"], 16), 0)
        self.assertEqual(int(status["CapPrm"], 16), 0)
        self.assertEqual(status["NoNewPrivs"].strip(), "1")
        if os.geteuid() == 0:
            self.assertEqual(set(status["Uid"].split()), {"65534"})
            self.assertEqual(status["Groups"].strip(), "")
        if not SANITIZED:
            self.assertEqual(status["Seccomp"].strip(), "2")
        self.assertEqual(pathlib.Path(f"/proc/{pid}/environ").read_bytes() if not SANITIZED else b"", b"")

    @unittest.skipIf(os.geteuid() != 0, "only root may look into another process")
    @unittest.skipIf(SANITIZED, "a sanitizer maps terabytes")
    def test_no_key_and_no_configuration_is_in_its_memory(self):
        secrets = [self.server.key_of(self.server.domain).read_bytes().splitlines()[1],
                   str(self.server.config).encode(), b"comity.test"]
        def found_in(pid):
            found = set()
            with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, \
                    open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
                for line in maps:
                    bounds, rights = line.split()[:2]
                    begin, end = (int(each, 16) for each in bounds.split("-"))
                    if not rights.startswith("r") or "[v" in line:
                        continue
                    try:
                        memory.seek(begin)
                        content = memory.read(end - begin)
                    except OSError:
                        continue
                    found |= {secret for secret in secrets if secret in content}
            return found
        self.assertIn(b"comity.test", found_in(self.server.pid))  # what looks for it finds it where it is
        self.assertEqual(found_in(self.resolver()), set())

    def test_new_settings_are_taken_by_another_process(self):
        before = self.resolver()
        other = NameServer()
        self.addCleanup(other.close)
        self.server.settings["dns"]["servers"] = [other.address]
        self.server.write_config()
        self.server.ctl("reload")
        wait_until(lambda: resolvers_of(self.server.pid) not in ([], [before]) and len(resolvers_of(self.server.pid)) == 1,
                   "another process resolves")
        self.names.close()
        self.assertIn("NXDOMAIN", self.explain("after.example").upper())
        self.assertEqual(self.server.metric("comity_dns_resolver_restarts_total"), 0)

    def test_it_does_not_outlive_the_server(self):
        pids = [self.resolver(), *children_of(self.server.pid)]
        self.server.kill()
        wait_until(lambda: not any(status_of(pid).get("State", "Z")[0] not in "ZX" for pid in pids), "they are gone")
        self.server.start()


if __name__ == "__main__":
    unittest.main(verbosity=2)
