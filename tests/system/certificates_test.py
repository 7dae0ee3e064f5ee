"""Certificates that are renewed under a daemon that serves, as certbot, lego and people do it."""

import asyncio
import os
import re
import shutil
import signal
import ssl
import socket
import time
import unittest

from crowd_test import Member
from faults import fault
from harness import PATIENCE, SANITIZED, Server, authority, fingerprint, openssl, wait_until
from xmpp_client import is_message

HOST = "comity.test"


class Directory(Server):
    """Its host names no certificate: certbot has put one into the directory `live`."""

    def __init__(self, **options):
        self.version = 0
        super().__init__(hosts=(HOST,), settings={"tls": {"certificate_directory": "live"}}, **options)

    def pair(self, version):
        archive = self.directory / "archive" / HOST
        return archive / f"fullchain{version}.pem", archive / f"privkey{version}.pem"

    def certificate_of(self, host):
        return self.directory / "live" / host / "fullchain.pem"

    def key_of(self, host):
        return self.directory / "live" / host / "privkey.pem"

    def renew(self, host, names=None):
        """As certbot does: files of a new number, then the links, one after the other and each at once."""
        self.version += 1
        for directory in ("archive", "live"):
            (self.directory / directory / host).mkdir(parents=True, exist_ok=True)
        files = self.pair(self.version)
        authority().issue(names or [host], *files, kind=self.key_kind)
        for file, link in zip(files, (self.certificate_of(host), self.key_of(host))):
            new = link.with_suffix(".new")
            new.symlink_to(os.path.relpath(file, link.parent))
            new.rename(link)

    def config_text(self):
        return re.sub(r"(?m)^(certificate|private_key) = .*\n", "", super().config_text())


