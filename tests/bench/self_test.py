#!/usr/bin/env python3
"""That what is made of measurements is right, and that a bad one is seen: targets, losses, growth, the README's tables."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

import growth
import loads
import report


def found(**values):
    """A measurement of one run each: load=(floor's figures, Comity's, those of a peer)."""
    kinds = ("floor", "comity", "pa+")
    return {"kinds": list(kinds), "repeated": 1, "failed": [], "when": "today",
            "versions": dict.fromkeys(("comity", "prosody", "ejabberd", "openssl", "kernel", "processor"), "1"),
            "counted": {kind: {"messages": 9, "lost": 0, "unacknowledged": 0, "out_of_order": 0} for kind in kinds},
            "runs": {load: {kind: [one] for kind, one in zip(kinds, each)} for load, each in values.items()}}


def met(measured):
    return {row["figure"].name: row["met"] for row in report.rows(measured)}


class Targets(unittest.TestCase):
    def judge(self, load, figure, floor, ours, peer):
        rows = list(report.rows(found(**{load: ({figure: floor}, {figure: ours}, {figure: peer})})))
        self.assertEqual(len(rows), 1)
        return rows[0]["met"]

    def test_times_the_floor(self):
        self.assertTrue(self.judge("handshake", "server_cpu_ms_each", 1, 1.2, 9))
        self.assertFalse(self.judge("handshake", "server_cpu_ms_each", 1, 1.21, 9))

    def test_more_than_the_floor(self):
        def judge(value):
            return self.judge("idle", "pss_kib_each_1", 14, value, 50)
        self.assertTrue(judge(18))
        self.assertFalse(judge(18.1))

    def test_a_number(self):
        self.assertTrue(self.judge("plain", "server_cpu_ms_each", None, 2, 9))
        self.assertFalse(self.judge("plain", "server_cpu_ms_each", None, 2.01, 9))

    def test_part_of_the_best_peers(self):
        self.assertTrue(self.judge("domains", "server_cpu_ms_each", None, 3, 9))
        self.assertFalse(self.judge("domains", "server_cpu_ms_each", None, 3.1, 9))

    def test_more_is_better(self):
        self.assertTrue(self.judge("cores", "cores_ratio", 2, 1.85, 1))
        self.assertFalse(self.judge("cores", "cores_ratio", 2, 1.84, 1))

    def test_two_relays_are_the_floor_between_servers(self):
        of = {"server_cpu_s_per_1000": 1}
        measured = found(messages=(of, of, of), s2s=({}, {"server_cpu_s_per_1000": 4}, of))
        measured["runs"]["s2s"].pop("floor")
        name = "s2s messages, saturated, per 1,000, both servers"
        self.assertTrue(met(measured)[name])
        measured["runs"]["s2s"]["comity"][0]["server_cpu_s_per_1000"] = 4.1
        self.assertFalse(met(measured)[name])

    def test_the_median_is_told(self):
        measured = found(plain=({}, {}, {}))
        measured["runs"]["plain"] = {"comity": [{"server_cpu_ms_each": each} for each in (9, 1, 2, 8, 1.5)]}
        self.assertEqual([row["values"]["comity"] for row in report.rows(measured)], [2])

    def test_every_figure_has_its_load_and_every_load_a_figure(self):
        self.assertEqual({figure.load for figure in loads.FIGURES}, set(loads.LOADS))
        self.assertLessEqual({loads.on_floor(load) for load in loads.LOADS} - {""}, set(loads.LOADS))


class Losses(unittest.TestCase):
    def test_a_failed_run_of_ours_fails_the_measurement(self):
        measured = found()
        for who, count in (("comity", 1), ("floor", 1), ("pa+", 0)):
            self.assertEqual(len(report.faults({**measured, "failed": [f"{who}: messages: 1 lost"]})), count)

    def test_losses_are_told(self):
        measured = found()
        self.assertIn("Comity 9 (0 lost)", report.losses(measured))
        measured["counted"]["comity"].update(lost=2, out_of_order=1)
        self.assertIn("Comity 9 (2 lost, 1 out of order)", report.losses(measured))


class Growth(unittest.TestCase):
    @staticmethod
    def verdict(cost, floor=None):
        sizes = (1, 10, 100, 1000, 10_000)
        kinds = {kind: [(size, of(size)) for size in sizes] for kind, of in (("floor", floor), ("comity", cost)) if of}
        return {kind: linear for _, kind, *_, linear in growth.verdicts({"presence": kinds})}["comity"]

    def test_linear(self):
        self.assertTrue(self.verdict(lambda size: 5))
        self.assertTrue(self.verdict(lambda size: 5 + 100 / size), "a fixed cost")

    def test_not_linear(self):
        self.assertFalse(self.verdict(lambda size: size))
        self.assertFalse(self.verdict(lambda size: size ** 0.15))
        self.assertFalse(self.verdict(lambda size: 5 if size < 10_000 else 8), "at the end alone")

    def test_a_machine_that_lets_the_relay_grow_too(self):
        self.assertFalse(self.verdict(lambda size: 5 if size < 10_000 else 7))
        self.assertTrue(self.verdict(lambda size: 5 if size < 10_000 else 7, lambda size: 5 if size < 10_000 else 6))


class Readme(unittest.TestCase):
    def test_is_written_and_checked(self):
        with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
            place = pathlib.Path(name)
            readme = place / "README.md"
            readme.write_text(f"before\n{report.BEGIN}\n{report.END}\nafter\n", encoding="utf-8")
            (place / "figures.json").write_text(json.dumps(found(plain=({}, {"server_cpu_ms_each": 1.5}, {}))),
                                                encoding="utf-8")
            words = [name, "--check", str(readme)]
            self.assertEqual(report.main(words), 1)
            report.main([name, "--write", str(readme)])
            self.assertEqual(report.main(words), 0)
            text = readme.read_text(encoding="utf-8")
            self.assertTrue(text.startswith("before\n") and text.endswith("\nafter\n") and "**1.50**" in text)
            readme.write_text(text.replace("1.50", "1.40"), encoding="utf-8")
            self.assertEqual(report.main(words), 1)


if __name__ == "__main__":
    unittest.main()
