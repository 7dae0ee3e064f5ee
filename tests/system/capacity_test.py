#!/usr/bin/env python3
"""More than a machine can do (THREATS X14, X15): twice the messages that go, and nearly as many clients as there are
descriptors thrown out and back at once. For an optimised build alone, and with nothing else on the machine: it measures.

The server has one processor core, comity-bench, named by COMITY_BENCH, the other ones. Of messages comity-bench has to
send and read as many as the server does, and more: so there the server shares its core with who takes half of it.
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
import unittest

import summary
from faults import fault
from harness import PASSWORD, PATIENCE, Server, program

CLIENTS = 100
# Of a client's bytes the kernel holds no more than this: what it does not take at once was not admitted.
SEND_BUFFER = 16 * 1024
# 19,500, where there are descriptors for so many: a twentieth of them the server keeps for other things.
HERD = min(19_500, resource.getrlimit(resource.RLIMIT_NOFILE)[1] * 19 // 20 - 50)
USERS = 50
LIMITS = {"connections_per_ip": 100_000, "unauthenticated_per_ip": 100_000, "resources_per_user": 1 + HERD // USERS}


class Capacity(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def server(self, users):
        return Server(users=[f"u{number}" for number in range(users)], settings={
            "server": {"threads": 1}, "log": {"level": "warn"}, "limits": LIMITS})

    def pin(self, server):
        """The server's threads to the first core, and what this process starts from now on to the others."""
        cores = sorted(os.sched_getaffinity(0))
        for task in os.listdir(f"/proc/{server.pid}/task"):
            os.sched_setaffinity(int(task), cores[:1])
        return cores[1:] or cores

    def bench(self, server, *words, **options):
        cores = self.pin(server)
        return subprocess.Popen(
            [program("COMITY_BENCH"), "--json", "--pid", str(server.pid), "--host", "127.0.0.1", "--port",
             str(server.direct_port), "--domain", server.domain, "--password", PASSWORD, *map(str, words)],
            stdout=subprocess.PIPE, text=True, preexec_fn=lambda: os.sched_setaffinity(0, cores), **options)

    @contextlib.contextmanager
    def busy_neighbour(self):
        core = min(os.sched_getaffinity(0))
        process = subprocess.Popen([sys.executable, "-c", "while True: pass"],
                                   preexec_fn=lambda: os.sched_setaffinity(0, [core]))
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def found(self, process):
        text, _ = process.communicate(timeout=10 * PATIENCE)
        self.assertEqual(process.returncode, 0, text)
        return json.loads(text)

    def test_twice_the_messages_that_go(self):  # THREATS X14
        with self.server(CLIENTS) as server, self.busy_neighbour(), fault("X14"):
            load = ("messages", "--pairs", CLIENTS // 2, "--send-buffer", SEND_BUFFER)
            most = self.found(self.bench(server, *load, "--seconds", 4))["messages_a_second"]
            twice = self.found(self.bench(server, *load, "--rate", 2 * most, "--shed", "--seconds", 8))
            figures = {"most a second": int(most), "offered a second": int(twice["offered_a_second"]),
                       "goodput": twice["messages_a_second"] / most, "p99 ms": twice["latency_ms_p99"],
                       "memory MiB more": twice["pss_mib_more"], "lost": int(twice["lost"])}
            print(figures, flush=True)
            summary.record("overload", overload=figures)
            self.assertGreater(twice["offered_a_second"], 1.9 * most)
            self.assertGreater(twice["messages_a_second"], 0.8 * most)
            self.assertLess(twice["latency_ms_p99"], 1000)
            self.assertLess(twice["pss_mib_more"], 16)
            self.assertEqual(twice["lost"], 0)

    def test_everybody_comes_back_at_once(self):  # THREATS X15
        with self.server(USERS + 2) as server, fault("X15", HERD):
            generator = self.bench(server, "herd", "--count", HERD, "--sessions", LIMITS["resources_per_user"])
            self.assertEqual(generator.stdout.readline(), "ready\n")
            self.assertEqual(server.sessions(), HERD)
            server.kill()
            start = time.monotonic()
            server.start()
            self.pin(server)
            back = self.found(generator)
            took = time.monotonic() - start
            figures = {"clients": HERD, "back s": took, "attempts at most": int(back["attempts_most"]),
                       "attempts": back["attempts_mean"]}
            print(figures, flush=True)
            summary.record("herd", herd=figures)
            self.assertLess(took, 60)
            self.assertLessEqual(back["attempts_most"], 5)


if __name__ == "__main__":
    unittest.main()