class Renewal(unittest.TestCase):
    @staticmethod
    def served(server):
        """The SHA-256 of the certificate that a new connection gets."""
        context = ssl.create_default_context(cafile=str(authority().certificate))
        with socket.create_connection(("127.0.0.1", server.direct_port), PATIENCE) as plain:
            with context.wrap_socket(plain, server_hostname=HOST) as tls:
                return fingerprint(tls.getpeercert(binary_form=True))

    def assert_taken(self, server, certificate):
        """Within a second from now, as new connections see it and as it is measured."""
        start = time.monotonic()
        wanted = fingerprint(certificate)
        wait_until(lambda: self.served(server) == wanted, lambda: f"it is served\n{server.tail()}")
        took = time.monotonic() - start
        if not SANITIZED:
            self.assertLess(took, 1)
        print(f"taken within {took:.3f} s", flush=True)
        end = openssl("x509", "-in", certificate, "-noout", "-enddate").decode().strip().removeprefix("notAfter=")
        server.wait_metric(ssl.cert_time_to_seconds(end), "comity_certificate_not_after_timestamp_seconds", host=HOST)

    def assert_refused(self, server, why, seen):
        """One line says so, and the old one stays."""
        before = self.served(server)
        server.wait_log(rf'error tls\.refused .*{why}')
        self.assertEqual(len(re.findall(r"error tls\.refused", server.log())), seen)
        self.assertEqual(self.served(server), before)

    def test_renewed_while_two_talk(self):  # THREATS X11
        with Directory(users=["alice", "bob"]) as server, server.login("alice") as alice, \
                server.login("bob", "direct") as bob:
            said = 0

            def talk():
                nonlocal said
                for sender, recipient in ((alice, bob), (bob, alice)):
                    sender.message(recipient.jid, f"still here {said}")
                    recipient.wait_for(is_message(f"still here {said}", sender.jid))
                    said += 1

            talk()
            with self.subTest("links, by certbot"):
                server.renew(HOST)
                self.assert_taken(server, server.certificate_of(HOST))
                talk()
            with self.subTest("in place, the key a while after the certificate"):
                certificate, key = server.pair(server.version)
                authority().issue([HOST], server.directory / "new.crt", server.directory / "new.key")
                shutil.copyfile(server.directory / "new.crt", certificate)
                time.sleep(0.4)  # it has looked by then
                talk()
                shutil.copyfile(server.directory / "new.key", key)
                self.assert_taken(server, certificate)
                talk()
            with self.subTest("the directory as a whole"):
                live = server.directory / "live"
                shutil.copytree(live, server.directory / "next", symlinks=False)
                authority().issue([HOST], server.directory / "next" / HOST / "fullchain.pem",
                                  server.directory / "next" / HOST / "privkey.pem")
                live.rename(server.directory / "last")
                (server.directory / "next").rename(live)
                self.assert_taken(server, server.certificate_of(HOST))
                talk()
            self.assertNotIn("tls.refused", server.log())
            self.assertEqual(server.metric("comity_sessions", host=HOST), 2)

    def test_reloaded_while_many_log_in(self):  # THREATS X11
        """Not one of them fails, whether what is reloaded is good or not."""
        users = [f"member-{number}" for number in range(100)]
        settings = {"limits": {"connections_per_ip": 1000, "unauthenticated_per_ip": 1000, "resources_per_user": 20}}
        with Server(users=users, hosts=(HOST,), settings=settings) as server, fault("X11", self.reloads):
            asyncio.run(self.log_in_while_reloaded(server))
            for phase in ("tls", "authentication", "bind"):  # what looks at the certificate goes after TLS
                self.assertEqual(server.counter("comity_connection_failures_total", phase=phase), 0)
            self.assertEqual(len(re.findall(r"error config\.refused", server.log())), self.reloads // 5)

    reloads, at_once = 20, 16

    async def log_in_while_reloaded(self, server):
        context = authority().context()
        over, logins = False, 0

        async def come_and_go(number):
            nonlocal logins
            while not over:
                member = Member(server, number)
                await member.log_in(context)
                await member.leave()
                logins += 1

        def reload(number):
            before = self.served(server)
            if number % 5 == 0:
                shutil.copyfile(authority().key, server.key_of(HOST))
            else:
                server.renew(HOST)
            refused = server.log().count("config.refused")
            server.process.send_signal(signal.SIGHUP)
            if number % 5 == 0:
                wait_until(lambda: server.log().count("config.refused") > refused, "it is refused")
                self.assertEqual(self.served(server), before)
            else:
                wait_until(lambda: self.served(server) == fingerprint(server.certificate_of(HOST)), "it is served")

        crowd = [asyncio.create_task(come_and_go(number)) for number in range(self.at_once)]
        start = time.monotonic()
        for number in range(1, self.reloads + 1):
            await asyncio.to_thread(reload, number)
        took = time.monotonic() - start
        over = True
        await asyncio.gather(*crowd)
        self.assertGreater(logins, self.reloads)
        print(f"{logins} logins, {logins / took:.0f} a second, while {self.reloads} times reloaded", flush=True)

    def test_bad_ones_are_refused(self):
        with Directory(users=["alice"]) as server, server.login("alice", "direct") as alice:
            certificate, key = server.certificate_of(HOST), server.key_of(HOST)
            authority().issue([HOST], certificate, server.directory / "other.key")
            self.assert_refused(server, "does not belong to the certificate", 1)
            certificate.write_text("garbage\n", encoding="ascii")
            self.assert_refused(server, "holds no certificate", 2)
            os.chmod(certificate, 0o600)  # nothing new: nothing more is said
            server.renew(HOST)
            self.assert_taken(server, certificate)
            key.unlink()
            self.assert_refused(server, "has no certificate with its key", 3)
            alice.message(alice.jid, "still here")
            alice.wait_for(is_message("still here"))
            server.reload()  # which asks for all or nothing
            server.wait_log(r"error config\.refused")
            server.renew(HOST)
            self.assert_taken(server, certificate)

    def test_one_for_another_name_is_served_with_a_warning(self):
        with Directory() as server:
            self.assertNotIn("tls.certificate_name", server.log())
            server.renew(HOST, names=["provider.test"])
            server.wait_log(rf"warn tls\.certificate_name host={HOST}")


if __name__ == "__main__":
    unittest.main()
