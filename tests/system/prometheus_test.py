"""What a scrape returns; tests/monitoring shows what a Prometheus makes of it."""

import subprocess
import unittest

from harness import SystemTest
from xmpp_client import AuthenticationFailed


class PrometheusTest(SystemTest):
    options = {"users": ["alice", "bob"], "hosts": ("comity.test", "other.test"),
               "settings": {"limits": {"connections_per_ip": 100_000}}}  # wrong passwords cost connections

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


if __name__ == "__main__":
    unittest.main()
