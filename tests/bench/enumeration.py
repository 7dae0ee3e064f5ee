#!/usr/bin/env python3
"""Whether an account exists cannot be told by how long the server takes (THREATS C2, RFC 6120 §13.11, CVE-2021-32921).
For an optimised build, and with nothing else on the machine: it measures, so it is run by hand.

    COMITYD=build/bin/comityd COMITYCTL=build/bin/comityctl python3 tests/bench/enumeration.py

The same question is asked of names that exist and of names that do not, in turns, and the two sets of answers' times are
held against each other by the test of Mann and Whitney. Where there is no difference, one attempt in a hundred still looks as
if there were: only what looks so three times over is a finding.
"""

import base64
import itertools
import math
import pathlib
import statistics
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))

from harness import Server  # noqa: E402
from xmpp_client import SASL  # noqa: E402

TRIES = 2500  # of each, in one attempt
ATTEMPTS = 3
NAMES = 40


def two_sided_p(first, second):
    """Of the U test, by its normal approximation; times hardly ever tie."""
    ordered = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, which) in enumerate(ordered, 1) if which == 0)
    n, m = len(first), len(second)
    u = ranks - n * (n + 1) / 2
    deviation = math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(u - n * m / 2) / deviation / math.sqrt(2))


class Enumeration(unittest.TestCase):
    def times(self, client, names):
        """Seconds from the first message of SCRAM to its challenge, for each of the names in turn."""
        taken = []
        for name in names:
            message = base64.b64encode(f"n,,n={name},r=abcdefghijklmnop".encode()).decode()
            began = time.perf_counter()
            client.send(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{message}</auth>")
            answer = client.next()
            taken.append(time.perf_counter() - began)
            self.assertEqual(answer.tag, f"{{{SASL}}}challenge")
            client.send(f"<abort xmlns='{SASL}'/>")
            client.next()
        return taken

    def attempt(self, server, present, absent):
        there, not_there = [], []
        # The first question of a connection takes longer, whoever it is about: each kind has it as often as the other.
        orders = itertools.cycle(((0, 1), (1, 0)))
        while len(there) < TRIES:
            # Five broken off are all that a stream may: then the next one.
            client = server.client("x", "direct")
            client.connect()
            client.open_stream()
            for first in next(orders):
                pair = [next(present), next(absent)]
                taken = self.times(client, pair[::-1] if first else pair)
                there.append(taken[first])
                not_there.append(taken[1 - first])
            client.abort()
        return there, not_there

    def test_the_absent_take_as_long_as_the_present(self):
        limits = {"connections_per_ip": 100000}
        with Server(users=[f"present{n:02}" for n in range(NAMES)], settings={"limits": limits, "log": {"level": "warn"}}) as server:
            def turns(kind):
                while True:
                    yield from (f"{kind}{n:02}" for n in range(NAMES))
            present, absent = turns("present"), turns("missing")
            found = []
            for _ in range(ATTEMPTS):
                there, not_there = self.attempt(server, present, absent)
                found.append(two_sided_p(there, not_there))
                figures = {"tries": 2 * TRIES, "p": f"{found[-1]:.3f}",
                           "median us, present": statistics.median(there) * 1e6,
                           "median us, absent": statistics.median(not_there) * 1e6}
                print(figures, flush=True)
                if found[-1] > 0.01:
                    break
            self.assertGreater(found[-1], 0.01, found)


if __name__ == "__main__":
    unittest.main()
