"""HTTP beside the streams, asked by curl: host-meta, POSH and the way into WebSocket; over a port of its own, over one
port for everything, in clear, and behind nginx. THREATS B3, B9, G2, G5, L07."""

import base64
import hashlib
import itertools
import json
import socket
import ssl
import subprocess
import threading
import time
import unittest
import xml.etree.ElementTree

from front_test import FrontServer, Port, answer, derived, nginx
from harness import PATIENCE, authority, free_ports, wait_until

XRD = "{http://docs.oasis-open.org/ns/xri/xrd-1.0}"
UPGRADE = ("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n")
PATHS = ("/.well-known/host-meta", "/.well-known/host-meta.json", "/.well-known/posh/xmpp-client.json",
         "/.well-known/posh/xmpp-server.json")


def request(path, host="comity.test", fields="", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"


class Curl:
    """curl, which takes every host for 127.0.0.1 and trusts the tests' authority."""

    def __init__(self, scheme, port, *options, host="comity.test"):
        self.base = f"{scheme}://{host}:{port}"
        self.options = ["--noproxy", "*", "--cacert", str(authority().certificate), "--resolve",
                        f"{host}:{port}:127.0.0.1", "--path-as-is", *options]

    def __call__(self, path, *options):
        """(status, fields, body)"""
        done = subprocess.run(["curl", "-sS", "-i", *self.options, *options, self.base + path], capture_output=True,
                              check=False, timeout=PATIENCE)
        if done.returncode != 0:
            raise AssertionError(f"curl {path}: {done.stderr.decode()}")
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        first, *fields = head.decode().split("\r\n")
        return int(first.split()[1]), {name.lower(): value for name, _, value in (f.partition(": ") for f in fields)}, body


def posh_of(certificate):
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text(encoding="ascii").split("-----END", 1)[0] +
                                   "-----END CERTIFICATE-----\n")
    return {f"sha-{bits}": base64.b64encode(hashlib.new(f"sha{bits}", der).digest()).decode() for bits in (256, 512)}


