"""Stream headers, STARTTLS, deadlines and ends, over real sockets: rules H02, H03, H08, E01-E09, THREATS A9, B1, B3, B5,
B10, C7, G2, L09."""

import socket
import ssl
import time
import unittest

import wire
from harness import PATIENCE, SystemTest, authority, wait_until
from xmpp_client import BIND, CLIENT, SASL, STREAM, TLS, StreamError, error_condition, local

STARTTLS = f"<starttls xmlns='{TLS}'/>"
PROCEED = f"<proceed xmlns='{TLS}'/>".encode()
FAILURE = f"<failure xmlns='{TLS}'/>".encode()
PING = "<ping xmlns='urn:xmpp:ping'/>"


class Headers(SystemTest):
    options = {"users": ["alice", "bob"], "hosts": ("comity.test", "other.test")}

    def refused(self, **attributes):
        """The condition by which that stream header is refused."""
        client = self.server.raw()
        client.send(client.stream_header(**attributes))
        received = client.receive_all()
        client.abort()
        return wire.error_of(received)

    def test_response_header(self):  # H02, RFC 6120 §4.7
        with self.server.client("alice") as client:
            client.connect()
            client.open_stream(**{"from": "alice@comity.test"})
            header = client.header
            self.assertEqual(header.tag, f"{{{STREAM}}}stream")
            self.assertEqual(header.get("from"), "comity.test")
            self.assertEqual(header.get("to"), "alice@comity.test")
            self.assertEqual(header.get("version"), "1.0")
            self.assertTrue(header.get("{http://www.w3.org/XML/1998/namespace}lang"))
        with self.server.client("alice", domain="other.test") as client:
            client.connect()
            client.open_stream(to="OTHER.TEST")
            self.assertEqual(client.header.get("from"), "other.test")
            self.assertIsNone(client.header.get("to"))

    def test_stream_ids_are_fresh_and_unpredictable(self):  # H02, E05, RFC 6120 §4.7.3, THREATS A9
        ids = []
        for _ in range(20):
            with self.server.client("alice") as client:
                client.connect()
                client.open_stream()
                ids.append(client.header.get("id"))
                client.start_tls()
                ids.append(client.header.get("id"))
                client.authenticate()
                ids.append(client.header.get("id"))
        self.assertEqual(len(set(ids)), 60)
        for each in ids:
            self.assertRegex(each, r"^[A-Za-z0-9_-]{22,}$")  # 132 bits in base64
        for place in range(22):  # no part of it counts or stands still
            self.assertGreater(len({each[place] for each in ids}), 10)

    def test_headers_that_are_refused(self):  # THREATS A9; H03: each error stands in an opened stream
        for condition, attributes in (
                ("invalid-namespace", {"xmlns": "jabber:server"}),  # D07
                ("invalid-namespace", {"xmlns": "jabber:other"}),
                ("invalid-namespace", {"xmlns:stream": "http://etherx.jabber.org/stream"}),
                ("improper-addressing", {"to": None}),
                ("host-unknown", {"to": "unhosted.test"}),
                ("improper-addressing", {"to": "a@b"}),
                ("improper-addressing", {"to": "alice@comity.test"}),
                ("improper-addressing", {"to": "comity.test/r"}),
                ("improper-addressing", {"to": ""}),
                ("improper-addressing", {"to": "a..b"}),
                ("unsupported-version", {"version": None}),  # H08: nothing for it here, and no features
                ("unsupported-version", {"version": "0.9"}),
                ("unsupported-version", {"version": "x"}),
                ("invalid-from", {"from": "a@@b"})):
            with self.subTest(attributes):
                self.assertEqual(self.refused(**attributes), condition)

    def test_an_unknown_version_of_later_days_is_answered_by_ours(self):  # THREATS A9, RFC 6120 §4.7.5
        with self.server.client("alice") as client:
            client.connect()
            client.open_stream(version="2.0")
            self.assertEqual(client.header.get("version"), "1.0")

    def test_another_root_is_no_stream(self):
        other = wire.HEADER.replace("<stream:stream", "<stream:flow")
        self.assertEqual(wire.error_of(wire.everything_sent(self.server, other)), "bad-format")
        self.assertEqual(wire.error_of(wire.everything_sent(self.server, "<foo>")), "invalid-namespace")

    def test_http_is_no_stream(self):  # THREATS B9
        received = wire.everything_sent(self.server, "GET / HTTP/1.1\r\nHost: comity.test\r\n\r\n")
        self.assertEqual(wire.error_of(received), "not-well-formed")
        self.assertEqual(wire.error_of(wire.everything_sent(self.server, "POST / HTTP/1.1\r\n\r\n", "direct")),
                         "not-well-formed")

    def test_another_user_or_host_behind_the_login(self):  # THREATS A9, C5, RFC 6120 §6.4.6
        for condition, attributes in (("invalid-from", {"from": "bob@comity.test"}),
                                      ("not-authorized", {"to": "other.test"}),
                                      ("not-authorized", {"to": "other.test", "from": "alice@other.test"}),
                                      (None, {"from": "desk.other.test"}),
                                      (None, {"from": "alice@comity.test"})):
            with self.subTest(attributes):
                client = self.server.client("alice", "direct")
                client.connect()
                client.open_stream()
                if condition is None:
                    client.authenticate(**attributes)
                    client.bind()
                    client.close()
                    continue
                with self.assertRaises(StreamError) as refused:
                    client.authenticate(**attributes)
                self.assertEqual(refused.exception.condition, condition)
                self.assertTrue(client.closed())

    def test_nothing_but_negotiation_before_login(self):  # THREATS C7, RFC 6120 §4.9.3.12
        with self.server.control() as (victim, _):
            for stanza in (f"<message to='{victim.jid}'><body>x</body></message>", f"<presence to='{victim.jid}'/>",
                           f"<iq type='get' id='a' to='comity.test'>{PING}</iq>",
                           f"<iq type='set' id='a'><bind xmlns='{BIND}'/></iq>",
                           "<iq type='get' id='a'><query xmlns='jabber:iq:auth'/></iq>",  # THREATS B3
                           "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>"):
                for method in ("starttls", "direct"):
                    with self.subTest(stanza, method=method):
                        client = self.server.raw(method)
                        client.open_stream()
                        client.send(stanza)
                        self.assertEqual(client.stream_error(), "not-authorized")
                        self.assertTrue(client.closed())
                        client.abort()
            self.assertEqual([each for each in victim.pending() if each.tag != f"{{{CLIENT}}}presence"], [])

    def test_one_binding_a_stream(self):  # THREATS C7
        with self.server.login("alice") as client:
            again = client.iq("set", f"<bind xmlns='{BIND}'><resource>second</resource></bind>")
            self.assertEqual(error_condition(again), "not-allowed")
            self.assertEqual(client.iq("get", PING, "comity.test").get("type"), "result")

    def test_stanzas_before_binding(self):  # RFC 6120 §7.1
        client = self.server.client("alice", "direct")
        client.connect()
        client.open_stream()
        client.authenticate()
        client.send("<message to='bob@comity.test'><body>x</body></message>")
        self.assertEqual(client.stream_error(), "not-authorized")
        client.abort()

    def test_closing_is_answered_in_kind(self):  # RFC 6120 §4.4
        for method in ("starttls", "direct"):
            client = self.server.login("alice", method)
            client.send("</stream:stream>")
            self.assertTrue(client.closed())
        client = self.server.raw()
        client.send(wire.HEADER + "</stream:stream>")
        self.assertTrue(client.receive_all().endswith(b"</stream:features></stream:stream>"))
        client.abort()

    def test_the_peers_stream_error_is_taken(self):
        client = self.server.login("alice")
        client.send(f"<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
        self.assertTrue(client.closed())
        self.server.wait_metric(1, "comity_stream_errors_received_total", condition="reset")

    def test_a_stanza_cut_off_is_nothing(self):  # THREATS B10
        with self.server.login("bob") as bob:
            for cut in (f"<message to='{bob.jid}'><body>cut", f"<message to='{bob.jid}'><body>cut</body></message"):
                client = self.server.login("alice", "direct", available=False)
                client.send(cut)
                # FIN without close_notify.
                client.socket.shutdown(socket.SHUT_WR)
                client.receive_all()
                client.abort()
            with self.server.login("alice") as alice:
                alice.message(bob.jid, "after")
                self.assertEqual(bob.next().findtext(f"{{{CLIENT}}}body"), "after")


class Starttls(SystemTest):
    options = {"users": ["alice"], "hosts": ("comity.test", "other.test")}

    def opened(self):
        client = self.server.raw()
        client.open_stream()
        return client

    def test_offered_and_required_and_nothing_else(self):  # E01, E07, RFC 6120 §5.3.1, §5.4.1
        with self.opened() as client:
            self.assertEqual([child.tag for child in client.features], [f"{{{TLS}}}starttls"])
            self.assertEqual([child.tag for child in client.features[0]], [f"{{{TLS}}}required"])

    def test_tls_begins_right_behind_proceed(self):  # E02, RFC 6120 §5.4.2.3
        client = self.server.raw()
        client.send(wire.HEADER)
        client.receive_until(b"</stream:features>")
        client.send(STARTTLS)
        self.assertEqual(client.receive_until(PROCEED), PROCEED)
        client.start_tls_now()
        features = client.open_stream()
        # E05, §5.4.3.3 (5): the new stream offers no STARTTLS.
        self.assertIsNone(features.find(f"{{{TLS}}}starttls"))
        self.assertIsNotNone(features.find(f"{{{SASL}}}mechanisms"))
        client.close()

    def test_no_credential_is_judged_in_clear(self):  # E07, THREATS B3, RFC 6120 §6.5.4
        for mechanism in ("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "ANONYMOUS", "EXTERNAL"):
            with self.opened() as client:
                client.send(f"<auth xmlns='{SASL}' mechanism='{mechanism}'>AGFsaWNlAGI=</auth>")
                failure = client.next()
                self.assertEqual((failure.tag, [local(child) for child in failure]),
                                 (f"{{{SASL}}}failure", ["encryption-required"]))
                # The stream stays, and STARTTLS is still to be had.
                client.start_tls()

    def test_what_comes_in_one_segment_with_starttls(self):  # E03, THREATS B1, CVE-2011-0411
        auth = f"<auth xmlns='{SASL}' mechanism='PLAIN'>AGFsaWNlAGI=</auth>"
        with self.server.control() as (victim, _):
            message = f"<message to='{victim.jid}'><body>x</body></message>"
            for behind in (auth, message, f"<iq type='get' id='a'>{PING}</iq>", wire.HEADER, STARTTLS, "x" * 100_000,
                           "\r\n\r\n", "   ", "</stream:stream>", "<"):
                with self.subTest(behind[:40]):
                    client = self.server.raw()
                    client.send(wire.HEADER)
                    client.receive_until(b"</stream:features>")
                    client.send(STARTTLS + behind)
                    self.assertEqual(client.receive_all(), FAILURE + b"</stream:stream>")
                    client.abort()
            self.assertEqual([each for each in victim.pending() if each.tag == f"{{{CLIENT}}}message"], [])

    def test_white_space_behind_starttls_is_forgiven(self):  # THREATS B1: real clients send CRLF
        for behind in ("\n", "\r\n", "  "):
            with self.opened() as client:
                client.send(STARTTLS + behind)
                self.assertEqual(local(client.next()), "proceed")
                client.start_tls_now()
                client.open_stream()

    def test_a_client_hello_in_the_same_segment(self):  # THREATS B1
        context = authority().context()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="comity.test")
        with self.assertRaises(ssl.SSLWantReadError):
            tls.do_handshake()
        client = self.server.raw()
        client.send(wire.HEADER)
        client.receive_until(b"</stream:features>")
        client.send(STARTTLS.encode() + outgoing.read())
        received = client.receive_until(PROCEED)
        self.assertTrue(received.startswith(PROCEED))
        incoming.write(received[len(PROCEED):])
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(client.socket.recv(65536))
        tls.write(wire.HEADER.encode())
        client.send(outgoing.read())
        got = b""
        while b"</stream:features>" not in got:
            try:
                got += tls.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(client.socket.recv(65536))
        self.assertIn(b"SCRAM-SHA-256", got)
        client.abort()

    def test_plaintext_behind_proceed(self):  # E03, E06, RFC 6120 §5.4.3.2: TCP ends, without </stream:stream>
        with self.server.control() as (victim, _):
            message = f"<message to='{victim.jid}'><body>x</body></message>"
            for behind in (wire.HEADER, message, f"<auth xmlns='{SASL}' mechanism='PLAIN'>AGFsaWNlAGI=</auth>", "x"):
                client = self.server.raw()
                client.send(wire.HEADER)
                client.receive_until(b"</stream:features>")
                client.send(STARTTLS)
                client.receive_until(PROCEED)
                client.send(behind)
                self.assertEqual(client.receive_all(), b"")
                client.abort()
            self.assertEqual([each for each in victim.pending() if each.tag == f"{{{CLIENT}}}message"], [])

    def test_a_failed_handshake_ends_the_connection(self):  # E06, RFC 6120 §5.4.3.2
        client = self.server.raw()
        client.send(wire.HEADER)
        client.receive_until(b"</stream:features>")
        client.send(STARTTLS)
        client.receive_until(PROCEED)
        client.send(b"\x16\x03\x01\x00\x04zzzz")
        self.assertNotIn(b"stream", client.receive_all())
        client.abort()
        self.server.wait_log(r"c2s\.failed .*phase=tls cause=tls_alert")

    def test_starttls_under_tls_is_refused(self):  # D04, E05, THREATS B9, RFC 6120 §5.4.2.2
        for method in ("direct", "starttls"):
            with self.subTest(method), self.server.raw(method) as client:
                client.open_stream()
                if method == "starttls":
                    client.start_tls()
                self.assertIsNone(client.features.find(f"{{{TLS}}}starttls"))
                client.send(STARTTLS)
                self.assertEqual(client.next().tag, f"{{{TLS}}}failure")
                self.assertTrue(client.closed())

    def test_facts_of_the_clear_stream_are_forgotten(self):  # E04, E05: `to` and everything else begins anew
        context = ssl.create_default_context(cafile=str(authority().certificate))
        context.check_hostname = False
        with self.server.raw(context=context) as client:
            client.open_stream(to="comity.test", **{"from": "mallory@comity.test"})
            client.start_tls()
            self.assertIsNone(client.header.get("to"))
        with self.server.raw(context=context) as client:
            client.open_stream(to="comity.test")
            client.send(STARTTLS)
            client.next()
            client.start_tls_now()
            client.open_stream(to="other.test")
            self.assertEqual(client.header.get("from"), "other.test")

    def test_the_stream_chooses_the_certificate_without_sni(self):  # E09, RFC 6120 §5.4.3.1 (4)
        for host in ("comity.test", "other.test"):
            context = ssl.create_default_context(cafile=str(authority().certificate))
            context.check_hostname = False
            client = self.server.raw(context=context)
            client.open_stream(to=host)
            client.send(STARTTLS)
            client.next()
            client.socket = context.wrap_socket(client.socket)
            names = dict(client.socket.getpeercert())["subjectAltName"]
            self.assertEqual(names, (("DNS", host),))
            client.abort()


class Deadlines(SystemTest):
    """Absolute, whatever the peer does: THREATS B5, G2."""

    options = {"users": ["alice"], "settings": {"limits": {"tls_timeout": "1s", "handshake_timeout": "2s",
                                                           "unauthenticated_per_ip": 900}}}

    def assert_ends(self, client, after, received):
        """The server ends the connection `after` seconds from now, and has said what `received` matches."""
        start = time.monotonic()
        said = client.receive_all()
        took = time.monotonic() - start
        self.assertRegex(said, received)
        self.assertGreater(took, after - 0.5)
        self.assertLess(took, after + PATIENCE / 4)
        client.abort()

    def tcp(self, method):
        return self.server.raw(method, secure=False)

    def test_silence_instead_of_tls(self):  # B5: no stream, so nothing is said
        self.assert_ends(self.tcp("direct"), 1, rb"^$")

    def test_silence_behind_proceed(self):  # B5
        client = self.server.raw()
        client.send(wire.HEADER)
        client.receive_until(b"</stream:features>")
        client.send(STARTTLS)
        client.receive_until(PROCEED)
        self.assert_ends(client, 1, rb"^$")

    def test_silence_instead_of_a_stream(self):  # G2
        self.assert_ends(self.tcp("starttls"), 2, rb"<connection-timeout .*</stream:stream>$")

    def dribble(self, client, data, interval):
        """Sends a byte an interval until the server ends the connection; returns what it said and when."""
        start, said = time.monotonic(), b""
        for byte in data:
            try:
                client.socket.sendall(bytes([byte]))
                client.socket.settimeout(interval)
                more = client.socket.recv(65536)
                if not more:
                    break
                said += more
            except TimeoutError:
                continue
            except OSError:
                break
            if b"</stream:stream>" in said:
                break
        client.abort()
        return said, time.monotonic() - start

    def test_bytes_do_not_move_a_deadline(self):  # B5, G2
        said, took = self.dribble(self.tcp("direct"), b"\x16\x03\x01\x02\x00\x01" + bytes(200), 0.1)
        self.assertEqual(said, b"")
        self.assertLess(took, 1 + PATIENCE / 4)
        for data in (wire.HEADER.encode().ljust(400), b" " * 400):
            said, took = self.dribble(self.tcp("starttls"), data, 0.05)
            self.assertIn(b"<connection-timeout", said)
            self.assertLess(took, 2 + PATIENCE / 4)

    def test_keep_alives_do_not_log_in(self):  # G2
        client = self.server.raw("direct")
        client.open_stream()
        start = time.monotonic()
        said, _ = self.dribble(client, b" " * 400, 0.05)
        self.assertIn(b"<connection-timeout", said)
        self.assertLess(time.monotonic() - start, 2 + PATIENCE / 4)

    def test_hundreds_of_stalled_handshakes(self):  # B5, both ports at once
        with self.server.control():
            stalled = [self.tcp(method) for method in ("direct", "starttls") for _ in range(200)]
            for number, client in enumerate(stalled):
                if number % 2:
                    client.send(b"\x16\x03\x01" if client.port == self.server.direct_port else "<?xml ")
            for client in stalled:
                client.receive_all()
                client.abort()
        wait_until(lambda: len(self.server.ctl_json("connections")) == 0, "no connection is left")


class Rates(SystemTest):
    """Bandwidth of one connection: L09, RFC 6120 §13.12 (6)."""

    options = {"users": ["alice", "bob", "carol"], "settings": {"limits": {"bytes_per_second_c2s": "64KiB"}}}

    def test_a_client_that_is_too_fast_waits_and_nobody_else(self):
        pieces, size = 4, 48 * 1024
        for method in ("starttls", "direct"):
            with self.subTest(method), self.server.login("alice", method) as alice, self.server.login("bob") as bob, \
                    self.server.login("carol") as carol:
                start = time.monotonic()
                for number in range(pieces):  # a second's worth at once, and two more: the sockets hold them
                    alice.send(f"<message to='{bob.jid}' id='{number}'><body>{'x' * size}</body></message>")
                slowest = 0.0
                while time.monotonic() < start + 1:
                    asked = time.monotonic()
                    carol.iq("get", PING, to="comity.test")
                    slowest = max(slowest, time.monotonic() - asked)
                for number in range(pieces):
                    self.assertEqual(bob.wait_for(lambda e: local(e) == "message").get("id"), str(number))
                took = time.monotonic() - start
                self.assertGreater(took, (pieces * size - 65536) / 65536 - 0.1)
                self.assertLess(took, 2 + PATIENCE / 4)
                self.assertLess(slowest, PATIENCE / 20)


if __name__ == "__main__":
    unittest.main()
