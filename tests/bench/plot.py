"""Draws how cost grows: one panel a load, one line a server; level is linear."""

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as pyplot  # noqa: E402


def draw(curves, path):
    """`curves` is {load: {"of": what grows, "unit": of the cost, "kinds": {server: [(size, cost)]}}}."""
    figure, panels = pyplot.subplots(1, len(curves), figsize=(5 * len(curves), 4), squeeze=False)
    for panel, (name, curve) in zip(panels[0], curves.items()):
        for kind, points in curve["kinds"].items():
            panel.plot(*zip(*points), marker="o", label=kind)
        panel.set(title=name, xlabel=curve["of"], ylabel=curve["unit"], xscale="log")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
