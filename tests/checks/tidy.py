#!/usr/bin/env python3
"""clang-tidy finds nothing in the server's sources: tidy.py BUILD_DIRECTORY, one with compile_commands.json.

Most of clang-tidy's time goes into the standard library's headers, so the sources of a folder are judged as one
translation unit, a file that includes them; a source that cannot stand beside another there (two may have the same name
in their unnamed namespaces) is put into the folder's next unit.
"""

import collections
import concurrent.futures
import os
import pathlib
import re
import subprocess
import tempfile

import checking

LONGEST_UNIT = 12  # sources: units must be small enough for all cores to have some until the end
ERROR_AT = re.compile(r"^(/[^:\n]+\.cpp):\d+:\d+: error: ", re.MULTILINE)
FINDING = re.compile(r"^.*: (?:error|warning): .*\[[a-z].*\]$", re.MULTILINE)


def units_of(files, flags):
    """Sources by folder and options, in lists of a bounded length."""
    groups = collections.defaultdict(list)
    for file in files:
        groups[(pathlib.Path(file).parent, flags[file])].append(file)
    for (_, options), members in groups.items():
        for start in range(0, len(members), LONGEST_UNIT):
            yield members[start:start + LONGEST_UNIT], options


def run(files, options, directory):
    """What clang-tidy says of these sources as one: (findings, the sources that did not compile beside the others)."""
    handle, name = tempfile.mkstemp(suffix=".cpp", dir=directory)
    with os.fdopen(handle, "w", encoding="utf-8") as unit:
        unit.writelines(f'#include "{file}"  // NOLINT(bugprone-suspicious-include)\n' for file in files)
    done = subprocess.run(["clang-tidy-19", "--quiet", "--config-file=" + str(checking.ROOT / ".clang-tidy"), name, "--",
                           "-x", "c++", *options, "-Wno-unknown-warning-option", "-Wno-unused-command-line-argument",
                           "-Wno-deprecated-declarations"],  # which a source allows itself, but not those beside it
                          cwd=checking.ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [], []
    if "clang-diagnostic-error" in done.stdout:
        strangers = [file for file in files if file in ERROR_AT.findall(done.stdout)]
        if strangers and len(files) > 1:
            return [], strangers
    return sorted(set(FINDING.findall(done.stdout))) or [f"{files[0]}…: {done.stderr.strip() or 'clang-tidy-19 failed'}"], []


def findings_in(files, options, directory):
    found = []
    while files:
        said, strangers = run(files, options, directory)
        if not strangers:
            found += said
            break
        if len(strangers) == len(files):
            strangers = files[1:]
        found += findings_in([file for file in files if file not in strangers], options, directory)
        files = strangers
    return found


def judged(files, flags):
    with tempfile.TemporaryDirectory() as directory, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        units = sorted(units_of(files, flags), key=lambda unit: -len(unit[0]))
        results = pool.map(lambda unit: findings_in(*unit, directory), units)
        return sorted({line for result in results for line in result})


def check(build):
    files = [str(checking.ROOT / file) for file in checking.tracked(*(f"{folder}/*.cpp" for folder in checking.FOLDERS))]
    if not files:
        return ["no sources found: is this a git work tree?"]
    flags = checking.flags_in(build)
    unbuilt = [f"{file}: no target builds it" for file in files if file not in flags]
    return unbuilt or judged(files, flags)


def self_test():
    def judge(texts):
        with tempfile.TemporaryDirectory(dir=checking.ROOT / "tls", prefix=".tidy-") as directory:
            files = []
            for number, text in enumerate(texts):
                sample = pathlib.Path(directory) / f"sample_{number}.cpp"
                sample.write_text(text, encoding="utf-8")
                files.append(str(sample))
            return judged(files, {file: ("-std=c++23",) for file in files})
    wrong = "int {0}() {{\n  int a;\n  return a = 1;\n}}\n"  # cppcoreguidelines-init-variables
    right = "namespace {{ int same(int a) {{ return a; }} }}\nint {0}(int a) {{\n  return same(a);\n}}\n"
    return checking.judged([
        ([wrong.format("f")], True),
        ([right.format("f")], False),
        ([right.format("f"), wrong.format("g")], True),
        ([wrong.format("f"), right.format("g"), right.format("h")], True),
        ([right.format("f"), right.format("g"), right.format("h")], False),  # the same name in each
        ([right.format("f"), "int g(int a) { return b; }\n"], True),         # does not compile at all
    ], judge)


if __name__ == "__main__":
    checking.run(check, self_test)
