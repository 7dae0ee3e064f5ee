#!/usr/bin/env python3
"""clang-tidy finds nothing in the server's sources: tidy.py BUILD_DIRECTORY, one with compile_commands.json."""

import concurrent.futures
import os
import pathlib
import subprocess
import tempfile

import checking


def findings_in(file, arguments):
    done = subprocess.run(["clang-tidy-19", "--quiet", "--config-file=" + str(checking.ROOT / ".clang-tidy"), *arguments[0],
                           str(file), *arguments[1]], cwd=checking.ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    said = [line for line in done.stdout.splitlines() if " error: " in line or " warning: " in line]
    return sorted(set(said)) or [f"{file}: {done.stderr.strip() or 'clang-tidy-19 failed'}"]


def check(build):
    files = checking.tracked(*(f"{folder}/*.cpp" for folder in checking.FOLDERS))
    if not files:
        return ["no sources found: is this a git work tree?"]
    # A precompiled header is the compiler's own; clang-tidy reads the headers themselves.
    arguments = (["-p", build, "--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-unused-command-line-argument"],
                 [])
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(lambda file: findings_in(file, arguments), files)
        return sorted({line for result in results for line in result})


def self_test():
    def judge(text):
        with tempfile.TemporaryDirectory() as directory:
            sample = pathlib.Path(directory) / "sample.cpp"
            sample.write_text(text, encoding="utf-8")
            return findings_in(sample, ([], ["--", "-std=c++23"]))
    return checking.judged([
        ("int f() {\n  int a;\n  return a = 1;\n}\n", True),  # cppcoreguidelines-init-variables
        ("int f(int a) {\n  return a;\n}\n", False),
    ], judge)


if __name__ == "__main__":
    checking.run(check, self_test)
