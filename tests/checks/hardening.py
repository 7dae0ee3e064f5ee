#!/usr/bin/env python3
"""A release program has its exploit mitigations: hardening.py PROGRAM"""

import functools
import pathlib
import re
import subprocess
import tempfile

import checking


ENDBR64 = bytes.fromhex("f30f1efa")  # what an indirect branch may lead to
PAGE = 0x1000


def readelf(program, *parts):
    return subprocess.run(["readelf", "--wide", *(parts or ("--file-header", "--program-headers", "--dynamic", "--dyn-syms",
                                                           "--notes")), str(program)],
                          capture_output=True, text=True, check=True).stdout


@functools.cache
def start_files():
    """What the C library and the compiler link into every program."""
    return [subprocess.run(["clang-19", f"-print-file-name={name}"], capture_output=True, text=True,
                           check=True).stdout.strip() for name in ("Scrt1.o", "crti.o", "crtbeginS.o", "crtendS.o", "crtn.o")]


def findings_in_code(text, content):
    """Of the program's segments and their bytes."""
    loaded = [(int(offset, 16), int(size, 16), "E" in flags) for offset, size, flags in re.findall(
        r"^\s*LOAD\s+(0x\w+) 0x\w+ 0x\w+ (0x\w+) 0x\w+ ([RWE ]{3})", text, re.MULTILINE)]
    targets = sum(content[offset:offset + size].count(ENDBR64) for offset, size, executable in loaded if executable)
    if targets <= sum(pathlib.Path(each).read_bytes().count(ENDBR64) for each in start_files()):
        yield "indirect branches may lead anywhere (-fcf-protection)"
    # The linker says so of a program where all that it is made of says so; Debian 12's start files do not.
    if all("IBT" in readelf(each, "--notes") for each in start_files()) and not re.search(r"x86 feature:.*\bIBT\b.*\bSHSTK\b", text):
        yield "no note on CET"

    def pages(offset, size):
        return offset // PAGE, (offset + size - 1) // PAGE
    for offset, size, executable in loaded:
        first, last = pages(offset, size)
        if executable and any(first <= pages(*other[:2])[1] and pages(*other[:2])[0] <= last
                              for other in loaded if other[0] != offset and other[1]):
            yield "what is executed shares a page of the file with what is not (-z separate-code)"


def findings_in(text):
    """What readelf's output lacks, or has and should not."""
    wanted = {
        "not position-independent": r"^\s*Type:\s+DYN .*(Position-Independent|Shared)",
        "not loaded anywhere (PIE)": r"\(FLAGS_1\).*\bPIE\b",
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


def judged(program):
    text = readelf(program)
    return findings_in(text) + list(findings_in_code(text, pathlib.Path(program).read_bytes()))


def check(program):
    return [f"{program}: {what}" for what in judged(program)]


def self_test():
    source = ("#include <stdio.h>\n#include <string.h>\n"
              "#ifdef WRITABLE\n__asm__(\".section .both, \\\"awx\\\", @progbits\\n.byte 0\\n.text\");\n#endif\n"
              "int main(int c, char** v) { char b[32]; strcpy(b, v[c - 1]); return puts(b); }\n")
    good = ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-fPIE", "-pie",
            "-fcf-protection=full", "-Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code"]
    samples = {
        "no PIE": ["-fno-pie", "-no-pie"], "lazy": ["-Wl,-z,lazy"], "no RELRO": ["-Wl,-z,norelro"],
        "executable stack": ["-Wl,-z,execstack"], "no stack protector": ["-fno-stack-protector"],
        "nothing fortified": ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=0"], "RPATH": ["-Wl,-rpath,/opt/lib"],
        "no CET": ["-fcf-protection=none"], "code beside data": ["-Wl,-z,noseparate-code"],
        "writable code": ["-DWRITABLE"],
    }
    with tempfile.TemporaryDirectory() as directory:
        def judge(name):
            program = pathlib.Path(directory) / "program"
            subprocess.run(["clang-19", "-fuse-ld=lld-19", "-x", "c", "-", "-o", str(program), *good,
                            *samples.get(name, [])], input=source, text=True, check=True, capture_output=True)
            return judged(program)
        return checking.judged([("good", False), *((name, True) for name in samples)], judge)


if __name__ == "__main__":
    checking.run(check, self_test)
