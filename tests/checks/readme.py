#!/usr/bin/env python3
"""README.md names nothing that does not exist, gives no command that no test runs, and says nothing twice.

Every path in it is tracked, or is made by one of its commands. Of the commands, those on the tree itself are run by
tests/system/readme_test.py; those on what is installed stand word for word in tests/package/guest.sh, or, where it takes
other servers, with another domain in a test of the lab.
"""

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


def repeated_in(text):
    """Headings and rows of tables that are there already, as a merge of two versions may leave them."""
    seen = {}
    for number, line in enumerate(text.splitlines(), 1):
        head = line if line.startswith("#") else "|".join(line.split("|")[1:3]) if re.match(r"\| [^|]{20}", line) else None
        if head and seen.setdefault(head, number) != number:
            yield f"README.md:{number}: {head.strip()[:60]} stands in line {seen[head]} too"


def commands_in(text):
    """The lines of the blocks of shell that are not run on the tree itself, as building and measuring are."""
    for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", text):
        yield from (line for line in block.splitlines() if not line.startswith(("deploy/", "build/bin/", "cmake ", "tests/")))


def untried_in(text, guest, lab):
    lines = {line.strip() for line in guest.splitlines()}
    for command in commands_in(text):
        words = [r"[\w.]+" if re.fullmatch(r"(\w+\.)+\w+", word) else re.escape(word) for word in command.split()[1:]]
        elsewhere = command.startswith("comityctl ") and re.search(r"\W+".join(words), lab)
        if command not in lines and not elsewhere:
            yield f"README.md: {command}: no test runs it"


def check():
    def read(*names):
        return "\n".join((checking.ROOT / name).read_text(encoding="utf-8") for name in names)
    text = read("README.md")
    lab = read(*checking.tracked("tests/lab/*.py", "tests/lab/scenarios/*"))
    return [*findings_in(text, set(checking.tracked())), *repeated_in(text), *untried_in(text, read("tests/package/guest.sh"), lab)]


def self_test():
    files = {"connection/loop.cpp", "tests/system/a_test.py", "deploy/quickstart"}
    guest, lab = "  systemctl reload comityd\ncomityctl status\n", 'steps.ctl("check", "b.org", "--wait")\n'
    untried = checking.judged([
        ("```sh\nsystemctl reload comityd\ncomityctl status\n```\n", False),
        ("```sh\ncomityctl check example.org --wait\ndeploy/test\n```\n", False),
        ("```\n$ comityctl nonsense\n```\n", False),
        ("```sh\nsystemctl restart comityd\n```\n", True), ("```sh\ncomityctl check example.org\nx\n```\n", True),
        ("```sh\ncomityctl check example.org --json\n```\n", True), ("```sh\ncheck example.org --wait\n```\n", True),
    ], lambda text: list(untried_in(text, guest, lab)))
    repeated = checking.judged([
        ("## One\n## Two\n| what | by |\n|---|---|\n| what | by |\n", False), ("## One\n\n## One\n", True),
        ("| Dialback with its errors | XEP-0220 | a |\n| what | by |\n| Dialback with its errors | XEP-0220 | b |\n", True),
        ("| idle sessions, KiB each (PSS) | floor | 1 |\n| idle sessions, KiB each (PSS) | Comity | 1 |\n", False),
    ], lambda text: list(repeated_in(text)))
    return untried + repeated + checking.judged([
        ("`connection/loop.cpp`, `connection/loop`, `connection/`, `tests/system`", False),
        ("`deploy/quickstart --check`, `run/ca.crt`, `build/bin/comityd --config run/comity.toml`", False),
        ("`jabber:iq:roster`, `text/plain`, `A/AAAA`", False),
        ("`connection/lop.cpp`", True), ("`deploy/start --check`", True), ("`tests/system/b_test.py`", True),
        ("| x | y | `tests/system/a_test.py`, `tests/system/c_test.py` |", True),
    ], lambda text: list(findings_in(text, files)))


if __name__ == "__main__":
    checking.run(check, self_test)
