"""What an operator does: accounts, looking, closing, reloading, draining, stopping, reading the log."""

import base64
import datetime
import fcntl
import json
import os
import pty
import re
import signal
import socket
import ssl
import struct
import subprocess
import termios
import time
import unittest

from harness import PASSWORD, PATIENCE, Server, SystemTest, authority, fingerprint, program, wait_until
from xmpp_client import AuthenticationFailed, is_message

PING = "<ping xmlns='urn:xmpp:ping'/>"
CANARY = "canary-8d1f0e7c-Pa55"


def pings(client):
    return client.iq("get", PING, client.domain).get("type") == "result"


class Accounts(SystemTest):
    options = {"hosts": ("comity.test", "other.test")}

    def accounts(self, *domain):
        return [row["jid"] for row in self.server.ctl_json("user", "list", *domain)]

    def refused(self, *arguments, status=1, stdin=""):
        done = self.server.ctl(*arguments, stdin=stdin, check=False)
        self.assertEqual((done.returncode, done.stdout), (status, ""), done.stderr)
        self.assertTrue(done.stderr)
        return done.stderr

    def test_the_life_of_an_account(self):
        ctl = self.server.ctl
        self.assertEqual(ctl("user", "add", "Eve@comity.test", "--password-stdin", stdin="first\n").stdout, "")
        self.assertEqual(self.server.ctl_json("user", "add", "eve@other.test", "--generate").keys(), {"jid", "password"})
        self.assertEqual(self.accounts("comity.test"), ["eve@comity.test"])
        self.assertEqual(self.accounts(), ["eve@comity.test", "eve@other.test"])
        self.assertEqual(ctl("user", "list", "other.test").stdout, "eve@other.test\n")
        self.assertIn("exists", self.refused("user", "add", "eve@comity.test", "--password-stdin", stdin="x\n"))

        with self.server.login("eve", password="first") as eve:
            eve.iq("set", "<query xmlns='jabber:iq:roster'><item jid='friend@comity.test'/></query>")
            # Another password ends what was logged in by the old one (THREATS C9).
            ctl("user", "passwd", "eve@comity.test", "--password-stdin", stdin="second\n")
            self.assertEqual(eve.stream_error(), "reset")
        with self.assertRaises(AuthenticationFailed):
            self.server.login("eve", password="first")
        with self.server.login("eve", password="second") as eve:
            ctl("user", "delete", "eve@comity.test")
            self.assertEqual(eve.stream_error(), "not-authorized")
        with self.assertRaises(AuthenticationFailed):
            self.server.login("eve", password="second")
        self.assertIn("no such account", self.refused("user", "delete", "eve@comity.test"))
        self.refused("user", "passwd", "eve@comity.test", "--password-stdin", stdin="x\n")
        # Whoever has the name next finds nothing of what was there.
        ctl("user", "add", "eve@comity.test", "--password-stdin", stdin="third\n")
        with self.server.login("eve", password="third") as eve:
            self.assertEqual(len(eve.iq("get", "<query xmlns='jabber:iq:roster'/>")[0]), 0)
        for each in self.accounts():
            ctl("user", "delete", each)

    def test_a_generated_password(self):
        password = self.server.ctl("user", "add", "gen@comity.test", "--generate").stdout.strip()
        self.assertGreaterEqual(len(password), 20)
        self.server.login("gen", password=password).close()
        again = self.server.ctl_json("user", "passwd", "gen@comity.test", "--generate")["password"]
        self.assertNotEqual(again, password)
        self.server.login("gen", password=again).close()
        self.server.ctl("user", "delete", "gen@comity.test")

    def test_what_is_no_account(self):
        for jid in ("comity.test", "a@comity.test/r", "a@unhosted.test", "a b@comity.test", "@comity.test", "", "a@@b"):
            with self.subTest(jid):
                self.assertIn("user@domain" if "unhosted" not in jid else "[[host]]",
                              self.refused("user", "add", jid, "--password-stdin", stdin="x\n"))
        self.refused("user", "list", "unhosted.test")
        self.refused("user", "add", "a@comity.test", "--password-stdin", stdin="\n")
        self.refused("user", "add", "a@comity.test", "--password-stdin", stdin="")
        self.refused("user", "add", "a@comity.test")  # no terminal to ask on
        self.assertEqual(self.accounts(), [])

    def test_usage(self):
        for arguments in ((), ("nonsense",), ("user",), ("user", "add"), ("user", "add", "a@comity.test", "a-password"),
                          ("user", "add", "a@comity.test", "--password=x"), ("close",), ("status", "x"),
                          ("user", "add", "a@comity.test", "--generate", "--password-stdin"),
                          ("connections", "--c2s", "--s2s"), ("--config", "x", "status")):
            with self.subTest(arguments):
                self.refused(*arguments, status=2)
        for arguments in (("--help",), ("user", "--help")):
            self.assertEqual(self.server.ctl(*arguments).stderr, "")

    def test_options_stand_before_or_behind(self):
        socket_path = str(self.server.directory / "admin.sock")
        for arguments in (("--json", "status", "--socket", socket_path), ("status", "--json", "--socket", socket_path),
                          ("--socket", socket_path, "status", "--json"),
                          ("user", "list", "--json", "--config", str(self.server.config))):
            done = subprocess.run([program("COMITYCTL"), *arguments], capture_output=True, text=True, check=True)
            json.loads(done.stdout)

    def test_a_password_is_in_no_argument(self):  # THREATS G8
        process = subprocess.Popen([program("COMITYCTL"), "--socket", str(self.server.directory / "admin.sock"), "user",
                                    "add", "secret@comity.test", "--password-stdin"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(CANARY.encode())
        process.stdin.flush()
        for file in ("cmdline", "environ"):
            with open(f"/proc/{process.pid}/{file}", "rb") as shown:
                self.assertNotIn(CANARY.encode(), shown.read())
        process.communicate(b"\n", timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        self.server.login("secret", password=CANARY).close()
        self.server.ctl("user", "delete", "secret@comity.test")
        self.assertNotIn(CANARY, self.server.log())

    def test_a_password_typed_on_a_terminal_is_not_shown(self):
        child, terminal = pty.fork()
        if child == 0:
            os.execv(program("COMITYCTL"), ["comityctl", "--socket", str(self.server.directory / "admin.sock"), "user",
                                            "add", "typed@comity.test"])
        shown = b""
        for prompt in (b"Password: ", b"Once more: "):
            while prompt not in shown:
                shown += os.read(terminal, 4096)
            # The prompt stands before the echo is off: what is typed ahead of that would be shown by the terminal.
            wait_until(lambda: not _echoes(terminal), "the terminal shows nothing of what is typed")
            os.write(terminal, CANARY.encode() + b"\n")
        _, status = os.waitpid(child, 0)
        try:
            while more := os.read(terminal, 4096):
                shown += more
        except OSError:
            pass  # its other end is closed
        os.close(terminal)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0, shown)
        self.assertNotIn(CANARY.encode(), shown)
        self.server.login("typed", password=CANARY).close()
        self.server.ctl("user", "delete", "typed@comity.test")

    @unittest.skipIf(os.geteuid() != 0, "only root can be somebody else")
    def test_orders_are_taken_from_root_and_its_own_user_only(self):
        path = self.server.directory / "admin.sock"
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        os.chmod(self.server.directory, 0o755)
        os.chmod(path, 0o666)  # past the file's mode, the daemon asks the kernel who it is
        done = subprocess.run([program("COMITYCTL"), "--socket", str(path), "status"], capture_output=True, text=True,
                              check=False, user=65534, group=65534, extra_groups=[])
        os.chmod(path, 0o600)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("only root and its own user", done.stderr)


def _echoes(terminal):
    return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)


class Alone(unittest.TestCase):
    def test_accounts_without_a_daemon(self):
        server = Server()
        self.addCleanup(server.abandon)
        self.assertEqual(server.ctl("user", "list", check=False).returncode, 1)  # by its socket it needs the daemon

        def alone(*arguments, stdin=None):
            return subprocess.run([program("COMITYCTL"), "--config", str(server.config), *arguments], input=stdin,
                                  capture_output=True, text=True, check=False)
        self.assertEqual(alone("user", "add", "alice@comity.test", "--password-stdin", stdin=PASSWORD).returncode, 0)
        self.assertEqual(alone("user", "list").stdout, "alice@comity.test\n")
        refused = alone("status")
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        with server:
            server.login("alice").close()
            self.assertEqual(alone("user", "add", "bob@comity.test", "--password-stdin", stdin=PASSWORD).returncode, 0)
            server.login("bob").close()


class Looking(SystemTest):
    options = {"users": ["alice", "bob"], "hosts": ("comity.test", "other.test")}

    def test_status(self):
        with self.server.login("alice"), self.server.login("bob", "direct"), self.server.login("bob", "direct"):
            status = self.server.ctl_json("status")
            self.assertEqual(status["sessions"], 3)
            self.assertEqual(status["hosts"], [{"host": "comity.test", "sessions": 3},
                                               {"host": "other.test", "sessions": 0}])
            self.assertEqual({(row["scope"], row["direction"], row["method"]): row["count"]
                              for row in status["connections"]},
                             {("c2s", "inbound", "starttls"): 1, ("c2s", "inbound", "direct_tls"): 2})
            self.assertGreaterEqual(status["uptime"], 0)
            self.assertRegex(status["version"], r"^0\.\d+\.\d+")
            text = self.server.ctl("status").stdout
            self.assertRegex(text, r"(?m)^sessions  3$")
            self.assertRegex(text, r"(?m)^c2s +inbound +direct_tls +2$")

    def test_connections(self):
        with self.server.login("alice") as alice, self.server.login("bob", "direct") as bob, self.server.raw():
            wait_until(lambda: len(self.server.ctl_json("connections")) == 3, "three connections are listed")
            rows = {row["peer"]: row for row in self.server.ctl_json("connections")}
            mine = rows[alice.jid]
            self.assertEqual((mine["scope"], mine["direction"], mine["method"], mine["alpn"], mine["domain"]),
                             ("c2s", "inbound", "starttls", "", "comity.test"))
            self.assertEqual((mine["tls_version"], mine["cipher"]), (alice.tls_version(), alice.socket.cipher()[0]))
            self.assertEqual(mine["authentication"], alice.used_mechanism)
            self.assertEqual(mine["address"], "127.0.0.1:%d" % alice.socket.getsockname()[1])
            self.assertTrue(mine["established"])
            self.assertGreater(mine["bytes_received"], 100)
            self.assertGreater(mine["bytes_sent"], 100)
            self.assertEqual((rows[bob.jid]["method"], rows[bob.jid]["alpn"]), ("direct_tls", "xmpp-client"))
            self.assertFalse(rows[""]["established"])
            text = self.server.ctl("connections").stdout
            for row in rows.values():  # whole, where no terminal sets a width
                for cell in (row["peer"] or "-", row["address"], row["method"], row["cipher"] or "-"):
                    self.assertIn(cell, text)
            self.assertLessEqual(max(map(len, self.on_terminal(130, "connections"))), 130)
            self.assertEqual(len(self.server.ctl_json("connections", "--c2s")), 3)
            self.assertEqual(self.server.ctl_json("connections", "--s2s"), [])
            self.assertEqual(len(self.server.ctl_json("connections", "--domain", "comity.test")), 2)
            self.assertEqual(self.server.ctl_json("connections", "--domain", "other.test"), [])

    def on_terminal(self, columns, *arguments):
        """The lines that comityctl prints on a terminal of that width."""
        ours, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        subprocess.run([program("COMITYCTL"), "--socket", str(self.server.directory / "admin.sock"), *arguments],
                       stdin=subprocess.DEVNULL, stdout=its, check=True)
        os.close(its)
        said = b""
        try:
            while more := os.read(ours, 65536):
                said += more
        except OSError:
            pass  # all is read
        os.close(ours)
        return said.decode().splitlines()

    def test_close(self):
        def clients():
            made = [self.server.login("alice", resource="a"), self.server.login("alice", "direct", resource="b"),
                    self.server.login("bob")]
            for client in made:
                self.addCleanup(client.abort)
            return made

        def number_of(client):
            return str(next(row["id"] for row in self.server.ctl_json("connections") if row["peer"] == client.jid))
        for target, ended in ((lambda made: number_of(made[2]), {2}), (lambda made: made[0].jid, {0}),
                              (lambda made: "alice@comity.test", {0, 1}), (lambda made: "COMITY.test", {0, 1, 2})):
            made = clients()
            done = self.server.ctl_json("close", target(made))
            self.assertEqual(done, {"closed": len(ended)})
            for place, client in enumerate(made):
                if place in ended:
                    self.assertEqual(client.stream_error(), "reset")
                    self.assertTrue(client.closed())
                else:
                    self.assertTrue(pings(client))
                    client.close()
            self.server.wait_metric(0, "comity_sessions")
        for nobody in ("12345678", "eve@comity.test", "other.test", "a@@b"):
            done = self.server.ctl("close", nobody, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(nobody, done.stderr)


class Following(unittest.TestCase):
    """comityctl trace and log level, and what s2s explain refuses; what it tells is for the lab to show."""

    def follow(self, server, *arguments):
        """A trace that has begun."""
        process = subprocess.Popen([program("COMITYCTL"), "--socket", str(server.directory / "admin.sock"), "trace",
                                    *arguments], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertIn("following", process.stdout.readline())
        return process

    def ended(self, process, last):
        """What it says up to the line that `last` fits; then it is interrupted."""
        said = ""
        while not re.search(last, said) and (line := process.stdout.readline()):
            said += line
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(PATIENCE), -signal.SIGINT)
        return said

    def test_traces(self):  # THREATS G7, G8
        with Server(users=["bob"], settings={"log": {"level": "info"}}) as server:
            server.add_user("alice", CANARY)
            idle = server.fds()
            domain = self.follow(server, "comity.test")
            account = self.follow(server, "alice@comity.test", "--bodies", "--json")
            with server.login("bob"):
                # Which closes first, so the domain's last event is bob's.
                with server.login("alice", password=CANARY, mechanism="PLAIN", resource="r") as alice:
                    alice.message(alice.jid, "What light?")
                    alice.wait_for(is_message("What light?"))
            lines = self.ended(domain, r"c2s\.closed .*peer=bob@")
            for each in (r" in +conn=\d+ <auth .*mechanism='PLAIN'>\[masked\]</auth>", r" out +conn=\d+ <success ",
                         r" debug c2s\.bound conn=\d+ .*peer=alice@comity\.test/r", r" info c2s\.closed ",
                         r" in +conn=\d+ <message .*<body>\[11 bytes\]</body></message>", r" out +conn=\d+ <message ",
                         r" out +conn=\d+ <proceed ", r"peer=bob@comity\.test"):
                self.assertRegex(lines, each)
            told = self.ended(account, r'"event":"c2s\.closed"')
            objects = [json.loads(line) for line in told.splitlines()]
            self.assertEqual({each.get("way") for each in objects}, {"in", "out", None})
            self.assertIn("c2s.established", {each.get("event") for each in objects})
            self.assertNotIn("bob", told)
            self.assertTrue(any("<body>What light?</body>" in each.get("xml", "") for each in objects))
            for secret in (CANARY, base64.b64encode(f"\0alice\0{CANARY}".encode()).decode()):
                self.assertNotIn(secret, lines + told)
            # Who goes away follows nobody any more, and leaves nothing behind.
            wait_until(lambda: server.fds() <= idle, "both traces are gone")
            self.assertNotIn("debug", server.log())

    def test_a_trace_ends_with_the_daemon(self):
        with Server(users=["alice"]) as server:
            process = self.follow(server, "comity.test")
            server.stop()
            self.assertEqual(process.wait(PATIENCE), 1)

    def test_level(self):
        with Server(users=["alice"], settings={"log": {"level": "info"}}) as server:
            self.assertEqual(server.ctl("log", "level").stdout, "info\n")
            self.assertEqual(server.ctl("log", "level", "debug").stdout, "debug (info in the configuration)\n")
            server.login("alice").close()
            server.wait_log(r" debug c2s\.bound ")
            server.reload()  # which goes back to the configuration
            self.assertEqual(server.ctl_json("log", "level"), {"level": "info", "configured": "info"})
            server.wait_log(r" info log\.level before=info now=debug\n")
            self.assertEqual(server.ctl("log", "level", "loud", check=False).returncode, 2)

    def test_what_cannot_be_explained(self):
        with Server(settings={"s2s": {"enabled": False}}) as server:
            for domain, why in (("comity.test", "is served here"), ("a..b", "is no domain"),
                                ("example.net", "enabled is false")):
                done = server.ctl("s2s", "explain", domain, check=False)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(why, done.stderr)
            self.assertEqual(server.ctl("s2s", "explain", "example.net", "--method", "quic", check=False).returncode, 2)


class Reloading(unittest.TestCase):
    def served(self, server, sni="comity.test"):
        """The SHA-256 of the certificate that a new connection gets."""
        context = ssl.create_default_context(cafile=str(authority().certificate))
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", server.direct_port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=sni) as tls:
                return fingerprint(tls.getpeercert(binary_form=True))

    def by_signal(self, server):
        server.reload()

    def by_command(self, server):
        self.assertEqual(server.ctl("reload").stdout, "reloaded\n")

    def test_certificates_are_swapped_under_live_connections(self):  # THREATS X11
        with Server(users=["alice", "bob"]) as server:
            with server.login("alice") as alice, server.login("bob", "direct") as bob:
                for reload in (self.by_signal, self.by_command):
                    old = self.served(server)
                    self.assertEqual(old, fingerprint(server.certificate_of("comity.test")))
                    early = server.client("alice", "direct")
                    early.connect()
                    early.open_stream()
                    server.renew("comity.test")
                    reload(server)
                    self.assertEqual(self.served(server), fingerprint(server.certificate_of("comity.test")))
                    self.assertNotEqual(self.served(server), old)
                    server.wait_metric(1, "comity_config_last_reload_successful")
                    alice.message(bob.jid, "still here")
                    bob.wait_for(is_message("still here", alice.jid))
                    # Who came under the old certificate binds by the old one, who comes now by the new.
                    early.authenticate("SCRAM-SHA-256-PLUS")
                    early.bind()
                    early.close()
                    server.login("alice", mechanism="SCRAM-SHA-256-PLUS").close()

    def test_hosts_and_limits_change_by_a_reload(self):
        with Server(users=["alice"]) as server, server.login("alice") as alice:
            server.hosts.append("new.test")
            server.renew("new.test")
            server.settings["limits"]["resources_per_user"] = 1
            server.settings["log"]["format"] = "json"
            server.write_config()
            self.by_command(server)
            self.assertEqual(self.served(server, "new.test"), fingerprint(server.certificate_of("new.test")))
            server.add_user("carol@new.test")
            with server.client("carol", domain="new.test") as carol:
                carol.login()
            with self.assertRaises(RuntimeError):
                server.login("alice")  # a second resource
            self.assertEqual(server.metric("comity_sessions", host="new.test"), 0)
            server.hosts.remove("new.test")
            server.write_config()
            self.by_command(server)
            with self.assertRaises(ssl.SSLError):
                self.served(server, "new.test")
            self.assertTrue(pings(alice))

    def test_a_bad_configuration_is_refused_whole(self):
        with Server(users=["alice"], hosts=("comity.test", "second.test")) as server, server.login("alice") as alice:
            good = server.config_text()
            served = self.served(server, "second.test")
            bad = good.replace("[limits]", "[limits]\nresources_per_user = 0\nhandshake_timout = \"1s\"")
            server.write_config(bad)
            done = server.ctl("reload", check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            faults = done.stderr.strip().splitlines()
            self.assertEqual(len(faults), 2, done.stderr)  # every fault, not the first alone
            for fault in faults:
                self.assertRegex(fault, re.escape(str(server.config)) + r":\d+:\d+: ")
            self.assertIn("handshake_timeout", done.stderr)  # the nearest key that there is
            server.reload()
            server.wait_metric(0, "comity_config_last_reload_successful")
            self.assertTrue(pings(alice))
            with server.login("alice"):  # the old limit holds
                pass
            # A key that is not the certificate's, and one that others can read.
            server.write_config(good)
            authority().issue(["x"], server.directory / "x.crt", server.key_of("second.test"))
            self.assertIn("second.test", server.ctl("reload", check=False).stderr)
            server.renew("second.test")
            os.chmod(server.key_of("second.test"), 0o644)
            self.assertIn("second.test", server.ctl("reload", check=False).stderr)
            self.assertEqual(self.served(server, "second.test"), served)
            os.chmod(server.key_of("second.test"), 0o600)
            self.by_command(server)
            self.assertNotEqual(self.served(server, "second.test"), served)
            server.wait_metric(1, "comity_config_last_reload_successful")

    def test_what_takes_a_restart_is_said(self):
        with Server() as server:
            server.settings["server"]["threads"] = 1
            server.write_config()
            self.by_command(server)
            server.wait_log(r"warn config\.restart_needed key=server\.threads")


class Ending(unittest.TestCase):
    def test_drain(self):
        with Server(users=["alice", "bob"]) as server:
            with server.login("alice") as alice, server.login("bob", "direct") as bob:
                self.assertEqual(server.http("/readyz")[0], 200)
                self.assertEqual(server.ctl("drain").stdout, "draining\n")
                self.assertEqual(server.http("/readyz")[:2], (503, "draining\n"))
                self.assertEqual(server.http("/healthz")[0], 200)
                for port in (server.starttls_port, server.direct_port):
                    with self.assertRaises(ConnectionRefusedError):
                        socket.create_connection(("127.0.0.1", port), PATIENCE)
                alice.message(bob.jid, "we finish in peace")
                bob.wait_for(is_message("we finish in peace"))
            server.wait_metric(0, "comity_sessions")

    def assert_told(self, client):
        self.assertEqual(client.stream_error(), "system-shutdown")
        self.assertTrue(client.closed())

    def test_graceful_stops(self):  # RFC 6120 §4.9.3.21, THREATS X16
        for how in (signal.SIGTERM, signal.SIGINT, "stop"):
            with self.subTest(how), Server(users=["alice", "bob"]) as server:
                clients = [server.login("alice"), server.login("bob", "direct"), server.raw(), server.raw("direct")]
                for client in clients[2:]:
                    client.open_stream()
                start = time.monotonic()
                if how == "stop":
                    self.assertEqual(server.ctl("stop").stdout, "stopping\n")
                else:
                    server.process.send_signal(how)
                for client in clients:
                    self.assert_told(client)
                server.assert_stops()
                self.assertLess(time.monotonic() - start, PATIENCE / 2)
                self.assertRegex(server.log(), r"server\.stop status=0")
                self.assertFalse((server.directory / "admin.sock").exists())

    def test_peers_that_do_not_close(self):
        with Server(users=["alice"], settings={"server": {"shutdown_timeout": "1s"}}) as server:
            client = server.login("alice", "direct")
            start = time.monotonic()
            server.stop()
            self.assertGreater(time.monotonic() - start, 0.8)
            self.assertLess(time.monotonic() - start, 1 + PATIENCE / 4)
            self.assert_told(client)

    def test_a_second_signal_stops_at_once(self):
        server = Server(users=["alice"], settings={"server": {"shutdown_timeout": "60s"}})
        self.addCleanup(server.abandon)
        server.start()
        server.add_user("alice")
        client = server.login("alice")
        self.addCleanup(client.abort)
        server.process.send_signal(signal.SIGTERM)
        client.stream_error()  # the first has been heard
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        self.assertNotEqual(server.process.wait(PATIENCE), 0)
        self.assertLess(time.monotonic() - start, 4)
        server.assert_clean()
        server.process = None

    def test_a_stop_amid_orders(self):
        # Passwords are being hashed and accounts stored while everything goes.
        for wait in (0, 0.02, 0.05, 0.1):
            with Server() as server:
                orders = [subprocess.Popen([program("COMITYCTL"), "--socket", str(server.directory / "admin.sock"), "user",
                                            "add", f"user-{number}@comity.test", "--generate"], stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE) for number in range(16)]
                for order in orders:
                    self.addCleanup(order.communicate)
                wait_until(lambda: "admin.command" in server.log(), "an order has come")
                time.sleep(wait)
                server.stop()
                made = set()
                for number, order in enumerate(orders):
                    order.communicate(timeout=PATIENCE)
                    if order.returncode == 0:
                        made.add(f"user-{number}@comity.test")
                    else:
                        self.assertEqual(order.returncode, 1)
                server.start()
                # What was said to be done is done.
                self.assertLessEqual(made, {row["jid"] for row in server.ctl_json("user", "list")})

    def assert_does_not_start(self, server, status, what):
        start = time.monotonic()
        done = subprocess.run([program("COMITYD"), "--config", str(server.config)], capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(what, done.stderr.splitlines()[-1])
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(done.stdout, "")

    def test_why_it_does_not_start(self):
        with Server() as server:
            other = Server()
            self.addCleanup(other.abandon)
            other.direct_port = server.direct_port
            other.write_config()
            self.assert_does_not_start(other, 69, str(server.direct_port))
            other = Server()
            self.addCleanup(other.abandon)
            other.settings["metrics"]["address"] = f"127.0.0.1:{server.metrics_port}"
            other.write_config()
            self.assert_does_not_start(other, 69, "metrics.address")
            other = Server()
            self.addCleanup(other.abandon)
            other.database.write_bytes(b"this is no database, whatever its name says" * 100)
            before = other.database.read_bytes()
            self.assert_does_not_start(other, 69, "comity.db")  # THREATS X20
            self.assertEqual(other.database.read_bytes(), before)
            # The same daemon twice on one database and socket.
            self.assert_does_not_start(server, 69, "")
            server.assert_alive()
            self.assertEqual(server.ctl_json("status")["sessions"], 0)

    def test_check_config(self):
        server = Server()
        self.addCleanup(server.abandon)

        def check():
            return subprocess.run([program("COMITYD"), "--config", str(server.config), "--check-config"],
                                  capture_output=True, text=True, check=False)
        done = check()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(os.listdir(server.directory / "data"), [], "nothing is opened")
        server.write_config(server.config_text().replace("[log]", "[log]\nlevle = \"info\"\nformat = \"yaml\""))
        done = check()
        self.assertEqual((done.returncode, done.stdout), (78, ""))
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertRegex(line, re.escape(str(server.config)) + r":\d+:\d+: .+; .+")
        self.assertIn("level", lines[0])
        done = subprocess.run([program("COMITYD"), "--config", str(server.config)], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 78)
        server.write_config()
        os.remove(server.certificate_of("comity.test"))
        self.assertEqual(check().returncode, 78)
        for arguments, status in ((["--nonsense"], 64), (["--version"], 0), (["--help"], 0)):
            self.assertEqual(subprocess.run([program("COMITYD"), *arguments], capture_output=True, check=False).returncode,
                             status)


class Log(unittest.TestCase):
    def events(self, server):
        """A little of everything that is worth a line."""
        server.add_user("alice", CANARY)
        with server.login("alice", password=CANARY, mechanism="PLAIN") as alice:
            alice.message(alice.jid, CANARY)
            alice.wait_for(is_message(CANARY))
        with server.login("alice", "direct", password=CANARY) as alice:
            proof = alice.used_mechanism
        for mechanism in ("PLAIN", "SCRAM-SHA-256"):
            with self.assertRaises(AuthenticationFailed):
                server.login("alice", password=CANARY + "x", mechanism=mechanism)
        client = server.raw()
        client.send(client.stream_header(to="evil\u202e\x85host.test"))
        client.receive_all()
        client.abort()
        client = server.raw("direct")
        client.open_stream()
        name = base64.b64encode("\0al\nice\x1b[2J\0x".encode()).decode()
        client.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{name}</auth>")
        client.next()
        client.close()
        server.ctl("user", "passwd", "alice@comity.test", "--password-stdin", stdin=CANARY + "2\n")
        return proof

    def secrets(self):
        for text in (CANARY, f"\0alice\0{CANARY}"):
            yield text.encode()
            for at in range(3):  # base64, wherever it begins
                yield base64.b64encode(b"x" * at + text.encode())[4:-4]

    def test_lines_of_text(self):
        with Server(settings={"log": {"level": "trace"}}) as server:
            self.events(server)
            server.stop()
            log = server.log_path.read_bytes()
            for line in log.decode().splitlines():
                self.assertRegex(line, r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (trace|debug|info|warn|error) [a-z0-9_.]+'
                                       r'( [a-z0-9_]+=([^\s"=]+|"([^"\\]|\\.)*"))*$')
            for event, fields in (("server.start", "version="), ("listener.open", "address=127.0.0.1:"),
                                  ("tls.certificate", "host=comity.test"), ("server.ready", "version="),
                                  ("c2s.accepted", "method=starttls"), ("c2s.established", "method=direct_tls peer="),
                                  ("c2s.closed", "cause=peer_closed"), ("auth.failed", "cause=auth_rejected"),
                                  ("c2s.failed", "phase=stream cause="), ("admin.command", 'command="user add"'),
                                  ("server.stop", "status=0")):
                self.assertRegex(log.decode(), rf"(?m) {re.escape(event)} .*{re.escape(fields)}")
            self.assertRegex(log.decode(), r"(?m) c2s\.established conn=\d+ address=127\.0\.0\.1:\d+ .*mechanism=PLAIN")
            for secret in self.secrets():  # THREATS G8
                self.assertNotIn(secret, log)
            self.assertNotIn(b"\x1b", log)  # THREATS G7

    def test_lines_of_json(self):
        with Server(settings={"log": {"level": "trace", "format": "json"}}) as server:
            proof = self.events(server)
            server.stop()
            log = server.log_path.read_bytes()
            records = [json.loads(line) for line in log.splitlines()]
            for record in records:
                self.assertEqual(list(record)[:3], ["time", "level", "event"])
                datetime.datetime.fromisoformat(record["time"])
            login = [record for record in records if record["event"] == "c2s.established"][1]
            self.assertEqual((login["method"], login["peer"], login["mechanism"]),
                             ("direct_tls", "alice@comity.test", proof))
            self.assertIsInstance(login["conn"], int)
            for secret in self.secrets():
                self.assertNotIn(secret, log)

    def test_nothing_secret_is_stored_or_measured(self):  # THREATS G8
        with Server() as server:
            server.add_user("alice", CANARY)
            server.login("alice", password=CANARY, mechanism="PLAIN").close()
            metrics = server.metrics_text().encode()
            server.stop()
            kept = b"".join(path.read_bytes() for path in (server.directory / "data").iterdir())
            for secret in self.secrets():
                self.assertNotIn(secret, metrics + kept)
            self.assertIn(b"alice@comity.test", kept.replace(b"\0", b""))


if __name__ == "__main__":
    unittest.main()
