#!/usr/bin/python3
"""Turns what compare has measured into the README's tables: report.py DIRECTORY [--write README.md | --check README.md]

DIRECTORY holds figures.json and, where growth was measured, growth.json with its picture. Without more the tables are
printed. --write puts them between the marks in a file that has those; --check says whether they stand there, once
something was measured.
"""

import json
import pathlib
import statistics
import sys

import growth
import loads

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
NAMES = {"floor": "floor", "comity": "Comity", "pa+": "pa+", "pa": "pa", "ea": "ea"}


def number(value):
    """Three digits, without an exponent."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def medians(found):
    """{(load, kind): {figure: median}}"""
    return {(load, kind): {name: statistics.median(run[name] for run in runs) for name in runs[0] if name != "scenario"}
            for load, kinds in found["runs"].items() for kind, runs in kinds.items() if runs}


def rows(found):
    """The figures that were measured, each with its value by kind, ratios, and what it is held against."""
    of = medians(found)
    kinds = found["kinds"]
    for figure in loads.FIGURES:
        load = loads.LOADS[figure.load]
        values = {kind: of.get((figure.load, kind), {}).get(figure.figure) for kind in kinds}
        values["floor"] = of.get((loads.on_floor(figure.load), "floor"), {}).get(figure.figure)
        if values["floor"] is not None:
            values["floor"] *= figure.relays
        ours = values.get("comity")
        if ours is None:
            continue
        peers = [value for kind, value in values.items() if kind not in ("floor", "comity") and value is not None]
        more_is_better = bool(figure.least)
        best = (max if more_is_better else min)(peers, default=None)
        held = loads.limit(figure, values["floor"], best)
        yield {"figure": figure, "values": values, "best": best, "runs": 1 if load.once else found["repeated"],
               "to_floor": ours / values["floor"] if values["floor"] and not load.cores else None,
               "to_best": (best / ours if not more_is_better else ours / best) if best else None,
               "target": held[0] if held else "",
               "met": None if held is None else ours >= held[1] if held[2] else ours <= held[1]}


def markdown(header, lines):
    """A table whose columns stand below each other in the source too."""
    wide = [max(len(line[i]) for line in (header, *lines)) for i in range(len(header))]

    def row(cells):
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, wide)) + " |"
    return [row(header), "|" + "|".join("-" * (width + 2) for width in wide) + "|", *(row(line) for line in lines)]


def table(found):
    header = ["figure", *(NAMES[kind] for kind in found["kinds"]), "Comity / floor", "best peer / Comity", "target"]
    lines = []
    for each in rows(found):
        figure = each["figure"]
        met = "" if each["met"] is None else " ✓" if each["met"] else " ✗"
        lines.append([figure.name + (f", {figure.unit}" if figure.unit else ""),
                      *(f"**{number(value)}**" if kind == "comity" else number(value)
                        for kind, value in each["values"].items()),
                      number(each["to_floor"]), number(each["to_best"]), each["target"] + met])
    return markdown(header, lines)


def growth_table(found):
    lines = []
    for name, kind, points, fitted, steepest, linear in growth.verdicts(found["curves"]):
        costs = ", ".join(f"{number(cost)} at {size:,.0f}" for size, cost in points)
        lines.append([f"{name}, {growth.CURVES[name]['unit']}", NAMES[kind], costs, f"{fitted:.2f}", f"{steepest:.2f}",
                      "linear ✓" if linear else "not linear ✗"])
    return markdown(["cost of one", "", "at each size", "exponent", "steepest", "verdict"], lines)


def losses(found):
    """A sentence on the messages that went through, and whether all came."""
    told = []
    for kind, counts in found["counted"].items():
        faults = [f"{counts[name]:,} {name.replace('_', ' ')}" for name in counts if name != "messages" and counts[name]]
        told.append(f"{NAMES[kind]} {counts['messages']:,} ({', '.join(faults) or '0 lost'})")
    return "Messages sent: " + ", ".join(told) + "."


def machine(found):
    of = found["versions"]
    return (f"Comity {of['comity']}, Prosody {of['prosody']}, ejabberd {of['ejabberd']}, OpenSSL {of['openssl']}, "
            f"Linux {of['kernel']}, {of['processor']}; {found['when']}.")


def faults(found):
    """What makes a measurement fail: a run of ours or of the floor's that lost a message or did not end well."""
    return [each for each in found["failed"] if each.partition(":")[0] in ("comity", "floor")]


def report(directory):
    """Lines for the README."""
    lines = []
    figures, curves = directory / "figures.json", directory / "growth.json"
    if figures.exists():
        found = json.loads(figures.read_text(encoding="utf-8"))
        lines += [*table(found), "", f"Medians of {found['repeated']} runs that took turns; memory was counted once. "
                  f"{losses(found)} {machine(found)}"]
        lines += ["", *(f"Failed: {each}" for each in found["failed"])] if found["failed"] else []
    if curves.exists():
        found = json.loads(curves.read_text(encoding="utf-8"))
        lines += ["", *growth_table(found), "", f"{losses(found)} {machine(found)}"]
        picture = directory / "growth.svg"
        lines += ["", f"![How the cost of one grows with size]({picture})"] if picture.exists() else []
    return lines


def between_marks(text, block):
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"no {BEGIN} … {END} there")
    return f"{before}{begin}\n{block}\n{end}{after}"


def main(words):
    if len(words) not in (1, 3) or len(words) == 3 and words[1] not in ("--write", "--check"):
        sys.exit(__doc__)
    block = "\n".join(report(pathlib.Path(words[0]))).strip()
    if len(words) == 1:
        print(block)
        return 0
    readme = pathlib.Path(words[2])  # its folder is where DIRECTORY is seen from
    text = readme.read_text(encoding="utf-8")
    wanted = between_marks(text, block)
    if words[1] == "--check" and not block:
        return 0
    if words[1] == "--write":
        readme.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        print(f"{readme}: its tables are not those of {words[0]}; tests/bench/report.py --write puts them there")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
