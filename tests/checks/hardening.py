#!/usr/bin/env python3
"""A release program has its exploit mitigations: hardening.py PROGRAM"""

import pathlib
import re
import subprocess
import tempfile

import checking


def readelf(program):
    return subprocess.run(["readelf", "--wide", "--file-header", "--program-headers", "--dynamic", "--dyn-syms",
                           str(program)], capture_output=True, text=True, check=True).stdout


def findings_in(text):
    """What readelf's output lacks, or has and should not."""
    wanted = {
        "not position-independent": r"^\s*Type:\s+DYN .*(Position-Independent|Shared)",
        "no RELRO": r"^\s*GNU_RELRO\s",
        "symbols are not bound at the start (BIND_NOW)": r"\(FLAGS_1\).*\bNOW\b|\(FLAGS\).*\bBIND_NOW\b|\(BIND_NOW\)",
        "no statement about the stack": r"^\s*GNU_STACK\s",
        "no stack protector": r"\b__stack_chk_fail\b",
        "nothing is fortified": r"\b__\w+_chk\b(?<!__stack_chk)",
    }
    unwanted = {
        "RPATH or RUNPATH": r"\((RPATH|RUNPATH)\)",
        "TEXTREL": r"\(TEXTREL\)|\(FLAGS\).*\bTEXTREL\b",
        "a segment, or the stack, is writable and executable": r"^\s*(LOAD|GNU_STACK)\s.*\bRWE\b",
    }
    return [what for what, pattern in wanted.items() if not re.search(pattern, text, re.MULTILINE)] + [
        what for what, pattern in unwanted.items() if re.search(pattern, text, re.MULTILINE)]


def check(program):
    return [f"{program}: {what}" for what in findings_in(readelf(program))]


def self_test():
    source = ("#include <stdio.h>\n#include <string.h>\n"
              "int main(int c, char** v) { char b[32]; strcpy(b, v[c - 1]); return puts(b); }\n")
    good = ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-fPIE", "-pie",
            "-Wl,-z,relro,-z,now,-z,noexecstack"]
    samples = {
        "no PIE": ["-fno-pie", "-no-pie"], "lazy": ["-Wl,-z,lazy"], "no RELRO": ["-Wl,-z,norelro"],
        "executable stack": ["-Wl,-z,execstack"], "no stack protector": ["-fno-stack-protector"],
        "nothing fortified": ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0"], "RPATH": ["-Wl,-rpath,/opt/lib"],
    }
    with tempfile.TemporaryDirectory() as directory:
        def judge(name):
            program = pathlib.Path(directory) / "program"
            subprocess.run(["clang-19", "-fuse-ld=lld-19", "-x", "c", "-", "-o", str(program), *good,
                            *samples.get(name, [])], input=source, text=True, check=True, capture_output=True)
            return findings_in(readelf(program))
        return checking.judged([("good", False), *((name, True) for name in samples)], judge)


if __name__ == "__main__":
    checking.run(check, self_test)
