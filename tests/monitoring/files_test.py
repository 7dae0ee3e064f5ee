#!/usr/bin/env python3
"""What is shipped for Prometheus and Grafana is sound by itself; live_test.py shows that it works."""

import json
import pathlib
import re
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
MANUAL = (ROOT / "deploy" / "man" / "comity-monitoring.7").read_text(encoding="utf-8")
RULES = (PROMETHEUS / "comity.rules.yml").read_text(encoding="utf-8")
CASES = (HERE / "alerts_test.yml").read_text(encoding="utf-8")

# What Prometheus makes by itself.
OWN = {"up", "ALERTS", "scrape_duration_seconds", "scrape_samples_scraped"}
UNITS = {"none", "short", "s", "cps", "Bps", "bytes", "percentunit", "bool_yes_no"}


def alerts():
    """{name: the text of its rule}"""
    return {part.split()[0]: part for part in re.split(r"- alert: ", RULES)[1:]}


def families():
    return set(re.findall(r"(?m)^\.B ((?:comity|process)_\w+)\n(?:counter|gauge|histogram)", MANUAL))


def unknown_names(expression):
    """The metrics in an expression that neither the manual nor a recording rule has."""
    bare = re.sub(r'"[^"]*"|\b(?:by|without|on|ignoring)\s*\([^)]*\)', "", expression)
    names = {re.sub(r"_(bucket|sum|count)$", "", each) if each not in families() else each
             for each in re.findall(r"(?<![\w:])(?:\w+:)?(?:comity|process|scrape)_[\w:]+|\bup\b|\bALERTS\b", bare)}
    return names - families() - OWN - set(re.findall(r"record: (\S+)", RULES))


def overlapping(places):
    """Pairs of places that share a cell of the grid."""
    def apart(a, b):
        return (a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"]
                or b["y"] + b["h"] <= a["y"])
    return [(a, b) for number, a in enumerate(places) for b in places[:number] if not apart(a, b)]


class Prometheus(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run(["promtool", *arguments], cwd=HERE, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_configuration_and_rules_are_well_formed(self):
        self.promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
        self.promtool("check", "rules", "--lint=all", "--lint-fatal", str(PROMETHEUS / "comity.rules.yml"))

    def test_every_alert_fires_and_keeps_silent(self):
        self.promtool("test", "rules", "alerts_test.yml")
        cases = {part.split()[0]: part for part in re.split(r"(?m)^  - name: ", CASES)[1:]}
        self.assertEqual(set(cases), set(alerts()))
        for name, case in cases.items():
            with self.subTest(alert=name):
                self.assertRegex(case, r'exp_samples: \[\{labels: \'\{instance="bad"')
                self.assertIn("exp_samples: []", case)
                self.assertIn('instance="good"', case)
                self.assertEqual(set(re.findall(r'alertname="(\w+)"', case)), {name})

    def test_every_alert_says_how_bad_and_what_to_do(self):
        paragraphs = set(re.findall(r"(?m)^\.B (Comity\w+)$", MANUAL))
        self.assertEqual(paragraphs, set(alerts()))
        for name, rule in alerts().items():
            with self.subTest(alert=name):
                self.assertRegex(rule, r"severity: (critical|warning)\b")
                self.assertIn(f'runbook: "comity-monitoring(7), {name}"', rule)
                for annotation in ("summary", "description"):
                    self.assertRegex(rule, rf'{annotation}: "\S')

    def test_rules_name_metrics_that_there_are(self):
        expressions = re.findall(r"(?s)expr:(.*?)\n *(?:for:|labels:|- |#|$)", RULES)
        self.assertEqual(len(expressions), len(re.findall(r"expr:", RULES)))
        self.assertEqual(unknown_names("\n".join(expressions)), set())
        self.assertEqual(unknown_names('rate(comity_made_up_total{a="comity_x"}[5m])'), {"comity_made_up_total"})


class Grafana(unittest.TestCase):
    boards = {each.name: json.loads(each.read_text(encoding="utf-8"))
              for each in sorted((GRAFANA / "dashboards").glob("*.json"))}

    def of_every_panel(self, check):
        for name, board in self.boards.items():
            for panel in board["panels"]:
                with self.subTest(dashboard=name, panel=panel["title"]):
                    check(panel)

    def test_they_are_what_their_source_says(self):
        done = subprocess.run([sys.executable, "-B", str(GRAFANA / "make"), "--check"], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_dashboards(self):
        self.assertGreaterEqual(set(self.boards),
                                {"overview.json", "federation.json", "clients.json", "tls.json", "internals.json"})
        self.assertEqual(len({each["uid"] for each in self.boards.values()}), len(self.boards))
        for name, board in self.boards.items():
            with self.subTest(dashboard=name):
                self.assertIsNone(board["id"])  # else an import would take another dashboard's place
                self.assertRegex(board["uid"], r"^[a-z-]{1,40}$")
                self.assertTrue(board["title"] and board["description"])
                # Grafana 9.0 has 36 and takes what is older; newer Grafanas migrate it.
                self.assertLessEqual(board["schemaVersion"], 36)
                self.assertEqual([each["name"] for each in board["templating"]["list"]], ["datasource", "job", "instance"])
                self.assertEqual(board["templating"]["list"][0]["type"], "datasource")
                self.assertEqual(len({each["id"] for each in board["panels"]}), len(board["panels"]))
                self.assertEqual(len({each["title"] for each in board["panels"]}), len(board["panels"]))
                self.assertEqual(overlapping([each["gridPos"] for each in board["panels"]]), [])

    def test_panels(self):
        def check(panel):
            self.assertGreater(panel["id"], 0)
            self.assertGreater(len(panel["description"]), 20)
            self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS)
            self.assertLessEqual(panel["gridPos"]["x"] + panel["gridPos"]["w"], 24)
            self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"})
            self.assertTrue(panel["targets"])
            self.assertEqual(len({each["refId"] for each in panel["targets"]}), len(panel["targets"]))
        self.of_every_panel(check)

    def test_queries(self):
        def check(panel):
            for each in panel["targets"]:
                self.assertEqual(each["datasource"], panel["datasource"])
                self.assertEqual(unknown_names(each["expr"]), set())
                # Whatever is asked of is asked of the servers chosen.
                self.assertEqual(len(re.findall(r'\{job="\$job", instance=~"\$instance"', each["expr"])),
                                 len(re.findall(r"\{", each["expr"])))
                self.assertEqual(set(re.findall(r"\$(\w+)", each["expr"])) - {"__rate_interval", "__range"},
                                 {"job", "instance"})
                # An instant query has no interval of its own; a graph's must follow the graph's.
                self.assertNotIn("$__range" if each["range"] else "$__rate_interval", each["expr"])
        self.of_every_panel(check)

    def test_places_that_overlap_are_seen(self):
        place = {"x": 0, "y": 0, "w": 8, "h": 8}
        self.assertEqual(len(overlapping([place, {**place, "x": 7}, {**place, "y": 8}])), 1)


if __name__ == "__main__":
    unittest.main()
