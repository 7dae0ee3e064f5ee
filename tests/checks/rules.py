#!/usr/bin/env python3
"""Each rule of the connection checklist is named by a test, by its id in a comment or a name (B09): lists those that none
names."""

import re

import checking

# How many rules each section has: resolution, DNSSEC and DANE, racing, direct TLS, STARTTLS, TLS policy, certificate
# identity, headers and addressing, EXTERNAL, dialback, domain associations, limits and visibility.
SECTIONS = {"A": 16, "B": 21, "C": 5, "D": 13, "E": 10, "F": 9, "G": 14, "H": 8, "I": 5, "J": 13, "K": 7, "L": 13}
# What is not there yet, and so has no test. An id that a test names must go from here.
LATER = {
    "G14": "clients do not authenticate by certificate",
}
_ID = re.compile(r"\b([A-L]\d\d)\b")


def rules():
    return [f"{section}{number:02}" for section, count in SECTIONS.items() for number in range(1, count + 1)]


def findings_in(text):
    named = set(_ID.findall(text))
    for rule in rules():
        if rule in named and rule in LATER:
            yield f"{rule}: a test names it, so it is there; take it out of the list of what comes later"
        elif rule not in named and rule not in LATER:
            yield f"{rule}: no test names it"


def check():
    here = "tests/checks/"
    texts = []
    for file in checking.tracked("tests"):
        if file.startswith(here) or "/corpus/" in file:
            continue
        try:
            texts.append((checking.ROOT / file).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # no text
    return list(findings_in("\n".join(texts)))


def self_test():
    every = " ".join(rule for rule in rules() if rule not in LATER)
    return checking.judged([(every, False), (every.replace("J06", ""), True), (every + " G14", True),
                            (every.replace("B09", "B091"), True)], lambda text: list(findings_in(text)))


if __name__ == "__main__":
    checking.run(check, self_test)
