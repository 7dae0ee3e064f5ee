"""`comityctl setup`: from nothing to a server that clients log in to; and the DNS records that it prints."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import stat
import subprocess
import tempfile
import time
import unittest

from harness import PASSWORD, PATIENCE, free_ports, program, wait_until
from xmpp_client import AuthenticationFailed, Client

DOMAIN = "chat.example.org"


class Setup(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-setup-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.config = self.directory / "etc/comity/comity.toml"

    def command(self, *arguments):
        return [program("COMITYCTL"), "setup", DOMAIN, "--prefix", str(self.directory), "--target", f"xmpp.{DOMAIN}",
                *arguments]

    def set_up(self, *arguments, stdin="", status=0):
        done = subprocess.run(self.command("--unattended", *arguments), input=stdin, capture_output=True, text=True,
                              check=False, timeout=PATIENCE)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def serve(self):
        """comityd on what was written, but for its ports; they may be taken here."""
        ports = dict(zip(("5222", "5223", "5269", "5270", "9568"), map(str, free_ports(5))))
        text = self.config.read_text(encoding="utf-8")
        text = re.sub(r'"\[::\]:(\d+)"', lambda found: f'"127.0.0.1:{ports[found[1]]}"', text)
        text += f'\n[metrics]\naddress = "127.0.0.1:{ports["9568"]}"\n'
        self.config.write_text(text, encoding="utf-8")
        log = open(self.directory / "log", "wb")
        self.addCleanup(log.close)
        daemon = subprocess.Popen([program("COMITYD"), "--config", self.config], stderr=log)
        self.addCleanup(self.end, daemon)
        wait_until(lambda: "server.ready" in (self.directory / "log").read_text() or daemon.poll() is not None,
                   lambda: (self.directory / "log").read_text())
        self.assertIsNone(daemon.poll(), (self.directory / "log").read_text())
        return ports

    def end(self, daemon):
        daemon.terminate()
        self.assertEqual(daemon.wait(PATIENCE), 0)

    def login(self, ports, user, password, method="starttls"):
        port = int(ports["5223" if method == "direct" else "5222"])
        client = Client("127.0.0.1", port, DOMAIN, user, password, method,
                        cafile=str(self.directory / "etc/comity/ca.crt"))
        try:
            client.login()
        except Exception:
            client.abort()
            raise
        return client

    def test_a_client_logs_in_to_what_was_set_up(self):
        done = self.set_up("--account", "alice", "--password-stdin", stdin=PASSWORD + "\n")
        self.assertIn(f"_xmpp-client._tcp.{DOMAIN}.  3600 IN SRV  10 0 5222 xmpp.{DOMAIN}.\n", done.stdout)
        self.assertIn(f"start it: comityd --config {self.config}\n", done.stderr)
        self.assertNotIn(PASSWORD, done.stdout + done.stderr)
        for path, mode in ((self.config, 0o644), (self.directory / "etc/comity/ca.key", 0o600),
                           (self.directory / f"etc/comity/certs/{DOMAIN}.key", 0o600),
                           (self.directory / "var/lib/comity", 0o700)):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), mode, path)
        ports = self.serve()
        for method in ("starttls", "direct"):
            with self.login(ports, "alice", PASSWORD, method):
                pass
        with self.assertRaises(AuthenticationFailed):
            self.login(ports, "alice", "wrong")

        # Again, beside the daemon that runs: what is there is left, what is wanted besides is made.
        written = self.config.read_text(encoding="utf-8")
        again = self.set_up("--account", "alice", "--password-stdin", stdin="other\n")
        self.assertIn(f"alice@{DOMAIN} is there already: left as it is\n", again.stderr)
        self.assertEqual(self.config.read_text(encoding="utf-8"), written)
        told = json.loads(self.set_up("--account", "bob", "--json").stdout)
        self.assertEqual(told["account"], f"bob@{DOMAIN}")
        with self.login(ports, "bob", told["password"]), self.login(ports, "alice", PASSWORD):
            pass

    def test_a_password_is_made_and_printed_once(self):
        done = self.set_up()
        password = re.search(f"; the password of admin@{DOMAIN}, which is not shown again: (\\S+)\n", done.stdout)[1]
        again = self.set_up()
        self.assertNotIn(password, again.stdout + again.stderr)
        with self.login(self.serve(), "admin", password):
            pass

    def test_three_questions_on_a_terminal(self):
        master, terminal = pty.openpty()
        process = subprocess.Popen(self.command(), stdin=terminal, stdout=subprocess.PIPE, stderr=terminal)
        os.close(terminal)
        shown = ""
        answers = [("trust? [Y/n] ", "\n"), ("first account: [admin] ", "carol\n"), ("one is made): ", PASSWORD + "\n"),
                   ("Once more: ", PASSWORD + "\n")]
        deadline = time.monotonic() + PATIENCE
        while answers and time.monotonic() < deadline:
            if select.select([master], [], [], 0.2)[0]:
                shown += os.read(master, 4096).decode()
            if shown.endswith(answers[0][0]):
                os.write(master, answers.pop(0)[1].encode())
                shown += "\n"
        self.assertEqual(answers, [], shown)
        stdout, _ = process.communicate(timeout=PATIENCE)
        os.close(master)
        self.assertEqual(process.returncode, 0, shown)
        self.assertNotIn(PASSWORD.encode(), stdout)
        self.assertNotIn(PASSWORD, shown)
        with self.login(self.serve(), "carol", PASSWORD):
            pass

    def test_what_is_wrong_is_said(self):
        def refused(*arguments, status=1):
            return subprocess.run([program("COMITYCTL"), "setup", *arguments, "--prefix", str(self.directory), "--unattended"],
                                  input="\n", capture_output=True, text=True, check=False, timeout=PATIENCE)
        for arguments, why in ((("localhost",), "use one like example.org"), (("192.0.2.1",), "use one like example.org"),
                               ((DOMAIN, "--certificate", "x"), "go together"),
                               ((DOMAIN, "--certificate", "/none", "--private-key", "/none"), "/none cannot be read"),
                               ((DOMAIN, "--account", "a@elsewhere.org"), f"names no account of {DOMAIN}"),
                               ((DOMAIN, "--account", "a", "--password-stdin"), "the password is empty"),
                               (("other.example.org",), "does not serve other.example.org; add a [[host]]")):
            with self.subTest(arguments):
                done = refused(*arguments)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(why, done.stderr)
        self.assertEqual(refused(DOMAIN, "--password=x").returncode, 2)

    def test_name_servers_take_the_records(self):
        """nsd reads the zone text, nsupdate the other form."""
        done = self.set_up("--no-account")
        zone = self.directory / "zone"
        zone.write_text(f"{DOMAIN}. 60 IN SOA ns.{DOMAIN}. host.{DOMAIN}. 1 60 60 60 60\n{DOMAIN}. 60 IN NS ns.{DOMAIN}.\n"
                        f"ns.{DOMAIN}. 60 IN A 192.0.2.1\nxmpp.{DOMAIN}. 60 IN A 192.0.2.1\n" + done.stdout, encoding="ascii")
        checked = subprocess.run(["nsd-checkzone", DOMAIN, zone], capture_output=True, text=True, check=False)
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

        self.serve()  # on loopback alone: every service is off
        update = subprocess.run([program("COMITYCTL"), "dns", "records", DOMAIN, "--format", "nsupdate", "--config",
                                 self.config], capture_output=True, text=True, check=True).stdout
        self.assertEqual(update.count("SRV 0 0 0 ."), 4)
        tlsa = re.search(r"^(_5222\S+) +(\d+) IN (TLSA 3 1 1 [0-9a-f]{64})$", done.stdout, re.MULTILINE)
        update += f"update add {tlsa[1]} {tlsa[2]} {tlsa[3]}\nsend\n"
        shown = subprocess.run(["nsupdate"], input=update.replace("send\n", "show\n"), capture_output=True, text=True,
                               check=False)
        self.assertEqual((shown.returncode, shown.stderr), (0, ""), shown.stdout)
        self.assertEqual(len(re.findall(r"IN\s+SRV\s+0 0 0 \.", shown.stdout)), 8)  # shown twice, with what follows


if __name__ == "__main__":
    unittest.main()
