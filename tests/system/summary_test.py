#!/usr/bin/env python3
"""The block of figures that stands at the end of all the tests."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import summary


class Block(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.build = pathlib.Path(self.directory.name)

    def record(self, tree, part, **lines):
        with mock.patch.dict(os.environ, {"COMITY_SUMMARY": str(self.build / tree / "summary")}):
            summary.record(part, **lines)

    def test_every_part_of_every_tree_has_its_lines(self):
        self.record("asan", "hostile", hostile={"cases": 1840, "passed": 1839})
        self.record("asan", "faults", faults={"faults": 15, "survived": 15}, ledger={"sent": 9})
        self.record("fuzz", "fuzz", fuzz={"executions": 1234567, "lines covered": "91.5 %", "hours": 0.25})
        self.record("", "attack", attack={"connections": 1000})
        self.assertEqual(summary.block(self.build), [
            "== summary",
            "attack   release  connections 1,000",
            "faults   asan     faults 15, survived 15",
            "fuzz     fuzz     executions 1,234,567, lines covered 91.5 %, hours 0.2",
            "hostile  asan     cases 1,840, passed 1,839",
            "ledger   asan     sent 9",
        ])

    def test_a_damaged_part_is_named(self):
        (self.build / "asan" / "summary").mkdir(parents=True)
        (self.build / "asan" / "summary" / "faults.json").write_text("[]", encoding="utf-8")
        self.assertIn("faults  asan  unreadable", summary.block(self.build)[1])

    def through(self, text):
        return subprocess.run([sys.executable, "-B", summary.__file__, str(self.build), "-"], input=text,
                              capture_output=True, text=True, check=True).stdout

    def test_ctest_has_the_last_word(self):
        lines = "1/1 Test #1: a ... Passed\n\n100% tests passed, 0 tests failed out of 1\n\nTotal Test time = 1 sec\n"
        self.assertIn(lines.partition("100%")[0], self.through(lines))
        self.record("asan", "hostile", hostile={"cases": 1})
        self.assertEqual(self.through(lines),
                         lines.replace("100%", "== summary\nhostile  asan  cases 1\n\n100%"))


if __name__ == "__main__":
    unittest.main()
