#!/usr/bin/env python3
"""A real Prometheus watches servers of the lab, well and unwell: every family moves, every query of every dashboard and
every rule returns data, no alert fires while all is well, and each fires once it is not.

The rules are those of deploy/prometheus with short times: nobody waits ten minutes here.
"""

import contextlib
import json
import math
import pathlib
import re
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lab"), str(HERE.parent / "system")]

import lab
import traffic
from harness import SANITIZED
from prometheus import Prometheus

WINDOW = "25s"
MANUAL = (ROOT / "deploy" / "man" / "comity-monitoring.7").read_text(encoding="utf-8")


def short(rules):
    """The rules with every window and every wait cut down."""
    return re.sub(r"\bfor: \d+[smh]", "for: 1s", re.sub(r"\[\d+[smh]\]", f"[{WINDOW}]", rules))


def configuration(targets):
    """deploy/prometheus/prometheus.yml with short times and these {instance: address}."""
    text = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    text, times = re.subn(r"_interval: 15s", "_interval: 400ms", text)
    listed = "\n".join(f'      - {{targets: ["{address}"], labels: {{instance: {name}}}}}' for name, address in targets.items())
    text, places = re.subn(r'      - targets: \["127\.0\.0\.1:9568"\]', listed, text)
    if (times, places) != (2, 1):
        raise ValueError("deploy/prometheus/prometheus.yml is not what this test takes it for")
    return text.replace("global:", "global:\n  scrape_timeout: 400ms")


