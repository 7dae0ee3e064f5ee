#!/usr/bin/env python3
"""Each rule of the connection checklist is named by a test, by its id in a comment or a name (B09), and so is each row of
the table of threats (THREATS A1, B10): lists those that none names."""

import re

import checking

# How many rules each section has: resolution, DNSSEC and DANE, racing, direct TLS, STARTTLS, TLS policy, certificate
# identity, headers and addressing, EXTERNAL, dialback, domain associations, limits and visibility.
SECTIONS = {"A": 16, "B": 21, "C": 5, "D": 13, "E": 10, "F": 9, "G": 14, "H": 8, "I": 5, "J": 13, "K": 7, "L": 13}
# What is not there yet, and so has no test. An id that a test names must go from here.
LATER = {
    "G14": "clients do not authenticate by certificate",
}
# How many rows each section of the table of threats has: XML and framing; TLS; SASL and accounts; federation and
# addressing; DNS; sessions and semantics; exhaustion and operations.
THREATS = {"A": 16, "B": 10, "C": 10, "D": 9, "E": 7, "F": 15, "G": 9}
# Rows about what is not there, or not all of it.
THREATS_LATER = {
    "C6": "clients do not authenticate by certificate",
    "C10": "there are no ad-hoc commands",
    "E6": "the validator is attacked where it is apart from the rest",
    "F11": "there is no archive to ask",
    "F12": "no capabilities are kept",
    "F15": "no time that a stanza names is read",
}
# The table of hostile cases names a row as such; elsewhere the word is in front of it.
HOSTILE = "tests/system/hostile/"
_ID = re.compile(r"\b([A-L]\d\d)\b")
_THREAT = re.compile(r"THREATS [A-GX]\d+(?:(?:,\s*(?://|#)?\s*|-)[A-GX]\d+)*")
_ROW = re.compile(r"\b[A-G]\d\d?\b")


def rules():
    return [f"{section}{number:02}" for section, count in SECTIONS.items() for number in range(1, count + 1)]


def threats():
    return [f"{section}{number}" for section, count in THREATS.items() for number in range(1, count + 1)]


def findings_in(text, hostile=""):
    rows = set(_ROW.findall(" ".join([hostile, *_THREAT.findall(text)])))
    yield from (f"{row}: no test names this threat" for row in threats() if row not in rows and row not in THREATS_LATER)
    named = set(_ID.findall(_THREAT.sub("", text)))  # THREATS A10 is another A10
    for rule in rules():
        if rule in named and rule in LATER:
            yield f"{rule}: a test names it, so it is there; take it out of the list of what comes later"
        elif rule not in named and rule not in LATER:
            yield f"{rule}: no test names it"


def check():
    here = "tests/checks/"
    texts, hostile = [], []
    for file in checking.tracked("tests"):
        if file.startswith(here) or "/corpus/" in file:
            continue
        try:
            (hostile if file.startswith(HOSTILE) else texts).append((checking.ROOT / file).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue  # no text
    return list(findings_in("\n".join(texts), "\n".join(hostile)))


def self_test():
    every = " ".join(rule for rule in rules() if rule not in LATER)
    every += " THREATS " + ", ".join(row for row in threats() if row not in THREATS_LATER)
    return checking.judged([(every, False), (every.replace("J06", ""), True), (every + " G14", True),
                            (every.replace("B09", "B091"), True), (every.replace(" A10 ", " "), True),
                            (every.replace("A10,", ""), True), (every.replace("THREATS", "threats"), True)],
                           lambda text: list(findings_in(text)))


if __name__ == "__main__":
    checking.run(check, self_test)
