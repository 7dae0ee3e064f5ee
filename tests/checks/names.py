#!/usr/bin/env python3
"""The project speaks of itself alone: nothing tracked names the place it was written in, or where a mirror is."""

import json
import re

import checking

# Pieced together, so that this file does not find itself.
WORDS = tuple("".join(parts) for parts in (
    ("sha", "red/"), ("CHECK", "LIST.md"), ("THR", "EATS.md"), ("INTER", "FACE.md"), ("FA", "CTS.md"),
    ("/wo", "rk/"), ("/tm", "p/s/"), ("/tm", "p/b "), ("/tm", "p/c "), ("deb.", "debian.org"),
    ("registry.", "npmjs"), ("npmjs.", "org")))
# Somebody's account name or password in a URL.
CREDENTIALS = re.compile(r"https?://[^/\s\"'<>@]+:[^/\s\"'<>@]+@")


def findings_in(file, text):
    words = [word for word in WORDS if word in text]  # hardly ever any, and lines are many
    for number, line in enumerate(text.splitlines(), 1):
        for word in words:
            # Part of a longer word or path, as of a library called …/libsha red/, is something else.
            if re.search(r"(?<![\w./-])" + re.escape(word) if word[0] != "/" else r"(?<![\w.-])" + re.escape(word), line):
                yield f"{file}:{number}: {word}"
        if CREDENTIALS.search(line):
            yield f"{file}:{number}: credentials in a URL"
    if file.endswith("package-lock.json"):
        for name, package in json.loads(text).get("packages", {}).items():
            if "resolved" in package:
                yield f"{file}: {name or 'the root'} names the host it came from; npm needs only its version and integrity"
            elif name and "integrity" not in package and "link" not in package:
                yield f"{file}: {name} has no integrity"


def check():
    findings = []
    for file in checking.tracked():
        try:
            text = (checking.ROOT / file).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # no text
        findings += findings_in(file, text)
    return findings


def self_test():
    lock = '{"packages": {"": {}, "node_modules/a": {"version": "1.0.0", %s}}}'
    return checking.judged(
        [(("a.cpp", f"// see {word}x"), True) for word in WORDS] + [
            (("a.cpp", "#include <shared_mutex>"), False),
            (("a.cpp", "std::shared_ptr<x> a;  // THREATS C2, E03"), False),
            (("a.cpp", "usr/lib/myshared/"), False),
            (("a.md", "https://user:" + "secret@example.org/"), True),
            (("a.md", "https://example.org/a@b"), False),
            (("package-lock.json", lock % '"integrity": "sha512-x"'), False),
            (("package-lock.json", lock % '"dev": true'), True),
            (("package-lock.json", lock % '"integrity": "sha512-x", "resolved": "https://example.org/a"'), True),
        ], lambda sample: list(findings_in(*sample)))


if __name__ == "__main__":
    checking.run(check, self_test)
