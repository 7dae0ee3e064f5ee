#!/usr/bin/env python3
"""What drive.py makes of targets that hold and of one that does not."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

DRIVE = pathlib.Path(__file__).with_name("drive.py")
# What libFuzzer says, as far as it is read.
HOLDS = """#!/bin/sh
echo '#9 DONE   cov: 3 ft: 7 corp: 2/9b lim: 4 exec/s: 0 rss: 30Mb'
echo 'stat::number_of_executed_units: 9'
"""
BREAKS = """#!/bin/sh
for each; do case $each in -artifact_prefix=*) made=${each#*=}crash-1 ;; esac; done
printf x > "$made"
echo 'a.cpp:7: this does not hold'
echo "artifact_prefix='x'; Test unit written to $made"
exit 77
"""
BREAKS_BEYOND = BREAKS.replace("for each;", 'case "$*" in *-runs=0*) exit 0 ;; esac\nfor each;')


class Driving(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.tree = pathlib.Path(directory.name)
        (self.tree / "tests" / "fuzz").mkdir(parents=True)
        (self.tree / "bin").mkdir()
        self.lines = []

    def target(self, name, script, seeds="tests/fuzz/corpus/jid", covers="connection/jid.cpp"):
        program = self.tree / "bin" / f"{name}_fuzz"
        program.write_text(script, encoding="utf-8")
        program.chmod(0o755)
        self.lines.append(f"{name}: {seeds}: {covers}\n")
        (self.tree / "tests" / "fuzz" / "targets").write_text("".join(self.lines), encoding="utf-8")

    def drive(self, *arguments):
        return subprocess.run([sys.executable, "-B", str(DRIVE), str(self.tree), *arguments], capture_output=True, text=True,
                              check=False, env={**os.environ, "COMITY_SUMMARY": str(self.tree / "summary")})

    def test_what_holds_is_in_the_table_and_in_the_summary(self):
        self.target("one", HOLDS)
        self.target("two", HOLDS)
        ran = self.drive("--jobs", "2")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertRegex(ran.stdout, r"(?m)^one +9 .* 7 +2 +-$")
        figures = json.loads((self.tree / "summary" / "fuzz.json").read_text(encoding="utf-8"))["fuzz"]
        self.assertEqual(figures, {"targets": 2, "failed": 0, "findings": 0, "executions": 18, "features": 14})

    def test_what_does_not_hold_fails_with_its_input_and_how_to_see_it_again(self):
        self.target("good", HOLDS)
        self.target("bad", BREAKS)
        ran = self.drive("--keep", str(self.tree / "found"))
        self.assertEqual(ran.returncode, 1)
        self.assertIn("failed: bad", ran.stderr)
        self.assertIn("a.cpp:7: this does not hold", ran.stdout)
        kept = (self.tree / "found" / "failures" / "bad-crash-1").resolve()
        self.assertIn(f"bad_fuzz {kept}", ran.stdout)
        self.assertEqual(kept.read_text(encoding="utf-8"), "x")

    def test_what_is_found_is_told_where_the_corpus_decides(self):
        self.target("good", HOLDS)
        self.target("bad", BREAKS_BEYOND)
        ran = self.drive("--replay-decides")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("a.cpp:7: this does not hold", ran.stdout)
        figures = json.loads((self.tree / "summary" / "fuzz.json").read_text(encoding="utf-8"))["fuzz"]
        self.assertEqual((figures["failed"], figures["findings"]), (0, 1))
        self.target("worse", BREAKS)
        ran = self.drive("--replay-decides")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("failed: worse", ran.stderr)

    def test_a_target_that_is_not_there_is_named(self):
        self.target("good", HOLDS)
        self.assertIn("no such target: other", self.drive("other").stderr)
        self.target("lost", HOLDS, covers="connection/nowhere.cpp")
        self.assertIn("connection/nowhere.cpp", self.drive("lost").stderr)

    def test_processes_of_one_target_count_together(self):
        self.target("one", HOLDS)
        self.assertRegex(self.drive("one", "--jobs", "3").stdout, r"(?m)^one +27 ")


if __name__ == "__main__":
    unittest.main()