def panels():
    """(dashboard, panel, target) of every query there is."""
    for path in sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json")):
        board = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield board["title"], panel["title"], target


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup((stack := contextlib.ExitStack()).close)
        world = lab.Lab(HERE)
        traffic.many_broken_names(world.table["zones"])
        cls.lab = stack.enter_context(world)
        a, c = cls.lab.hosts["a"], cls.lab.hosts["c"]
        rules = short((ROOT / "deploy" / "prometheus" / "comity.rules.yml").read_text(encoding="utf-8"))
        cls.prometheus = stack.enter_context(Prometheus(
            {"prometheus.yml": configuration({"a": "127.0.0.1:9568", "c": f"{c.namespace.ip4}:9568"}),
             "comity.rules.yml": rules}, 9090, a.namespace.popen, a.namespace.inside))
        cls.wait(lambda: cls.prometheus.ready() and len(cls.prometheus.query("up == 1")) == 2, "both are scraped")
        cls.start = time.time()
        cls.series_at_start = cls.series()
        traffic.healthy(cls.lab)
        cls.by_method = cls.once(
            'sum by (method) (comity_connections{instance="a", scope="c2s"})', lambda rows: sum(map(_value, rows)) == 2)
        time.sleep(1)  # what would fire has waited its second
        cls.alerts_when_well = cls.fired()
        coming_back = traffic.federation_fails(cls.lab, cls.fires_soon)
        traffic.clients_fail(cls.lab)
        traffic.readers_are_slow(cls.lab)
        traffic.operator_errs(cls.lab, cls.once,
                              lambda alert: cls.once(f'ALERTS{{alertname="{alert}", alertstate="firing"}}'),
                              cls.fires_soon)
        cls.lab.sessions.settle(coming_back, None)
        cls.rules = [rule for group in cls.prometheus.ask("rules")["groups"] for rule in group["rules"]]
        names = {each["name"] for each in cls.rules if each["type"] == "alerting"}
        with contextlib.suppress(AssertionError):  # a test below says which did not
            cls.wait(lambda: cls.fired() >= names, "every alert has fired", 5)
        cls.end = time.time()

    @classmethod
    def wait(cls, condition, what, seconds=None):
        """The users go on reading meanwhile: for as long as they do not, their answers are nobody's."""
        cls.lab.sessions.wait(condition, lambda: f"{what}\n{cls.prometheus.log()}", seconds)

    @classmethod
    def once(cls, expression, fits=bool):
        found = []
        def holds():
            found[:] = cls.prometheus.query(expression)
            return fits(found)
        cls.wait(holds, expression)
        return found

    @classmethod
    def fires_soon(cls, alert):
        with contextlib.suppress(AssertionError):
            cls.wait(lambda: alert in cls.fired(), alert, 5)
            return True
        return False

    @classmethod
    def series(cls):
        """Those that rate() is asked of."""
        return set(re.findall(r"(?m)^(\w+_(?:total|bucket|sum|count)(?:{.*})?) ", cls.lab.hosts["a"].http("/metrics")[1]))

    @classmethod
    def fired(cls):
        return {labels["alertname"] for labels, _ in
                cls.prometheus.over('ALERTS{alertstate="firing"}', cls.start, time.time(), 0.25)}

    def assert_data(self, rows):
        """There are series, and one of them is a number other than 0 at some time."""
        self.assertTrue(rows, "no data")
        self.assertTrue(any(math.isfinite(value) and value != 0 for _, values in rows for value in values),
                        "nothing but zeros")

    def test_clients_are_told_apart_by_how_they_came(self):
        self.assertEqual({labels["method"]: value for labels, value in self.by_method}, {"starttls": 1, "direct_tls": 1})

    def test_nothing_fires_while_all_is_well(self):
        # How late a sanitized event loop is says nothing.
        self.assertEqual(self.alerts_when_well - ({"ComityLoopLag"} if SANITIZED else set()), set())

    def test_every_alert_fires_when_it_should(self):
        named = {each["name"] for each in self.rules if each["type"] == "alerting"}
        self.assertGreaterEqual(len(named), 10)
        self.assertEqual(named - self.fired(), set())

    def test_alerts_say_what_they_mean(self):
        for each in self.prometheus.ask("alerts")["alerts"]:
            for text in each["annotations"].values():
                with self.subTest(alert=each["labels"], text=text):
                    self.assertNotRegex(text, r"<no value>|<error|%!|\{\{")

    def test_every_rule_has_data(self):
        for rule in self.rules:
            with self.subTest(rule=rule["name"]):
                self.assertEqual(rule["health"], "ok", rule.get("lastError"))
                rows = self.prometheus.over(rule["query"], self.start, self.end, 0.25)
                self.assert_data(rows) if rule["type"] == "recording" else self.assertTrue(rows, "no data")

    def test_every_query_of_every_panel_has_data(self):
        span = f"{int(self.end - self.start) + 1}s"
        for board, panel, target in panels():
            expression = target["expr"]
            for name, value in (("$job", "comity"), ("$instance", ".*"), ("$__rate_interval", "3s"), ("$__range", span)):
                expression = expression.replace(name, value)
            with self.subTest(dashboard=board, panel=panel, query=expression):
                self.assertNotIn("$", expression)
                if target["instant"] and "[" in expression:
                    rows = [(labels, [value]) for labels, value in self.prometheus.query(expression, time=self.end)]
                else:
                    rows = self.prometheus.over(expression, self.start, self.end, 0.5)
                self.assert_data(rows)
                for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                    self.assertTrue(all(labels.get(label) for labels, _ in rows), f"not every series has the label {label}")

    def test_every_family_of_the_manual_is_there_and_moves(self):
        manual = dict(re.findall(r"(?m)^\.B ((?:comity|process)_\w+)\n(counter|gauge|histogram)", MANUAL))
        self.assertGreater(len(manual), 30)
        text = self.lab.hosts["a"].http("/metrics")[1]
        exported = dict(re.findall(r"(?m)^# TYPE (\S+) (\w+)$", text))
        self.assertEqual(exported, manual)
        for family, kind in manual.items():
            with self.subTest(family=family):
                self.assert_data(self.prometheus.over(family + "_count" * (kind == "histogram"), self.start, self.end))

    def test_promtool_finds_nothing_to_say(self):
        done = subprocess.run(["promtool", "check", "metrics"], input=self.lab.hosts["a"].http("/metrics")[1],
                              capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_no_series_comes_later(self):
        """Prometheus does not see the first step of a series that was not there before: rate() and increase() of it are 0."""
        self.assertGreater(len(self.series_at_start), 1000)
        self.assertEqual(self.series() - self.series_at_start, set())

    def test_closed_sets_of_labels(self):
        """The values that these servers had reason to count, and no other: a peer's word is never a label."""
        seen = {
            ("comity_connection_failures_total", "cause"): {
                "dns_nxdomain", "dns_servfail", "dns_bogus", "srv_unavailable", "no_address", "address_forbidden",
                "tcp_refused", "tcp_unreachable", "tcp_timeout", "tls_alert", "alpn_mismatch", "cert_name_mismatch",
                "cert_untrusted", "dane_mismatch", "posh_mismatch", "host_unknown", "stream_error", "auth_rejected"},
            ("comity_connection_failures_total", "phase"): {"dns", "tcp", "tls", "stream", "authentication"},
            ("comity_connection_phase_seconds_count", "phase"): {"dns", "tcp", "tls", "stream", "authentication", "bind"},
            ("comity_connections_established_total", "method"): {"starttls", "direct_tls"},
            ("comity_connections_established_total", "direction"): {"inbound", "outbound"},
            ("comity_tls_handshakes_total", "version"): {"1.2", "1.3"},
            ("comity_tls_handshakes_total", "resumed"): {"true", "false"},
            ("comity_alpn_total", "offered"): {"xmpp_client", "xmpp_server", "http", "other"},
            ("comity_alpn_total", "routed"): {"c2s", "s2s", "refused"},
            ("comity_s2s_verifications_total", "proof"): {"dane", "pkix", "posh", "dialback"},
            ("comity_s2s_discoveries_total", "source"): {"srv_xmpp", "srv_xmpps"},
            ("comity_dns_queries_total", "rrtype"): {"SRV", "A", "AAAA", "TLSA"},
            ("comity_dns_queries_total", "dns_security"): {"secure", "bogus", "none"},
            ("comity_stanzas_sent_total", "stanza"): {"message", "presence", "iq"},
            ("comity_log_messages_total", "level"): {"debug", "info", "error"},
        }
        for (family, label), wanted in seen.items():
            with self.subTest(family=family, label=label):
                rows = self.prometheus.over(f'sum by ({label}) ({family}) > 0', self.start, self.end)
                self.assertEqual(wanted - {labels[label] for labels, _ in rows}, set())


def _value(row):
    return row[1]


if __name__ == "__main__":
    unittest.main()
