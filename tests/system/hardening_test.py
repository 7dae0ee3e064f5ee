"""What the daemon gives up once it has begun (THREATS §3): what it has left, what is said of it, and that everything
which an operator does still works."""

import ipaddress
import os
import pathlib
import shutil
import unittest

from harness import SANITIZED, Server, assert_chat, children_of, status_of


def sockets_of(pid):
    """The inodes of a process's sockets."""
    found = set()
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{number}")
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def listening(pid):
    """What a process takes in: ("tcp", "127.0.0.1", port), ("udp", …), ("unix", path). Of UDP that is every socket with
    a port and no peer."""
    own = sockets_of(pid)
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        rows = pathlib.Path(f"/proc/{pid}/net/{name}").read_text(encoding="ascii").splitlines()[1:]
        for fields in map(str.split, rows):
            listens = fields[3] == ("0A" if name.startswith("tcp") else "07")
            if fields[9] in own and listens:
                address, port = fields[1].split(":")
                words = [int(address[at:at + 8], 16).to_bytes(4, "little") for at in range(0, len(address), 8)]
                found.add((name[:3], str(ipaddress.ip_address(b"".join(words))), int(port, 16)))
    for fields in map(str.split, pathlib.Path(f"/proc/{pid}/net/unix").read_text(encoding="utf-8").splitlines()[1:]):
        if fields[6] in own and int(fields[3], 16) & 0x10000:  # __SO_ACCEPTCON
            found.add(("unix", fields[7] if len(fields) > 7 else "", 0))
    return found


class Confined(unittest.TestCase):
    def start(self, **options):
        return self.enterContext(Server(users=("alice", "bob"), **options))

    def threads(self, pid):
        """The daemon's own. ThreadSanitizer adds one that is there before main(), and has no name of its own."""
        all_of_them = {each: status_of(f"{pid}/task/{each}") for each in os.listdir(f"/proc/{pid}/task")}
        foreign = os.environ.get("COMITY_SANITIZE") == "thread"
        return [each for number, each in all_of_them.items()
                if not foreign or number == str(pid) or each["Name"].strip() != "comityd"]

    def refused(self, server, why):
        """A reload that is: what the operator is told, and what the log has."""
        told = server.ctl("reload", check=False)
        self.assertEqual(told.returncode, 1)
        self.assertRegex(told.stderr, why)
        server.wait_log(f"error config\\.refused .*{why}")

    def test_nothing_is_left_that_it_does_not_need(self):
        server = self.start(settings={"s2s": {"enabled": True}})
        server.login("alice").close()
        threads = self.threads(server.pid)
        self.assertGreaterEqual(len(threads), 6)  # control, log, loops, store, passwords…
        for thread in threads:
            with self.subTest(thread["Name"]):
                self.assertEqual(thread["NoNewPrivs"].strip(), "1")
                for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb", *(("CapBnd",) if os.geteuid() == 0 else ())):
                    self.assertEqual(int(thread[kind], 16), 0, kind)
                if not SANITIZED:
                    self.assertEqual(thread["Seccomp"].strip(), "2")
        limits = pathlib.Path(f"/proc/{server.pid}/limits").read_text(encoding="ascii")
        self.assertRegex(limits, r"(?m)^Max core file size +0 +0 ")

    def test_it_says_what_is_in_force(self):
        server = self.start()
        said = server.ctl_json("status")["hardening"]
        applied = ["no core dumps", "no new privileges", "no capabilities"]
        if not SANITIZED:
            applied += ["hidden memory", "seccomp"]
        self.assertLessEqual(set(applied), set(said["applied"]))
        for what in said["lacking"]:
            self.assertRegex(what, r"^(Landlock \(.+\)|hidden memory, Landlock, seccomp \(not in this build\))$")
        words = ", ".join(said["applied"])
        self.assertRegex(server.ctl("status").stdout, f"(?m)^hardening {words}$")
        self.assertRegex(server.log(), f' (info|warn) server\\.hardened applied="?{words}"? lacking=')

    def test_it_can_be_switched_off(self):
        server = self.start(settings={"server": {"hardening": False}})
        self.assertEqual(server.ctl_json("status")["hardening"], {"applied": [], "lacking": []})
        self.assertRegex(server.ctl("status").stdout, r"(?m)^hardening off$")
        self.assertRegex(server.log(), r" warn server\.hardened ")
        self.assertEqual({thread["Seccomp"].strip() for thread in self.threads(server.pid)}, {status_of("self")["Seccomp"].strip()})
        server.login("alice").close()

    def test_it_listens_on_what_it_was_told_to_and_nothing_else(self):  # THREATS §3, exposure
        server = self.start(settings={"s2s": {"enabled": True}}, web=True)
        wanted = {("tcp", "127.0.0.1", port) for port in (server.starttls_port, server.direct_port, server.web_port,
                                                          server.metrics_port)}
        wanted.add(("unix", str(server.directory / "admin.sock"), 0))
        with server.login("alice") as alice, server.login("bob") as bob:
            assert_chat(alice, bob)
            self.assertEqual(listening(server.pid), wanted)
        for starter in children_of(server.pid):
            for pid in (starter, *children_of(starter)):
                self.assertEqual(listening(pid), set(), status_of(pid).get("Name"))

    def test_configuration_and_certificates_change_where_it_may_read(self):
        server = self.start()
        with server.login("alice") as alice, server.login("bob") as bob:
            certificates = server.directory / "certs"
            fresh = server.directory / "certs.new"
            shutil.copytree(certificates, fresh)
            shutil.rmtree(certificates)
            fresh.rename(certificates)  # the folder is another one, as some tools do it
            server.renew(server.domain)
            self.assertEqual(server.ctl("reload").returncode, 0)
            server.write_config(server.config_text().replace('level = "debug"', 'level = "info"'))
            os.replace(shutil.copy(server.config, server.directory / "new.toml"), server.config)
            server.reload()
            self.assertNotIn("config.refused", server.log())
            assert_chat(alice, bob)

    @unittest.skipIf(SANITIZED, "files are not judged in this build")
    def test_a_path_out_of_reach_takes_a_restart(self):
        server = self.start()
        if not any(each.startswith("Landlock") for each in server.ctl_json("status")["hardening"]["applied"]):
            self.skipTest("this kernel has no Landlock")
        elsewhere = Server()  # for its certificates
        self.addCleanup(elsewhere.abandon)
        text = server.config_text()
        server.write_config(text.replace(f'"certs/{server.domain}', f'"{elsewhere.directory}/certs/{server.domain}'))
        self.refused(server, "may not read any more .*restart")
        with server.login("alice") as alice, server.login("bob") as bob:
            assert_chat(alice, bob)
        server.stop()
        server.start()
        server.login("alice").close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
