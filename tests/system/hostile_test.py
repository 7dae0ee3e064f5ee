#!/usr/bin/env python3
"""Every row of THREATS §1 that a peer can send, by the table in hostile/: over each transport and in each state."""

import asyncio
import os
import unittest

import summary
from harness import SANITIZED
from hostile.world import BYTES_LEFT_BY_ALL, World
from hostile import cases_operations, cases_sasl, cases_servers, cases_sessions, cases_xml

CASES = cases_xml.CASES + cases_sasl.CASES + cases_servers.CASES + cases_sessions.CASES + cases_operations.CASES

# What the pair that talks meanwhile may wait. Under sanitizers other tests run beside this one, for which it waits above all:
# then this only tells a pair that is served from one that stands still.
LATENCY = 2.0 if SANITIZED else 0.05


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # What was freed is kept for some time to be found if it is used: less of that, so that memory says something.
        os.environ["ASAN_OPTIONS"] = "quarantine_size_mb=4:" + os.environ.get("ASAN_OPTIONS", "")
        cls.runner = asyncio.Runner()
        cls.world = World()
        cls.world.__enter__()

    @classmethod
    def tearDownClass(cls):
        world = cls.world
        cls.runner.close()
        p50, p99, worst = (world.latency(q) for q in (0.5, 0.99, 1))
        figures = {"cases": world.done, "passed": world.passed, "answers counted": sum(world.conditions.values()),
                   "server cpu s": world.cpu(), "control messages": len(world.latencies), "p50 ms": p50 * 1000, "p99 ms": p99 * 1000,
                   "longest ms": worst * 1000}
        print(", ".join(f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in figures.items()), flush=True)
        summary.record("hostile", hostile=figures)
        world.__exit__(None, None, None)

    def attack(self, row):
        findings = self.runner.run(self.world.attack([case for case in CASES if case.row == row]))
        if findings:
            shown = "\n".join(findings[:40])
            self.fail(f"{len(findings)} findings\n{shown}")

    def test_z_what_holds_afterwards(self):
        self.assertEqual(self.world.closing_findings(), [])
        if not SANITIZED:
            self.assertLess(self.world.rss() - self.world.first_memory, BYTES_LEFT_BY_ALL)
        self.assertLessEqual(self.world.latency(0.99), LATENCY)


def _test_of(row):
    def test(self):
        self.attack(row)
    test.__doc__ = f"THREATS {row}"
    return test


for _row in sorted({case.row for case in CASES}):
    setattr(Hostile, f"test_{_row}", _test_of(_row))


if __name__ == "__main__":
    unittest.main()
