"""One port for everything, and web servers and proxies before and behind it: rules D06, D07, D08, D10, D11, D13,
THREATS B5, B9. The programs are Debian's; what they run by is made from the files of deploy/examples/."""

import contextlib
import http.server
import itertools
import pathlib
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

import slixmpp_test
import wire
from harness import PASSWORD, PATIENCE, Server, assert_chat, authority, free_ports, is_own_presence, wait_until
from xmpp_client import STREAM, Client

EXAMPLES = pathlib.Path(__file__).parents[2] / "deploy" / "examples"
SERVER_HEADER = (f"<?xml version='1.0'?><stream:stream to='comity.test' from='other.test' version='1.0' "
                 f"xmlns='jabber:server' xmlns:stream='{STREAM}'>")
FEDERATED = {"s2s": {"enabled": True}, "dns": {"servers": ["127.0.0.1@9"], "trust_anchors": []}}
OFFERS = ("xmpp-client", "xmpp-server", "h2", "http/1.1")


class FrontServer(Server):
    """A daemon with more ports: `listen` are their tables, written after all others."""

    def __init__(self, listen, **options):
        self.listen = listen
        super().__init__(**options)

    def config_text(self):
        return super().config_text() + self.listen


def derived(name, replaced):
    """The text of an example, with each key of `replaced` put in place of what must stand in it."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in replaced.items():
        if old not in text:
            raise AssertionError(f"{old} does not stand in {name}")
        text = text.replace(old, str(new))
    return text


@contextlib.contextmanager
def running(*command, port):
    """A program of Debian's in the foreground, once it listens on that port of loopback."""
    process = subprocess.Popen([str(each) for each in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    try:
        def listens():
            if process.poll() is not None:
                raise AssertionError(f"{command[0]} ended: {process.stdout.read()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False
        wait_until(listens, f"{command[0]} listens")
        yield process
    finally:
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def nginx(directory, conf, port):
    """nginx with what it writes below `directory`."""
    (directory / "nginx").mkdir(exist_ok=True)
    file = directory / "nginx.conf"
    places = "".join(f"{kind}_temp_path {directory}/nginx/{kind}; "
                     for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file.write_text(conf.replace("http {", "http { " + places), encoding="utf-8")
    return running("/usr/sbin/nginx", "-c", file, "-p", directory, "-e", directory / "nginx-error.log", "-g",
                   f"daemon off; master_process off; pid {directory}/nginx.pid;", port=port)


class Port:
    """How clients come in on one port, from 127.0.0.1 or another address of loopback."""

    def __init__(self, server, port, before=b""):
        self.server = server
        self.port = port
        self.before = before

    def plain(self, source="127.0.0.1"):
        connected = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (source, 0))
        connected.sendall(self.before)
        return connected

    def tls(self, alpn=(), name="comity.test", source="127.0.0.1"):
        context = authority().context()
        context.check_hostname = False
        if alpn:
            context.set_alpn_protocols(list(alpn))
        plain = self.plain(source)
        try:
            return context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise

    def login(self, user, method="direct", alpn=("xmpp-client",)):
        client = Client("127.0.0.1", self.port, self.server.domain, user, PASSWORD, method,
                        timeout=PATIENCE, context=authority().context(), alpn=alpn)
        try:
            client.login()
            client.presence()
            client.wait_for(is_own_presence(client))
        except BaseException:
            client.abort()
            raise
        return client


def answer(connection, said, mark=None):
    """What the other side says to it, up to `mark` or its end."""
    connection.settimeout(PATIENCE)
    got = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        connection.sendall(said.encode() if isinstance(said, str) else said)
        while mark is None or mark not in got:
            more = connection.recv(65536)
            if not more:
                break
            got += more
    return got


class OnePort(unittest.TestCase):
    """protocol = "auto", with a web server of nobody in particular behind it."""

    @classmethod
    def setUpClass(cls):
        cls.web_port, cls.port_number = free_ports(2)
        cls.server = FrontServer(
            f'[[listen]]\naddress = "127.0.0.1:{cls.port_number}"\nprotocol = "auto"\ntls = "direct"\n'
            f'[listen.alpn]\nh2 = "forward:127.0.0.1:{cls.web_port}"\n"http/1.1" = "forward:127.0.0.1:{cls.web_port}"\n'
            f'[listen.sni]\n"www.comity.test" = "forward:localhost:{cls.web_port}"\n',
            hosts=("comity.test", "other-host.test"), users=["alice", "bob"],
            settings=FEDERATED | {"limits": {"tls_timeout": "2s", "handshake_timeout": "4s"}})
        cls.server.__enter__()
        cls.port = Port(cls.server, cls.port_number)
        cls.web = http.server.ThreadingHTTPServer(("127.0.0.1", cls.web_port), http.server.BaseHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority().issue(["comity.test", "www.comity.test"], cls.server.directory / "web.crt",
                          cls.server.directory / "web.key")
        context.load_cert_chain(cls.server.directory / "web.crt", cls.server.directory / "web.key")
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.set_ecdh_curve("prime256v1")
        cls.web.socket = context.wrap_socket(cls.web.socket, server_side=True)
        threading.Thread(target=cls.web.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.web.shutdown()
        cls.web.server_close()
        cls.server.__exit__(None, None, None)

    def routed(self, offered, to):
        return self.server.metric("comity_alpn_total", offered=offered, routed=to)

    def test_clients_log_in_and_chat_beside_those_of_the_other_ports(self):
        with self.port.login("alice") as alice, self.server.login("bob") as bob:
            assert_chat(alice, bob)
            rows = {row["peer"].split("@")[0]: row for row in self.server.ctl_json("connections")}
            self.assertEqual((rows["alice"]["method"], rows["alice"]["alpn"], rows["alice"]["scope"]),
                             ("direct_tls", "xmpp-client", "c2s"))

    def test_every_order_of_offers_leads_to_the_same_place(self):  # D13
        for count in range(1, 5):
            for offer in itertools.permutations(OFFERS, count):
                with self.subTest(offer), self.port.tls(offer) as tls:
                    first = next(each for each in OFFERS if each in offer)
                    self.assertEqual(tls.selected_alpn_protocol(), first)
                    # Who is at the other end shows by whose certificate it is, and by what it makes of a stream.
                    ours = tls.getpeercert()["subjectAltName"] == (("DNS", "comity.test"),)
                    self.assertEqual(ours, first.startswith("xmpp-"))
        for offered, to in (("xmpp_client", "c2s"), ("xmpp_server", "s2s"), ("http", "forward")):
            self.assertGreater(self.routed(offered, to), 0)

    def test_an_offer_of_nothing_known_gets_its_alert(self):  # D06
        before = self.routed("other", "refused")
        with self.assertRaisesRegex(ssl.SSLError, "(?i)no.application.protocol"):
            self.port.tls(["spdy/3"])
        self.assertEqual(self.routed("other", "refused"), before + 1)

    def test_who_is_let_in_as_a_client_speaks_as_one(self):  # D07
        for alpn, header in ((["xmpp-client"], SERVER_HEADER), (["xmpp-server"], wire.HEADER)):
            with self.subTest(alpn), self.port.tls(alpn) as tls:
                self.assertIn(b"<invalid-namespace", answer(tls, header))

    def test_clients_without_alpn_are_told_by_what_they_say(self):  # D08
        with self.port.login("alice", alpn=()) as alice, self.server.login("bob") as bob:
            assert_chat(alice, bob)
        self.assertGreater(self.routed("none", "c2s"), 0)
        with self.port.tls() as tls:
            for byte in SERVER_HEADER:  # in a record for each byte
                tls.sendall(byte.encode())
            features = answer(tls, "", b"</stream:features>")
            self.assertIn(b"from='comity.test'", features)
            self.assertIn(b"urn:xmpp:features:dialback", features)
        self.assertGreater(self.routed("none", "s2s"), 0)
        with self.port.tls() as tls:
            self.assertEqual(answer(tls, "HELO other.test\r\n"), b"")

    def test_a_certificate_is_asked_for_of_servers_alone(self):
        for alpn, asked in (("xmpp-client", False), ("xmpp-server", True), (None, False)):
            with self.subTest(alpn):
                said = subprocess.run(
                    ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port_number}", "-servername", "comity.test",
                     "-tls1_2", "-msg", *(["-alpn", alpn] if alpn else [])],
                    input=b"", capture_output=True, check=False, timeout=PATIENCE).stdout
                self.assertIn(b"ServerHelloDone", said)
                self.assertEqual(b"CertificateRequest" in said, asked)

    def test_names(self):  # D10, D11
        with self.assertRaisesRegex(ssl.SSLError, "(?i)unrecognized.name"):
            self.port.tls(["xmpp-client"], name="nobody.test")
        with self.port.tls(["xmpp-client"], name=None) as tls:
            self.assertEqual(tls.getpeercert()["subjectAltName"], (("DNS", "comity.test"),))
        with self.port.tls(["xmpp-client"], name="other-host.test") as tls:
            self.assertEqual(tls.getpeercert()["subjectAltName"], (("DNS", "other-host.test"),))
        with self.port.tls([], name="www.comity.test") as tls:  # the web server's, whatever the ALPN
            self.assertIn(("DNS", "www.comity.test"), tls.getpeercert()["subjectAltName"])

    def test_a_retried_hello_is_between_those_who_speak(self):
        for alpn in ("xmpp-client", "h2"):
            said = subprocess.run(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{self.port_number}", "-servername", "comity.test",
                 "-alpn", alpn, "-tls1_3", "-msg", "-groups", "ffdhe8192:P-256"],
                input=b"", capture_output=True, check=False, timeout=PATIENCE).stdout
            self.assertEqual(said.count(b", ClientHello"), 2)
            self.assertIn(f"ALPN protocol: {alpn}".encode(), said)

    def test_hellos_in_pieces_of_every_size(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = authority().context()
        context.set_alpn_protocols(["xmpp-client"])
        dry = context.wrap_bio(incoming, outgoing, server_hostname="comity.test")
        with self.assertRaises(ssl.SSLWantReadError):
            dry.do_handshake()
        hello = outgoing.read()
        for size in (1, 2, 5, 6, 100, len(hello) - 1):
            with self.subTest(size), self.port.plain() as plain:
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for at in range(0, len(hello), size):
                    plain.sendall(hello[at:at + size])
                plain.settimeout(PATIENCE)
                self.assertEqual(plain.recv(1), b"\x16")  # a ServerHello

    def test_stalls_and_nonsense_end_in_time(self):  # THREATS B5, B9
        with self.server.control():
            stalled = [self.port.plain() for _ in range(4)]
            stalled[1].sendall(b"\x16")
            stalled[2].sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            began = time.monotonic()
            dribbled = stalled[3]
            dribbled.settimeout(0.2)
            with contextlib.suppress(OSError):
                for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500):
                    dribbled.sendall(bytes([byte]))
                    with contextlib.suppress(TimeoutError):
                        if dribbled.recv(1) == b"":
                            break
            self.assertLess(time.monotonic() - began, 4)
            for each in stalled:
                self.assertEqual(answer(each, b""), b"")
                each.close()
            for nonsense in (b"GET / HTTP/1.1\r\n\r\n", wire.HEADER.encode(), b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
                             b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x03\x01", bytes(100)):
                with self.port.plain() as plain:
                    self.assertEqual(answer(plain, nonsense), b"", nonsense)


class OtherPeoplesClients(unittest.IsolatedAsyncioTestCase):
    """slixmpp on one port for everything, with ALPN and without."""

    async def test_slixmpp(self):
        number, = free_ports(1)
        listen = f'[[listen]]\naddress = "127.0.0.1:{number}"\nprotocol = "auto"\ntls = "direct"\n'
        with FrontServer(listen, users=["alice", "bob"]) as server:
            clients = {}
            for user, alpn in (("alice", ["xmpp-client"]), ("bob", [])):
                clients[user] = slixmpp_test.Slixmpp(server, user, "direct")
                clients[user].port = number
                if alpn:
                    clients[user].ssl_context.set_alpn_protocols(alpn)
                await clients[user].log_in()
            clients["alice"].send_message(clients["bob"].boundjid, "by ALPN")
            message = await clients["bob"].comes("message")
            self.assertEqual(message["body"], "by ALPN")
            rows = {row["peer"].split("@")[0]: row["alpn"] for row in server.ctl_json("connections")}
            self.assertEqual(rows, {"alice": "xmpp-client", "bob": ""})
            for client in clients.values():
                await client.leave()
                if client._run_out_filters is not None:
                    client._run_out_filters.cancel()
            for offered in ("xmpp_client", "none"):
                self.assertEqual(server.metric("comity_alpn_total", offered=offered, routed="c2s"), 1)


class BehindProxies(unittest.TestCase):
    """proxy_protocol: who the client is, and who may say so."""

    @classmethod
    def setUpClass(cls):
        cls.auto, cls.either = free_ports(2)
        cls.server = FrontServer(
            f'[[listen]]\naddress = "127.0.0.1:{cls.auto}"\nprotocol = "auto"\ntls = "direct"\n'
            'proxy_protocol = ["127.0.0.1"]\n'
            f'[[listen]]\naddress = "127.0.0.1:{cls.either}"\nprotocol = "c2s"\ntls = "either"\n'
            'proxy_protocol = ["127.0.0.1"]\n',
            users=["alice", "bob"], settings=FEDERATED | {"limits": {"connections_per_ip": 3, "unauthenticated_per_ip": 3}})
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    @staticmethod
    def version_2(address, command=1):
        return (b"\r\n\r\n\x00\r\nQUIT\n" + bytes([0x20 | command, 0x11, 0, 12]) + socket.inet_aton(address) +
                socket.inet_aton("192.0.2.2") + struct.pack("!HH", 51234, 443))

    def test_the_client_is_whom_the_header_names(self):
        for port in (self.auto, self.either):
            for header, address in ((b"PROXY TCP4 192.0.2.7 192.0.2.2 51234 443\r\n", "192.0.2.7:51234"),
                                    (b"PROXY TCP6 2001:db8::7 2001:db8::2 51234 443\r\n", "[2001:db8::7]:51234"),
                                    (self.version_2("192.0.2.9"), "192.0.2.9:51234")):
                with self.subTest(address, port=port), \
                        Port(self.server, port, header).tls(["xmpp-client"]) as tls:
                    answer(tls, wire.HEADER, b"</stream:features>")
                    self.assertEqual([row["address"] for row in self.server.ctl_json("connections")], [address])
                self.server.wait_log(rf"c2s\.failed.*{re.escape(address)}")
                wait_until(lambda: not self.server.ctl_json("connections"), "it has gone")

    def test_starttls_behind_a_header(self):
        with Port(self.server, self.either, self.version_2("192.0.2.9")).plain() as plain:
            self.assertIn(b"<starttls", answer(plain, wire.HEADER, b"</stream:features>"))

    def test_limits_count_the_client(self):  # L07
        ports = {name: Port(self.server, self.either, self.version_2(name)) for name in ("192.0.2.21", "192.0.2.22")}
        with contextlib.ExitStack() as held:
            for port in ports.values():
                for _ in range(3):  # L, each
                    plain = held.enter_context(port.plain())
                    self.assertIn(b"<starttls", answer(plain, wire.HEADER, b"</stream:features>"))
            with ports["192.0.2.21"].plain() as one_more:  # L+1
                self.assertEqual(answer(one_more, wire.HEADER), b"")

    def test_nobody_else_may_say_it(self):
        # 127.0.0.5 is no proxy: a header from there is as good as nonsense, and without one it is served.
        stranger = Port(self.server, self.either, self.version_2("192.0.2.9"))
        with stranger.plain(source="127.0.0.5") as plain:
            self.assertNotIn(b"features", answer(plain, wire.HEADER))
        with Port(self.server, self.either).plain(source="127.0.0.5") as plain:
            self.assertIn(b"<starttls", answer(plain, wire.HEADER, b"</stream:features>"))
        with Port(self.server, self.either).plain() as plain:  # and a proxy must
            self.assertEqual(answer(plain, wire.HEADER), b"")
        self.assertGreater(self.server.counter("comity_connection_failures_total", cause="proxy_header"), 0)

    def test_health_checks_are_no_failures(self):
        def failures():
            return sum(number for (name, _), number in self.server.metrics().items()
                       if name == "comity_connection_failures_total")
        before = failures()
        for said in (b"", self.version_2("0.0.0.0", command=0)):
            with Port(self.server, self.auto, said).plain():
                pass
        wait_until(lambda: not self.server.ctl_json("connections"), "they have gone")
        self.assertEqual(failures(), before)


class InFront(unittest.TestCase):
    """HAProxy, nginx and sslh in front of us, as deploy/examples/ has them; FRONT stands for their port."""

    @contextlib.contextmanager
    def chain(self, example, listen, replaced, start):
        front, = free_ports(1)
        with FrontServer(derived(f"{example[0]}.toml", listen), users=["alice", "bob"], settings=FEDERATED) as server:
            conf = derived("".join(example), {old: new.replace("FRONT", str(front)) for old, new in replaced.items()})
            with start(server.directory, conf, front):
                yield server, Port(server, front)

    def assert_clients_are_known(self, server, port):
        """Two chat; the one that comes from 127.0.0.9 is known by that address."""
        with port.login("alice") as alice, server.login("bob") as bob:
            assert_chat(alice, bob)
        with port.tls(["xmpp-client"], source="127.0.0.9") as tls:
            answer(tls, wire.HEADER, b"</stream:features>")
            addresses = [row["address"] for row in server.ctl_json("connections")]
            self.assertTrue(any(each.startswith("127.0.0.9:") for each in addresses), addresses)
        with port.tls(["xmpp-server"]) as tls:
            self.assertIn(b"dialback", answer(tls, SERVER_HEADER, b"</stream:features>"))

    def test_haproxy(self):
        def start(directory, conf, port):
            file = directory / "haproxy.cfg"
            file.write_text(conf, encoding="utf-8")
            return running("/usr/sbin/haproxy", "-db", "-f", file, port=port)
        ours, web = free_ports(2)
        with self.chain(("haproxy-in-front", ".cfg"), {"127.0.0.1:5443": f"127.0.0.1:{ours}"},
                        {"bind :443": "bind 127.0.0.1:FRONT", "127.0.0.1:5443": f"127.0.0.1:{ours}",
                         "127.0.0.1:8443": f"127.0.0.1:{web}"}, start) as (server, port):
            self.assert_clients_are_known(server, port)
            time.sleep(2.5)  # the time of a health check
            self.assertNotIn("front.failed", server.log())

    def test_nginx(self):
        ours, web = free_ports(2)
        with self.chain(("nginx-stream-in-front", ".conf"), {"127.0.0.1:5443": f"127.0.0.1:{ours}"},
                        {"127.0.0.1:5443": f"127.0.0.1:{ours}", "127.0.0.1:8443": f"127.0.0.1:{web}",
                         "listen 443": "listen 127.0.0.1:FRONT"}, nginx) as (server, port):
            self.assert_clients_are_known(server, port)

    def test_sslh(self):
        def start(directory, conf, port):
            file = directory / "sslh.cfg"
            file.write_text(conf, encoding="utf-8")
            return running("/usr/sbin/sslh", f"-F{file}", port=port)
        clients, servers, web = free_ports(3)
        with self.chain(("sslh-in-front", ".cfg"), {"127.0.0.1:5222": f"127.0.0.1:{clients}",
                                                    "127.0.0.1:5269": f"127.0.0.1:{servers}"},
                        {'"0.0.0.0"': '"127.0.0.1"', '"443"': '"FRONT"', '"5222"': f'"{clients}"', '"5269"': f'"{servers}"',
                         '"8443"': f'"{web}"'}, start) as (server, port):
            with port.login("alice") as alice, port.login("bob", method="starttls") as bob:
                assert_chat(alice, bob)
                methods = sorted(row["method"] for row in server.ctl_json("connections"))
                self.assertEqual(methods, ["direct_tls", "starttls"])
            with port.tls(["xmpp-server"]) as tls:
                self.assertIn(b"dialback", answer(tls, SERVER_HEADER, b"</stream:features>"))


class InFrontOfNginx(unittest.TestCase):
    """A web server behind us: nothing of its TLS is ours."""

    def test_curl_is_served_by_nginx_beside_streams(self):
        ours, web = free_ports(2)
        listen = derived("nginx-behind.toml", {"[::]:443": f"127.0.0.1:{ours}", "127.0.0.1:8443": f"127.0.0.1:{web}",
                                               "www.example.org": "www.comity.test"})
        with FrontServer(listen, users=["alice", "bob"], settings=FEDERATED) as server:
            directory = server.directory
            authority().issue(["comity.test", "www.comity.test"], directory / "web.crt", directory / "web.key")
            (directory / "html").mkdir()
            (directory / "html" / "index.html").write_text("x" * 3_000_000, encoding="ascii")
            conf = derived("nginx-behind.conf", {
                "127.0.0.1:8443": f"127.0.0.1:{web}", "/etc/comity/certs/example.org.crt": directory / "web.crt",
                "/etc/comity/certs/example.org.key": directory / "web.key", "/var/www/html": directory / "html",
                "/var/log/nginx/access.log": directory / "access.log", "example.org": "comity.test"})
            with nginx(directory, conf, web):
                def curl(*options, host="comity.test"):
                    done = subprocess.run(
                        ["curl", "-sS", "--noproxy", "*", "--cacert", str(authority().certificate), "--resolve",
                         f"{host}:{ours}:127.0.0.1", "--interface", "127.0.0.9", "-w", "\n%{http_version} %{http_code}",
                         *options, f"https://{host}:{ours}/"], capture_output=True, text=True, check=False,
                        timeout=PATIENCE)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    body, _, said = done.stdout.rpartition("\n")
                    self.assertEqual(len(body), 3_000_000)
                    return said
                self.assertEqual(curl(), "2 200")
                self.assertEqual(curl("--http1.1"), "1.1 200")
                self.assertEqual(curl("--no-alpn", host="www.comity.test"), "1.1 200")
                with Port(server, ours).login("alice") as alice, server.login("bob") as bob:
                    assert_chat(alice, bob)
                self.assertEqual(server.metric("comity_alpn_total", offered="http", routed="forward"), 2)
                self.assertEqual(server.metric("comity_alpn_total", offered="none", routed="forward"), 1)
            log = (directory / "access.log").read_text(encoding="ascii")
            self.assertEqual([line.split()[0] for line in log.splitlines()], ["127.0.0.9"] * 3)


if __name__ == "__main__":
    unittest.main()
