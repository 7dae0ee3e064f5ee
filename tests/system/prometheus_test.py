"""Debian's Prometheus scrapes the daemon, and tells its clients apart by how they came."""

import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request

from harness import SystemTest, free_ports, wait_until
from xmpp_client import AuthenticationFailed

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Prometheus:
    """A Prometheus of its own that scrapes `server` every fifth of a second."""

    def __init__(self, server):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-prometheus-"))
        self.port, = free_ports(1)
        (self.directory / "prometheus.yml").write_text(
            "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
            "scrape_configs:\n"
            "  - job_name: comity\n"
            f"    static_configs: [{{targets: ['127.0.0.1:{server.metrics_port}']}}]\n", encoding="ascii")

    def __enter__(self):
        with open(self.directory / "log", "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"], stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)

    def query(self, expression):
        """[(labels, value)] of an instant query; [] while Prometheus does not answer."""
        question = urllib.parse.urlencode({"query": expression})
        try:
            with _direct.open(f"http://127.0.0.1:{self.port}/api/v1/query?{question}", timeout=5) as answer:
                rows = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # it is starting
                return []
            raise
        except OSError:
            return []
        return [(row["metric"], float(row["value"][1])) for row in rows]

    def log(self):
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def wait(self, expression, expected):
        """Until the query answers these values, by the method of the connection."""
        def answered():
            return {labels.get("method"): value for labels, value in self.query(expression)} == expected
        wait_until(answered, lambda: f"{expression} is {expected}, not {self.query(expression)}\n{self.log()}")


class PrometheusTest(SystemTest):
    options = {"users": ["alice", "bob", "carol"], "hosts": ("comity.test", "other.test")}

    def test_promtool_finds_nothing_to_say(self):
        with self.server.login("alice"), self.server.login("bob", "direct"):
            text = self.server.metrics_text()
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_how_it_is_served(self):
        status, _, headers = self.server.http("/metrics")
        self.assertEqual(status, 200)
        self.assertTrue(headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        for path in ("/metrics/", "/metrics/../x", "/", "/%2e%2e/metrics", "/metrics%00", "//metrics", "/Metrics"):
            self.assertEqual(self.server.http(path)[0], 404, path)  # THREATS G5

    def test_every_way_in_is_there_from_the_start(self):
        for method in ("starttls", "direct_tls"):
            for family in ("comity_connections", "comity_connection_attempts_total",
                           "comity_connections_established_total", "comity_connection_failures_total",
                           "comity_connection_closes_total", "comity_connection_phase_seconds_count",
                           "comity_connection_setup_seconds_count", "comity_tls_handshakes_total",
                           "comity_stanzas_received_total", "comity_received_bytes_total",
                           "comity_send_queue_overflows_total"):
                self.server.metric(family, scope="c2s", direction="inbound", method=method)  # fails without a series
        for host in self.server.hosts:
            self.assertEqual(self.server.metric("comity_sessions", host=host), 0)
            self.assertGreater(self.server.metric("comity_certificate_not_after_timestamp_seconds", host=host), 1.7e9)
        self.assertEqual(self.server.metric("comity_build_info"), 1)
        self.assertGreater(self.server.metric("process_resident_memory_bytes"), 0)

    def test_labels_are_bounded(self):  # THREATS G6
        before = len(self.server.metrics())
        self.assertLess(before, 3000)
        for number in range(30):
            client = self.server.raw()
            client.send(client.stream_header(to=f"host-{number}.test", **{"from": f"user-{number}@x"}))
            client.receive_all()
            client.abort()
            with self.assertRaises(AuthenticationFailed):
                self.server.login(f"nobody-{number}")
        after = self.server.metrics_text()
        self.assertEqual(len(self.server.metrics()), before)
        self.assertNotRegex(after, r"nobody-|host-\d|user-\d|127\.0\.0\.1|alice")

    def test_a_query_tells_how_clients_came(self):
        with Prometheus(self.server) as prometheus:
            connections = 'sum by (method) (comity_connections{scope="c2s", job="comity"})'
            with (self.server.login("alice"), self.server.login("bob", "direct"),
                  self.server.login("carol", "direct")):
                prometheus.wait(connections, {"starttls": 1, "direct_tls": 2})
                self.assertEqual(dict((labels["host"], value) for labels, value in prometheus.query("comity_sessions")),
                                 {"comity.test": 3, "other.test": 0})
            prometheus.wait(connections, {"starttls": 0, "direct_tls": 0})
            with self.assertRaises(AuthenticationFailed):
                self.server.login("alice", password="wrong")
            with self.assertRaises(AuthenticationFailed):
                self.server.login("alice", "direct", password="wrong")
            prometheus.wait('sum by (method) (comity_connection_failures_total{phase="authentication", '
                            'cause="auth_rejected"}) > 0', {
                                method: self.server.metric("comity_connection_failures_total", method=method,
                                                           phase="authentication", cause="auth_rejected")
                                for method in ("starttls", "direct_tls")})
            # Histograms are what histogram_quantile takes them for.
            rows = prometheus.query("histogram_quantile(0.9, sum by (le, method) (comity_connection_setup_seconds_bucket))")
            self.assertEqual({labels["method"] for labels, _ in rows}, {"starttls", "direct_tls"})
            for _, seconds in rows:
                self.assertTrue(0 < seconds < 60, rows)
            self.assertEqual(prometheus.query('up{job="comity"}')[0][1], 1)


if __name__ == "__main__":
    unittest.main()
