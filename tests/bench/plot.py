#!/usr/bin/python3
"""Draws growth.json: plot.py GROWTH.json FILE.svg (or .png). One panel a curve, one line a server: a level line, the cost
of one at each size, is linear growth."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as pyplot  # noqa: E402

import growth  # noqa: E402
import report  # noqa: E402

COLOURS = {"floor": "#888888", "comity": "#0b6e4f", "pa+": "#c8553d", "pa": "#e8a87c", "ea": "#3d5a98"}


def draw(curves, path):
    """`curves` is {curve: {kind: [(size, cost of one)]}}."""
    matplotlib.rcParams["svg.hashsalt"] = "comity"  # the same picture for the same figures
    matplotlib.rcParams["svg.fonttype"] = "none"
    figure, panels = pyplot.subplots(2, 2, figsize=(10, 7))
    for panel, (name, kinds) in zip(panels.flat, curves.items()):
        for kind, points in kinds.items():
            if points:
                panel.plot(*zip(*points), marker="o", label=report.NAMES[kind], color=COLOURS[kind])
        panel.set(title=name, xlabel=growth.CURVES[name]["of"], ylabel=growth.CURVES[name]["unit"], xscale="log")
        sizes = sorted({size for points in kinds.values() for size, _ in points})
        panel.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
        panel.minorticks_off()
        panel.set_ylim(0, panel.get_ylim()[1] * 1.1)
        panel.grid(alpha=0.3)
        panel.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Date": None} if str(path).endswith("svg") else None)


def main(words):
    draw(json.loads(pathlib.Path(words[0]).read_text(encoding="utf-8"))["curves"], words[1])


if __name__ == "__main__":
    main(sys.argv[1:])
