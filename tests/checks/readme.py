#!/usr/bin/env python3
"""README.md names nothing that does not exist: every path in it is tracked, or is made by one of its commands."""

import re

import checking

# What building, quickstart and installing put there.
MADE = ("build/", "run/")
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(r"^[\w.-]+(/[\w.-]*)+$")


def paths_in(text):
    """The paths among a text's code spans, with their line numbers; other words with a slash are none of ours."""
    for number, line in enumerate(text.splitlines(), 1):
        for span in _CODE.findall(line):
            for word in span.split():
                if _PATH.match(word) and (word.split("/")[0] in (*checking.FOLDERS, "tests", "deploy")
                                          or word.startswith(MADE)):
                    yield number, word


def findings_in(text, files):
    folders = {f"{'/'.join(file.split('/')[:depth])}/" for file in files for depth in range(1, file.count("/") + 1)}
    for number, path in paths_in(text):
        # A pair of source and header may be named by what they share.
        known = path in files or path.rstrip("/") + "/" in folders or f"{path}.cpp" in files
        if not known and not path.startswith(MADE):
            yield f"README.md:{number}: {path} is not there"


def check():
    text = (checking.ROOT / "README.md").read_text(encoding="utf-8")
    return list(findings_in(text, set(checking.tracked())))


def self_test():
    files = {"connection/loop.cpp", "tests/system/a_test.py", "deploy/quickstart"}
    return checking.judged([
        ("`connection/loop.cpp`, `connection/loop`, `connection/`, `tests/system`", False),
        ("`deploy/quickstart --check`, `run/ca.crt`, `build/bin/comityd --config run/comity.toml`", False),
        ("`jabber:iq:roster`, `text/plain`, `A/AAAA`", False),
        ("`connection/lop.cpp`", True), ("`deploy/start --check`", True), ("`tests/system/b_test.py`", True),
        ("| x | y | `tests/system/a_test.py`, `tests/system/c_test.py` |", True),
    ], lambda text: list(findings_in(text, files)))


if __name__ == "__main__":
    checking.run(check, self_test)
