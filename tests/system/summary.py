#!/usr/bin/env python3
"""What `deploy/test` says of itself in one block: each part leaves its figures in the build tree, and this prints them.

A part of the tests writes `TREE/summary/PART.json` when it ends, TREE being the build tree that it belongs to: one object
with one object of figures for each line to print, in the order to print them.

    {"hostile": {"cases": 1840, "passed": 1840, "conditions": 41}}

A figure is a number or a short text. `cases` and `passed`, `faults` and `survived`, `targets`, `executions` and `lines
covered` are those that a reader looks for. Python has record() for it; the environment's COMITY_SUMMARY, which ctest gives
the tests in this folder, is `TREE/summary`. `deploy/test` removes what earlier runs left.

    summary.py BUILD                 prints the block of all trees in BUILD, if there is any
    COMMAND | summary.py BUILD -     copies ctest's lines, and prints it right before the lines of the result
"""

import json
import os
import pathlib
import re
import sys

# The first line of what ctest says at its end.
_RESULT = re.compile(r"\d+% tests passed")


def record(part, **lines):
    """Leaves the figures of `part`: a dictionary for each line, by its name. Without COMITY_SUMMARY nobody wants them."""
    directory = os.environ.get("COMITY_SUMMARY")
    if not directory:
        return
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    path = pathlib.Path(directory) / f"{part}.json"
    made = path.with_suffix(".new")  # seen whole, or not at all
    made.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    made.replace(path)


def _text(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def block(build):
    """The lines to print, [] if no part has left figures under `build`."""
    rows = []
    for path in sorted(pathlib.Path(build).glob("*/summary/*.json")) + sorted(pathlib.Path(build).glob("summary/*.json")):
        tree = path.parent.parent.name if path.parent.parent != pathlib.Path(build) else "release"
        try:
            for name, figures in json.loads(path.read_text(encoding="utf-8")).items():
                rows.append((name, tree, ", ".join(f"{figure} {_text(value)}" for figure, value in figures.items())))
        except (ValueError, AttributeError) as error:
            rows.append((path.stem, tree, f"unreadable: {error}"))
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return ["== summary"] + [f"{name:{widths[0]}}  {tree:{widths[1]}}  {figures}" for name, tree, figures in sorted(rows)]


def main(build, *rest):
    if rest == ("-",):
        said = False
        for line in sys.stdin:
            if not said and _RESULT.match(line):
                said = True
                print("\n".join([*block(build), ""]))
            print(line, end="", flush=True)
        return
    if rest:
        sys.exit("usage: summary.py BUILD [-]")
    for line in block(build):
        print(line)


if __name__ == "__main__":
    main(*sys.argv[1:])
