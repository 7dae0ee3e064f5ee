"""TLS as a client sees it: rules D06, D07, D08, D10, D11, F01-F06, F09, THREATS B4, B9."""

import contextlib
import os
import re
import socket
import ssl
import subprocess
import time
import unittest
import warnings

import wire
from harness import PATIENCE, SANITIZED, SystemTest, authority
from xmpp_client import CLIENT, local

# The client's own policy must not be what refuses.
ANYTHING = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"


def permissive(version=None, ciphers=None):
    """A context that would take anything, or only that version and those ciphers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the versions that must be refused
        context.minimum_version = version or ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = version or ssl.TLSVersion.MAXIMUM_SUPPORTED
    context.set_ciphers(ciphers or ANYTHING)
    return context


class Tls(SystemTest):
    options = {"users": ["alice"], "hosts": ("comity.test", "other.test")}
    ports = ("starttls", "direct")

    def secured(self, method, context, sni="comity.test", alpn=None):
        """A TLS socket, by STARTTLS or directly; the SSLError of the handshake is raised."""
        if alpn:
            context.set_alpn_protocols(alpn)
        if method == "starttls":
            client = self.server.raw()
            client.send(wire.HEADER)
            client.receive_until(b"</stream:features>")
            client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            client.receive_until(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            plain = client.socket
        else:
            plain = socket.create_connection(("127.0.0.1", self.server.direct_port), PATIENCE)
        plain.settimeout(PATIENCE)
        try:
            return context.wrap_socket(plain, server_hostname=sni)
        except BaseException:
            plain.close()
            raise

    def assert_alert(self, alert, method, context, **options):
        with self.assertRaises(ssl.SSLError) as refused:
            self.secured(method, context, **options).close()
        self.assertIn(alert, str(refused.exception).lower().replace("_", " "))

    def test_versions(self):  # F01, RFC 9325 §3.1.1
        for method in self.ports:
            for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                with self.subTest(method, version=version):
                    self.assert_alert("protocol version", method, permissive(version))
            for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
                with self.secured(method, permissive(version)) as tls:
                    self.assertEqual(tls.version(), name)
            with self.secured(method, permissive()) as tls:
                self.assertEqual(tls.version(), "TLSv1.3", "the newest is preferred")

    def test_ssl_3_and_older_are_not_spoken(self):  # F01
        for hello in (b"\x16\x03\x00\x00\x2f\x01\x00\x00\x2b\x03\x00" + bytes(32) + b"\x00\x00\x04\x00\x2f\x00\x35\x01\x00",
                      b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80" + bytes(32)):
            with socket.create_connection(("127.0.0.1", self.server.direct_port), PATIENCE) as plain:
                plain.sendall(hello)
                answer = b""
                while more := plain.recv(65536):
                    answer += more
                self.assertFalse(answer.startswith(b"\x16"), answer)  # an alert or nothing, no ServerHello

    def test_suites(self):  # F03, RFC 9325 §4.1
        refused = ("NULL", "aNULL", "AES128-SHA", "AES256-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA",
                   "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES256-GCM-SHA384")
        for names in refused:
            try:
                context = permissive(ssl.TLSVersion.TLSv1_2, f"{names}:@SECLEVEL=0")
            except ssl.SSLError:
                continue  # this OpenSSL has none of them
            with self.subTest(names):
                self.assert_alert("handshake failure", "direct", context)
        for name in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-GCM-SHA256"):
            for method in self.ports:
                with self.secured(method, permissive(ssl.TLSVersion.TLSv1_2, name)) as tls:
                    self.assertEqual(tls.cipher()[0], name)

    def test_keys_and_signatures(self):  # F04, RFC 9325 §4.5
        # What the server signs by in the handshake: no SHA-1, and nothing else to be had by asking.
        def said(*options):
            return self.s_client("-tls1_2", *options)
        self.assertIn("Peer signing digest: SHA256", said())
        self.assertIn("alert handshake failure", said("-sigalgs", "ECDSA+SHA1", "-cipher", "DEFAULT@SECLEVEL=0"))
        # Curves below 224 bits are not agreed on.
        self.assertIn("alert handshake failure", said("-groups", "secp192r1", "-cipher", "DEFAULT@SECLEVEL=0"))

    def s_client(self, *options, stdin=b"", starttls=False):
        """What `openssl s_client` says of a connection that it ends when `stdin` does."""
        where = ["-connect", f"127.0.0.1:{self.server.direct_port}"]
        if starttls:
            where = ["-connect", f"127.0.0.1:{self.server.starttls_port}", "-starttls", "xmpp", "-xmpphost", "comity.test"]
        done = subprocess.run(["openssl", "s_client", *where, "-servername", "comity.test", *options], input=stdin,
                              capture_output=True, timeout=PATIENCE, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def test_no_compression_and_safe_renegotiation_and_master_secret(self):  # F05, RFC 9325 §3.3-§3.5
        for starttls in (False, True):
            said = self.s_client("-tls1_2", starttls=starttls)
            self.assertIn("Compression: NONE", said)
            self.assertIn("Secure Renegotiation IS supported", said)
            self.assertIn("Extended master secret: yes", said)

    def test_a_fallback_is_noticed(self):  # F02, RFC 7507
        self.assertIn("inappropriate fallback", self.s_client("-tls1_2", "-fallback_scsv").lower())

    def test_tickets_are_short_lived(self):  # F06, RFC 9325 §3.4
        said = self.s_client("-tls1_2")
        lifetime = re.search(r"TLS session ticket lifetime hint: (\d+)", said)
        self.assertIsNotNone(lifetime, said)
        self.assertLessEqual(int(lifetime[1]), 7 * 24 * 3600)

    def test_a_session_is_resumed_by_its_ticket(self):  # F06
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = permissive(version)
            with self.secured("direct", context) as first:
                first.sendall(wire.HEADER.encode())  # in TLS 1.3 the ticket comes with what is read
                first.recv(65536)
                session = first.session
            before = self.server.metric("comity_tls_handshakes_total", resumed="true")
            plain = socket.create_connection(("127.0.0.1", self.server.direct_port), PATIENCE)
            with context.wrap_socket(plain, server_hostname="comity.test", session=session) as second:
                self.assertTrue(second.session_reused)
            self.server.wait_metric(before + 1, "comity_tls_handshakes_total", resumed="true")

    def test_no_early_data(self):  # F08, THREATS B6
        session = self.server.directory / "session.pem"
        self.s_client("-tls1_3", "-ign_eof", "-sess_out", str(session),
                      stdin=(wire.HEADER + "</stream:stream>").encode())
        said = subprocess.run(["openssl", "sess_id", "-in", str(session), "-noout", "-text"], capture_output=True,
                              text=True, check=True).stdout
        self.assertIn("TLSv1.3", said)
        self.assertRegex(said, r"Max Early Data: 0\b")

    def test_renegotiation_ends_the_connection(self):  # F05, THREATS B4, RFC 6120 §5.3.5, CVE-2021-32920
        with self.server.control():
            self.assert_told_and_ended("-tls1_2", b"R\n", 1)
            self.server.wait_log("renegotiate")

    def test_key_updates_are_bounded(self):  # THREATS B4
        with self.server.control():
            before = self.server.cpu()
            self.assert_told_and_ended("-tls1_3", b"K\n", 200)
            self.server.wait_log("too many key updates")
            if not SANITIZED:
                self.assertLess(self.server.cpu() - before, 0.5)

    def assert_told_and_ended(self, version, command, times):
        """Gives s_client one command after another: the server ends the connection before they are all taken."""
        with subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.direct_port}", "-servername",
                               "comity.test", version], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            said = b""
            while b"Verify return code" not in said:
                more = os.read(process.stdout.fileno(), 65536)
                if not more:
                    break
                said += more
            self.assertIn(b"Verify return code", said)
            deadline = time.monotonic() + PATIENCE
            for _ in range(times):
                if process.poll() is not None:
                    break
                try:
                    process.stdin.write(command)  # s_client takes one command a read
                    process.stdin.flush()
                except BrokenPipeError:
                    break
                time.sleep(0.005)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            ended = process.poll() is not None
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            self.assertTrue(ended, "the connection stayed")

    def test_alpn_without_overlap(self):  # D06, THREATS B9, RFC 7301 §3.2
        for alpn in (["http/1.1"], ["h2", "http/1.1"], ["xmpp-server"], ["xmpp-clients"], ["XMPP-CLIENT"]):
            with self.subTest(alpn):
                self.assert_alert("no application protocol", "direct", permissive(), alpn=alpn)
                with self.assertRaises(ssl.SSLError):
                    self.secured("direct", permissive(ssl.TLSVersion.TLSv1_2), alpn=alpn)
        self.server.wait_log(r"phase=tls cause=alpn_mismatch")
        self.assertGreater(self.server.metric("comity_alpn_total", offered="http", routed="refused"), 0)

    def test_alpn_with_overlap(self):  # D07: what is chosen is what is spoken
        for alpn in (["xmpp-client"], ["h2", "xmpp-client"], ["xmpp-client", "xmpp-server", "http/1.1"]):
            with self.secured("direct", permissive(), alpn=alpn) as tls:
                self.assertEqual(tls.selected_alpn_protocol(), "xmpp-client")
        with self.secured("direct", permissive(), alpn=["xmpp-client"]) as tls:
            tls.sendall(wire.HEADER.replace(CLIENT, "jabber:server").encode())
            received = b""
            while more := tls.recv(65536):
                received += more
            self.assertEqual(wire.error_of(received), "invalid-namespace")

    def test_alpn_left_out(self):  # D08
        for method in self.ports:
            with self.secured(method, permissive()) as tls:
                self.assertIsNone(tls.selected_alpn_protocol())
                tls.sendall(wire.HEADER.encode())
                self.assertIn(b"from='comity.test'", tls.recv(65536))

    def test_unknown_sni(self):  # D10, RFC 9325 §3.7
        for method in self.ports:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                self.assert_alert("unrecognized name", method, permissive(version), sni="unhosted.test")

    def names(self, tls):
        der = tls.getpeercert(binary_form=True)
        return [host for host in self.server.hosts if ssl.DER_cert_to_PEM_cert(der).strip() in
                self.server.certificate_of(host).read_text(encoding="ascii")]

    def test_sni_chooses_the_certificate_and_the_stream_the_host(self):  # D10, D11, THREATS B9
        for method in self.ports:
            for host in (*self.server.hosts, "OTHER.test"):
                with self.secured(method, permissive(), sni=host) as tls:
                    self.assertEqual(self.names(tls), [host.lower()])
            with self.secured("direct", permissive(), sni=None) as tls:
                self.assertEqual(self.names(tls), ["comity.test"])  # D11: the first host's
                tls.sendall(wire.HEADER.replace("comity.test", "other.test").encode())
                self.assertIn(b"from='other.test'", tls.recv(65536))
            with self.secured("direct", permissive(), sni="comity.test") as tls:
                tls.sendall(wire.HEADER.replace("comity.test", "unhosted.test").encode())
                self.assertIn(b"host-unknown", tls.recv(65536))

    def test_close_notify(self):  # F09, RFC 6120 §4.4
        for method in self.ports:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                context = permissive(version)
                with self.subTest(method, version=version), self.secured(method, context) as tls:
                    tls.suppress_ragged_eofs = False  # an end without close_notify is an error from here on
                    tls.sendall(wire.HEADER.encode() + b"</stream:stream>")
                    received = b""
                    while more := tls.recv(65536):
                        received += more
                    self.assertTrue(received.endswith(b"</stream:stream>"))

    def test_close_notify_of_the_peer_is_awaited(self):  # F09, RFC 6120 §4.4
        with self.secured("direct", permissive()) as tls:
            tls.sendall(wire.HEADER.encode() + b"</stream:stream>")
            while tls.recv(65536):
                pass
            # The connection is still listed: it ends with our close_notify.
            self.assertEqual(len(self.server.ctl_json("connections")), 1)
            tls.unwrap()
        self.server.wait_metric(0, "comity_connections", method="direct_tls")

    def test_a_login_over_each_version(self):  # F01, and the bindings that each has
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            for method in self.ports:
                context = authority().context()
                context.minimum_version = context.maximum_version = version
                with self.server.login("alice", method, context=context) as client:
                    kinds = [each.get("type") for each in client.features.iter() if local(each) == "channel-binding"]
                    self.assertEqual(kinds, [], "none behind the login")
                    self.assertTrue(client.used_mechanism.endswith("-PLUS"))


if __name__ == "__main__":
    unittest.main()
