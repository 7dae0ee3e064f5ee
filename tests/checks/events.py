#!/usr/bin/env python3
"""The manual lists the log's events: each that the sources write stands in comityd(8), and no other."""

import re

import checking

MANUAL = "deploy/man/comityd.8"
_NAME = r"[a-z0-9_]+(?:\.[a-z0-9_]+)+"
# The level comes before the event, and no other literal; the event may be one of two.
_WRITTEN = re.compile(rf'\b(?:write|log|log_line)\((?:[^;"]*?),\s*(?:[^;",]*\?\s*"({_NAME})"\s*:\s*)?"({_NAME})"')
_LISTED = re.compile(rf"^\.TP\n\.B ({_NAME})$", re.MULTILINE)


def written(text):
    """The events in a source, with their line numbers."""
    for found in _WRITTEN.finditer(text):
        for name in filter(None, found.groups()):
            yield text.count("\n", 0, found.start(2)) + 1, name


def listed(manual):
    chapter = manual.partition("\n.SS Events\n")[2].partition("\n.SS ")[0]
    return _LISTED.findall(chapter)


def findings_in(sources, manual):
    """`sources` is text by file."""
    names = listed(manual)
    events = {}
    for file, text in sources.items():
        for line, name in written(text):
            events.setdefault(name, f"{file}:{line}")
    for name, where in sorted(events.items()):
        if name not in names:
            yield f"{where}: the event {name} does not stand in {MANUAL}"
    for name in names:
        if name not in events:
            yield f"{MANUAL}: nobody writes the event {name}"
        if names.count(name) > 1:
            yield f"{MANUAL}: the event {name} stands there twice"


def check():
    sources = {file: (checking.ROOT / file).read_text(encoding="utf-8")
               for file in checking.tracked(*(f"{folder}/*.{end}" for folder in checking.FOLDERS for end in ("cpp", "hpp")))}
    return list(findings_in(sources, (checking.ROOT / MANUAL).read_text(encoding="utf-8")))


def self_test():
    manual = "\n.SS Events\n.TP\n.B a.one\nText.\n.TP\n.B a.two\nText.\n.SS Fields\n.TP\n.B b.not\nText.\n"
    both = 'log.write(log::level::info, "a.one", {{"c.not", 1}}); log(why ? level::debug : level::info,\n "a.two");'
    return checking.judged([
        (({"x.cpp": both}, manual), False),
        (({"x.cpp": both + 'x.write(level, "a.three", {});'}, manual), True),
        (({"x.cpp": both + 'log_line(f, now(), log::level::warn, "a.three", {});'}, manual), True),
        (({"x.cpp": both.replace("a.two", "a.one")}, manual), True),
        (({"x.cpp": 'log.write(level, of == c2s ? "a.one" : "a.two", {});'}, manual), False),
        (({"x.cpp": both + 'log.write(level, of == c2s ? "a.one" : "a.three", {});'}, manual), True),
        (({"x.cpp": both}, manual.replace("a.two\n", "a.two\nText.\n.TP\n.B a.one\n")), True),
        (({"x.cpp": both + 'row("log", "level", "s2s.peer");'}, manual), False),
    ], lambda sample: list(findings_in(*sample)))


if __name__ == "__main__":
    checking.run(check, self_test)