class Web(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.secure, cls.auto, cls.clear, cls.proxied = free_ports(4)
        cls.server = FrontServer(
            f'[[listen]]\naddress = "127.0.0.1:{cls.secure}"\nprotocol = "http"\ntls = "direct"\n'
            f'[[listen]]\naddress = "127.0.0.1:{cls.auto}"\nprotocol = "auto"\ntls = "direct"\n'
            f'[[listen]]\naddress = "0.0.0.0:{cls.clear}"\nprotocol = "http"\ntls = "none"\n'
            f'[[listen]]\naddress = "127.0.0.1:{cls.proxied}"\nprotocol = "http"\ntls = "none"\n'
            'proxy_protocol = ["127.0.0.1"]\n',
            hosts=("comity.test", "other-host.test"), users=["alice", "bob"],
            settings={"s2s": {"enabled": True}, "dns": {"servers": ["127.0.0.1@9"], "trust_anchors": []},
                      "limits": {"tls_timeout": "2s", "handshake_timeout": "3s"}})
        cls.server.__enter__()
        cls.ways = {"its own port": Curl("https", cls.secure), "by ALPN": Curl("https", cls.auto, "--http1.1"),
                    "without ALPN": Curl("https", cls.auto, "--no-alpn"), "in clear": Curl("http", cls.clear),
                    "behind PROXY": Curl("http", cls.proxied, "--haproxy-protocol")}

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_documents_by_every_way(self):
        counted = {offered: self.server.counter("comity_alpn_total", offered=offered, routed="http")
                   for offered in ("http", "none")}
        for name, curl in self.ways.items():
            with self.subTest(name):
                status, fields, body = curl(PATHS[0])
                self.assertEqual((status, fields["content-type"], fields["access-control-allow-origin"]),
                                 (200, "application/xrd+xml", "*"))
                self.assertNotIn("server", fields)
                document = xml.etree.ElementTree.fromstring(body)
                self.assertEqual(document.tag, XRD + "XRD")
                # Where it was asked for, if it may be spoken there: no port is open to all.
                urls = [each.get("href") for each in document.findall(XRD + "Link")]
                secure = [curl.base.replace("https:", "wss:").replace("http:", "wss:") + "/xmpp-websocket"]
                self.assertEqual(urls, [] if name == "in clear" else secure)
                status, fields, body = curl(PATHS[1])
                self.assertEqual((status, fields["content-type"], fields["access-control-allow-origin"]),
                                 (200, "application/json", "*"))
                self.assertEqual([each["href"] for each in json.loads(body)["links"]], urls)
                for path in PATHS[2:]:
                    status, fields, body = curl(path)
                    self.assertEqual((status, fields["content-type"]), (200, "application/json"))
                    document = json.loads(body)
                    self.assertEqual(document["fingerprints"], [posh_of(self.server.certificate_of("comity.test"))])
                    self.assertGreater(document["expires"], 0)
                self.assertEqual(curl("/metrics")[0], 404)
                status, fields, _ = curl(PATHS[0], "-X", "DELETE")
                self.assertEqual((status, fields["allow"]), (405, "GET, HEAD"))
                self.assertEqual(curl(PATHS[0], "-I")[2], b"")
                self.assertEqual(curl(PATHS[0], "-d", "x=y")[0], 405)
                self.assertEqual(curl(PATHS[0], "-H", "Host: nobody.test")[0], 421)
        for offered in counted:
            self.assertGreater(self.server.metric("comity_alpn_total", offered=offered, routed="http"), counted[offered])
        wait_until(lambda: not self.server.ctl_json("connections"), "they have gone")
        # HTTP is no connection of clients until it becomes WebSocket.
        for family in ("comity_connection_attempts_total", "comity_connection_failures_total"):
            self.assertEqual(self.server.counter(family, scope="c2s"), 0)

    def test_a_connection_is_kept(self):
        done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w",
                               "%{num_connects} %{http_code}\n", *self.ways["its own port"].options,
                               *(self.ways["its own port"].base + path for path in PATHS[:3])],
                              capture_output=True, text=True, check=True, timeout=PATIENCE)
        self.assertEqual(done.stdout.split("\n")[:3], ["1 200", "0 200", "0 200"])

    def test_curl_finds_no_other_protocol(self):  # THREATS B9, D06
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.secure}", "-servername",
                               "comity.test", "-alpn", "h2,xmpp-client"], input=b"", capture_output=True, check=False,
                              timeout=PATIENCE)
        self.assertIn(b"no application protocol", done.stderr)
        with Port(self.server, self.secure).tls(["http/1.1"]) as tls:
            said = answer(tls, "<?xml version='1.0'?><stream:stream to='comity.test'>")
            self.assertTrue(said.startswith(b"HTTP/1.1 400 "), said)

    def test_no_host_speaks_under_anothers_certificate(self):  # THREATS B9
        for name, host, status in (("comity.test", "other-host.test", b"421"), ("other-host.test", "other-host.test", b"200")):
            with Port(self.server, self.secure).tls(["http/1.1"], name=name) as tls:
                self.assertEqual(answer(tls, request(PATHS[2], host, "Connection: close\r\n")).split()[1], status)

    def test_paths_are_taken_as_they_stand(self):  # THREATS G5
        for path in ("/.well-known/../metrics", "/.well-known/%2e%2e/x", "/.well-known/host-meta/..;/x",
                     "/%u002e%u002e/etc/passwd", "/.well-known//host-meta", "/.well-known/posh/../host-meta"):
            self.assertEqual(self.ways["its own port"](path)[0], 404, path)
        with Port(self.server, self.secure).tls() as tls:
            self.assertIn(b" 431 ", answer(tls, request("/", fields="X: " + "x" * 65536 + "\r\n")).split(b"\n")[0])
        with Port(self.server, self.secure).tls() as tls:
            smuggled = request("/", fields="Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", method="POST")
            got = answer(tls, smuggled + "0\r\n\r\n" + request(PATHS[0]))
            self.assertEqual((got.count(b"HTTP/1.1"), got.split()[1]), (1, b"400"))

    def test_slow_peers_end_in_time(self):  # THREATS G2, G5
        with self.server.control():
            silent = [Port(self.server, self.clear).plain(), Port(self.server, self.secure).tls(["http/1.1"]),
                      Port(self.server, self.auto).tls()]
            began = time.monotonic()
            for each in silent:
                self.assertEqual(answer(each, b""), b"")
                each.close()
            self.assertLess(time.monotonic() - began, 5)

            def dribble(port, got):
                with port.plain() as plain:
                    plain.settimeout(0.25)
                    for byte in itertools.chain(b"GET / HTTP/1.1\r\nX: ", itertools.repeat(0x78)):
                        try:
                            plain.sendall(bytes([byte]))
                            got.append(plain.recv(4096))
                            return
                        except TimeoutError:
                            continue
            got = []
            began = time.monotonic()
            threads = [threading.Thread(target=dribble, args=(Port(self.server, self.clear), got)) for _ in range(20)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            self.assertLess(time.monotonic() - began, 6)
            self.assertEqual({each.split()[1] for each in got}, {b"408"})
            self.assertEqual(len(got), 20)

    def test_in_clear_only_from_this_machine(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            ours = probe.getsockname()[0]
        if ours.startswith("127."):
            self.skipTest("this machine has no address but loopback")
        with socket.create_connection((ours, self.clear), PATIENCE, (ours, 0)) as plain:
            self.assertEqual(answer(plain, request(PATHS[0])), b"")

    def test_websocket_needs_tls(self):  # THREATS B3
        with Port(self.server, self.clear).plain() as plain:
            self.assertEqual(answer(plain, request("/xmpp-websocket", fields=UPGRADE + "X-Forwarded-Proto: https\r\n"),
                                    b"\r\n\r\n").split()[1], b"403")
        with Port(self.server, self.secure).tls(["http/1.1"]) as tls:
            self.assertEqual(answer(tls, request("/xmpp-websocket"), b"\r\n\r\n").split()[1], b"426")

    def test_connections_are_shown(self):
        with Port(self.server, self.secure).tls(["http/1.1"]) as tls:
            answer(tls, request("/"), b"Not Found\n")
            row, = self.server.ctl_json("connections")
            self.assertEqual((row["alpn"], row["tls_version"]), ("http/1.1", "TLSv1.3"), row)


class Renewed(unittest.TestCase):
    def test_posh_follows_the_certificate(self):
        port, = free_ports(1)
        with FrontServer(f'[[listen]]\naddress = "127.0.0.1:{port}"\nprotocol = "http"\ntls = "direct"\n') as server:
            curl = Curl("https", port)

            def fingerprints():
                return json.loads(curl(PATHS[2])[2])["fingerprints"]
            before = fingerprints()
            server.renew("comity.test")
            server.reload()
            self.assertEqual(fingerprints(), [posh_of(server.certificate_of("comity.test"))])
            self.assertNotEqual(fingerprints(), before)
            self.assertEqual(curl(PATHS[3])[0], 404)  # no other server is spoken to


class BehindNginx(unittest.TestCase):
    """nginx ends TLS, as deploy/examples/ has it."""

    @classmethod
    def setUpClass(cls):
        cls.front, ours = free_ports(2)
        cls.server = FrontServer("", settings={"http": {"trusted_proxies": ["127.0.0.1"]},
                                               "limits": {"unauthenticated_per_ip": 3}})
        text = derived("nginx-http-in-front.toml", {"127.0.0.1:5280": f"127.0.0.1:{ours}"})
        cls.server.listen = text[text.index("[[listen]]"):]  # its other table is among the settings
        cls.server.write_config()
        cls.server.__enter__()
        directory = cls.server.directory
        conf = derived("nginx-http-in-front.conf", {
            "listen 443": f"listen 127.0.0.1:{cls.front}", "127.0.0.1:5280": f"127.0.0.1:{ours}",
            "/etc/comity/certs/example.org.crt": cls.server.certificate_of("comity.test"),
            "/etc/comity/certs/example.org.key": cls.server.key_of("comity.test"),
            "/var/www/html": directory / "html", "/var/log/nginx/access.log": directory / "access.log",
            "example.org": "comity.test"})
        cls.nginx = nginx(directory, conf, cls.front)
        cls.nginx.__enter__()
        cls.curl = Curl("https", cls.front)

    @classmethod
    def tearDownClass(cls):
        cls.nginx.__exit__(None, None, None)
        cls.server.__exit__(None, None, None)

    def test_documents(self):
        for path in PATHS[:3]:
            self.assertEqual(self.curl(path)[0], 200, path)
        self.assertEqual(self.curl("/metrics")[0], 404)

    def test_websocket(self):
        def socket_of(source, forwarded=""):
            tls = Port(self.server, self.front).tls(["http/1.1"], source=source)
            return tls, answer(tls, request("/xmpp-websocket", fields=UPGRADE + forwarded), b"\r\n\r\n").split()[1]
        open_ones = []
        for _ in range(3):  # L of limits.unauthenticated_per_ip
            tls, status = socket_of("127.0.0.9", "X-Forwarded-For: 192.0.2.66\r\n")
            self.assertEqual(status, b"101")
            open_ones.append(tls)
        rows = self.server.ctl_json("connections")
        self.assertEqual([(row["address"], row["method"]) for row in rows], [("127.0.0.9", "websocket")] * 3)
        for source, expected in (("127.0.0.9", b"429"), ("127.0.0.10", b"101")):  # L+1, and another client
            tls, status = socket_of(source)
            self.assertEqual(status, expected)
            tls.close()
        for each in open_ones:
            each.close()

    def test_the_client_is_whom_nginx_names(self):
        self.curl(PATHS[0], "--interface", "127.0.0.9", "-H", "X-Forwarded-For: 192.0.2.66")
        self.curl(PATHS[0], "--interface", "127.0.0.9", "-H", "X-Forwarded-For: unknown, 192.0.2.66")
        self.server.wait_log(r"http\.request.*127\.0\.0\.9.*host-meta")
        self.assertNotIn("192.0.2.66", self.server.log())


if __name__ == "__main__":
    unittest.main()
