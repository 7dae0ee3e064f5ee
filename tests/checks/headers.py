#!/usr/bin/env python3
"""Each of the server's headers compiles alone: headers.py BUILD_DIRECTORY, one with compile_commands.json.

A header that a source includes before all else compiles alone if that source compiles, as the release build shows, which
precompiles nothing. Only the others are compiled here.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import tempfile

import checking

FIRST_INCLUDE = re.compile(r'^\s*#\s*include\s*(["<][^">]+[">])', re.MULTILINE)


def shown_by(text):
    """The header that a source of this text includes first, if it is the project's own, whose names are in quotes."""
    first = FIRST_INCLUDE.search(text)
    return first[1].strip('"') if first and first[1].startswith('"') else None


def nearest(header, sources):
    """The source with which the header has the most of its path in common: its options are the header's."""
    return max(sources, key=lambda source: len(os.path.commonpath([source, header])))


def findings_of(header, options):
    """What the compiler says of a source that includes the header and nothing else."""
    done = subprocess.run(["clang++-19", *options, "-fsyntax-only", "-x", "c++", "-"], input=f'#include "{header}"\n',
                          capture_output=True, text=True, check=False)
    return [line for line in done.stderr.splitlines() if ": error: " in line] or \
        ([f"{header}: {done.stderr.strip() or 'clang++-19 failed'}"] if done.returncode else [])


def judged(root, headers, sources, flags):
    """The findings on the headers (names under root) that none of the sources (paths with options in flags) shows."""
    shown = {shown_by(pathlib.Path(source).read_text(encoding="utf-8")) for source in sources}
    unshown = [str(root / header) for header in headers if header not in shown]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = pool.map(lambda header: findings_of(header, flags[nearest(header, sources)]), unshown)
        return sorted({line for result in results for line in result})


def check(build):
    flags = checking.flags_in(build)
    headers = checking.tracked(*(f"{folder}/*.hpp" for folder in checking.FOLDERS))
    sources = [str(checking.ROOT / file) for file in checking.tracked(*(f"{folder}/*.cpp" for folder in checking.FOLDERS))]
    built = [source for source in sources if source in flags]
    if not headers or not built:
        return ["no headers or none of their sources found: is this a git work tree, and built there?"]
    return judged(checking.ROOT, headers, built, flags)


def self_test():
    def judge(files):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for name, text in files.items():
                (root / name).write_text(text, encoding="utf-8")
            sources = [str(root / name) for name in files if name.endswith(".cpp")]
            return judged(root, [name for name in files if name.endswith(".hpp")], sources,
                          {source: ("-std=c++23", f"-I{root}") for source in sources})
    alone = "#pragma once\n#include <string>\nstd::string name();\n"
    needy = "#pragma once\nstd::string name();\n"
    source = "int main() {}\n"
    return checking.judged([
        ({"a.hpp": alone, "b.cpp": source}, False),
        ({"a.hpp": needy, "b.cpp": source}, True),
        ({"a.hpp": needy, "b.cpp": '#include <string>\n#include "a.hpp"\n'}, True),  # the source does not show it
        ({"a.hpp": needy, "b.cpp": '#include "c.hpp"\n#include "a.hpp"\n', "c.hpp": alone}, True),
        ({"a.hpp": needy, "a.cpp": '#include "a.hpp"\n'}, False),  # for the release build to judge
    ], judge)


if __name__ == "__main__":
    checking.run(check, self_test)
