#!/usr/bin/env python3
"""The systemd unit is confined: systemd-analyze gives it an exposure of at most 1.5, of 10. THREATS §3."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import checking

UNIT = checking.ROOT / "deploy" / "systemd" / "comityd.service"
WORST = 1.5
SKIPPED = 77


def findings_in(unit):
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
                          capture_output=True, text=True, check=False)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if not score:
        return [f"{unit}: systemd-analyze gives no score: {(done.stderr or done.stdout).strip()}"]
    if float(score[1]) > WORST:
        return [f"{unit}: exposure {score[1]}, more than {WORST}"]
    return []


def check():
    return findings_in(UNIT)


def self_test():
    text = UNIT.read_text(encoding="utf-8")
    loose = re.sub(r"(?m)^(SystemCallFilter|CapabilityBoundingSet)=.*\n", "", text)

    def judge(sample):
        with tempfile.TemporaryDirectory() as directory:
            unit = pathlib.Path(directory) / "comityd.service"
            unit.write_text(sample, encoding="utf-8")
            return findings_in(unit)
    return checking.judged([(text, False), (loose, True), ("[Service]\nExecStart=/bin/true\n", True)], judge)


if __name__ == "__main__":
    if shutil.which("systemd-analyze") is None:
        print("skipped: there is no systemd-analyze (Debian: systemd)")
        sys.exit(SKIPPED)
    checking.run(check, self_test)
