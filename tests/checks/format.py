#!/usr/bin/env python3
"""Every tracked C++ file is as clang-format would leave it."""

import pathlib
import subprocess
import tempfile

import checking


def findings_in(files, directory):
    done = subprocess.run(["clang-format-19", "--dry-run", "--Werror", "--style=file:" + str(checking.ROOT / ".clang-format"),
                           *files], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    return [line for line in done.stderr.splitlines() if "error:" in line] or [done.stderr or "clang-format-19 failed"]


def check():
    files = checking.tracked("*.cpp", "*.hpp")
    return findings_in(files, checking.ROOT) if files else ["no sources found: is this a git work tree?"]


def self_test():
    def judge(text):
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "sample.cpp").write_text(text, encoding="utf-8")
            return findings_in(["sample.cpp"], directory)
    return checking.judged([("int  a( ){return 1 ;}\n", True), ("int a() {\n  return 1;\n}\n", False)], judge)


if __name__ == "__main__":
    checking.run(check, self_test)
