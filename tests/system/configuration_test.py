#!/usr/bin/env python3
"""What the daemon makes of a configuration, a machine or data that it cannot work with: THREATS X20.

For every kind of it: the right status, in time; what is wrong and what would be right, in the last line of all that is
said; nothing begun: no file changed, no socket, no port, no process.
"""

import concurrent.futures
import contextlib
import hashlib
import os
import pathlib
import socket
import sqlite3
import subprocess
import time
import unittest

from faults import fault
from harness import PATIENCE, SANITIZER_REPORTS, SANITIZED, Server, openssl, program, wait_until

CORPUS = pathlib.Path(__file__).resolve().parent.parent / "config"
CONFIG, UNAVAILABLE = 78, 69  # sysexits.h
SIDE_BY_SIDE = 2


def daemon(config, *arguments):
    """One that is expected to end at once, and how long it took."""
    start = time.monotonic()
    with subprocess.Popen([program("COMITYD"), "--config", str(config), *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            out, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"it is still there: {process.communicate()}") from None
        return process, out, errors, time.monotonic() - start


def left_of(processes):
    """The processes that are left of their sessions."""
    sessions = {process.pid for process in processes}
    left = []
    for each in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(int(each)) in sessions:
                left.append(each)
    return left


def ends_with(processes, what):
    """All that they have started ends with them."""
    wait_until(lambda: not left_of(processes), lambda: f"{what} has left {left_of(processes)}")


def picture(directory):
    """Every file below, by what it is."""
    found = {}
    for path in sorted(directory.rglob("*")):
        facts = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and os.access(path, os.R_OK) else ""
        found[str(path.relative_to(directory))] = (facts.st_mode, facts.st_size, content)
    return found


class Corpus(unittest.TestCase):
    def test_each_file_is_refused_as_the_table_has_it(self):
        """tests/config/bad: the messages are those that the unit tests hold the reader to, here on the daemon's stderr."""
        files = sorted((CORPUS / "bad").glob("*.toml"))
        self.assertGreater(len(files), 100)

        def refused(file):
            process, out, errors, took = daemon(file)
            self.assertEqual((process.returncode, out), (CONFIG, ""), file.name)
            self.assertEqual(errors.replace(f"{file.parent}/", ""), file.with_suffix(".expect").read_text(), file.name)
            self.assertLess(took, 5 if not SANITIZED else PATIENCE)
            return process
        before = picture(CORPUS)
        with fault("X20", len(files)), concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as threads:
            ended = list(threads.map(refused, files))
            ends_with(ended, "one of them")
        self.assertEqual(picture(CORPUS), before)


def without_certificate(server):
    os.remove(server.certificate_of(server.domain))


def certificate_of_another_key(server):
    key = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    server.key_of(server.domain).write_bytes(key)


def key_for_all_to_read(server):
    server.key_of(server.domain).chmod(0o644)


def key_that_is_none(server):
    server.key_of(server.domain).write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def certificate_that_is_a_directory(server):
    os.remove(server.certificate_of(server.domain))
    server.certificate_of(server.domain).mkdir()


def no_authorities(server):
    server.settings["s2s"] = {"enabled": True}  # who needs them
    server.settings["tls"] = {"ca_file": "none.crt"}


def root_hints_that_are_not_there(server):
    server.settings["s2s"] = {"enabled": True}
    server.settings["dns"] = {"root_hints": "none.hints"}


def somebody_on(port):
    """Somebody listens there. Who has had it a while ago is not in the way: only who listens is."""
    somebody = socket.socket()
    somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    somebody.bind(("127.0.0.1", port))
    somebody.listen()
    return somebody


def port_that_is_taken(server):
    return somebody_on(server.direct_port)


def metrics_port_that_is_taken(server):
    return somebody_on(server.metrics_port)


def address_that_is_not_ours(server):
    server.address = "192.0.2.1"  # RFC 5737: nobody's


def socket_in_no_directory(server):
    (server.directory / "file").write_text("")
    server.settings["server"]["admin_socket"] = "file/admin.sock"


def socket_whose_place_is_taken(server):
    (server.directory / "admin.sock").write_text("a file of somebody's")


def data_directory_that_is_a_file(server):
    (server.directory / "file").write_text("")
    server.settings["server"]["data_directory"] = "file"


def database_that_is_none(server):
    server.database.write_bytes(b"this is no database, whatever its name says" * 100)
    server.database.chmod(0o600)


def database_that_is_empty(server):
    server.database.touch(0o600)


def database_cut_short(server):
    make_database(server)
    os.truncate(server.database, server.database.stat().st_size // 2)


def database_of_a_newer_server(server):
    make_database(server)
    with sqlite3.connect(server.database) as db:
        db.execute("PRAGMA user_version=1000")
    db.close()


def database_of_another_program(server):
    make_database(server)
    with sqlite3.connect(server.database) as db:
        db.execute("PRAGMA application_id=1")
    db.close()


def make_database(server):
    """As a daemon before has left it, in one file."""
    server.write_config()
    server.start()
    server.add_user("alice")
    server.stop()
    with sqlite3.connect(server.database) as db:
        db.execute("PRAGMA journal_mode=DELETE")
    db.close()


# What is done to a server that would start, the status, and what the last line says: what is wrong, and where that is not
# plain by itself, what would be right.
CASES = [
    (without_certificate, CONFIG, r"comity\.toml:\d+:\d+: host\.certificate = \".*comity\.test\.crt\" .*; "),
    (certificate_of_another_key, CONFIG, r"host\.private_key = \".*comity\.test\.key\" .*; "),
    (key_for_all_to_read, CONFIG, r"host\.private_key = \".*\" .*; .*(chmod|600|640)"),
    (key_that_is_none, CONFIG, r"host\.private_key = \".*\" .*; "),
    (certificate_that_is_a_directory, CONFIG, r"host\.certificate = \".*\" .*; "),
    (no_authorities, CONFIG, r"tls\.ca_file = \".*none\.crt\" .*; "),
    (root_hints_that_are_not_there, CONFIG, r"dns\.root_hints = \".*none\.hints\" cannot be read; name a readable file"),
    (port_that_is_taken, UNAVAILABLE, r"cannot listen on 127\.0\.0\.1:\d+: .*in use"),
    (metrics_port_that_is_taken, UNAVAILABLE, r"cannot listen on 127\.0\.0\.1:\d+ \(metrics\.address\): .*in use"),
    (address_that_is_not_ours, UNAVAILABLE, r"cannot listen on 192\.0\.2\.1:\d+: .*assign"),
    (socket_in_no_directory, UNAVAILABLE, r"cannot open the admin socket .*admin\.sock: .*directory"),
    (socket_whose_place_is_taken, UNAVAILABLE, r"admin\.sock"),
    (data_directory_that_is_a_file, UNAVAILABLE, r"(cannot make the data directory|cannot open the database) .*file"),
    (database_that_is_none, UNAVAILABLE, r"comity\.db: .*no database at all; restore it, or remove it"),
    (database_that_is_empty, UNAVAILABLE, r"comity\.db: .*"),
    (database_cut_short, UNAVAILABLE, r"comity\.db: .*damaged.*; restore it"),
    (database_of_a_newer_server, UNAVAILABLE, r"comity\.db: it is of version 1000, made by a newer server; this one knows"),
    (database_of_another_program, UNAVAILABLE, r"comity\.db: it belongs to another program; name another file"),
]


class Start(unittest.TestCase):
    def refused(self, change, status, says):
        server = Server()
        self.addCleanup(server.abandon)
        taken = change(server)
        server.write_config()
        before = picture(server.directory)
        process, out, errors, took = daemon(server.config)
        lines = errors.splitlines()
        self.assertEqual(process.returncode, status, errors)
        self.assertEqual(out, "")
        self.assertRegex(lines[-1], says)
        if status == UNAVAILABLE:
            self.assertTrue(lines[-1].startswith("comityd: "), errors)
        self.assertNotRegex(errors, SANITIZER_REPORTS)
        self.assertLess(took, 5 if not SANITIZED else PATIENCE)
        # Nothing of it is left.
        ends_with([process], "the daemon")
        after = picture(server.directory)
        made = set(after) - set(before)
        self.assertLessEqual(made, {"data/comity.db"}, "a new database is whole, and the next start takes it")
        self.assertEqual({name: after.get(name) for name in before if name != "data"},
                         {name: facts for name, facts in before.items() if name != "data"})
        if taken is not None:
            taken.close()
        for port in (server.starttls_port, server.direct_port, server.metrics_port):
            with socket.socket() as free:
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind(("127.0.0.1", port))
        if status == CONFIG:
            checked, out, said, _ = daemon(server.config, "--check-config")
            self.assertEqual((checked.returncode, out, said), (CONFIG, "", errors))

    def test_nothing_is_begun(self):
        for change, status, says in CASES:
            with self.subTest(change.__name__), fault("X20"):
                self.refused(change, status, says)

    def test_files_that_cannot_be_read(self):
        missing = pathlib.Path("/nonexistent/comity.toml")
        with fault("X20"):
            process, out, errors, _ = daemon(missing)
            self.assertEqual((process.returncode, out), (CONFIG, ""))
            self.assertRegex(errors, r"^/nonexistent/comity\.toml:.*; ")
            self.assertEqual(len(errors.splitlines()), 1)

    def test_it_starts_once_that_is_right(self):
        """A refusal is no obstacle to the next start, on what the daemon of before has left."""
        server = Server(users=["alice"])
        with server:
            server.stop()
            kept = server.database.read_bytes()
            for change in (key_for_all_to_read, no_authorities, port_that_is_taken):
                taken = change(server)
                server.write_config()
                with fault("X20"):
                    process, _, errors, _ = daemon(server.config)
                    self.assertIn(process.returncode, (CONFIG, UNAVAILABLE), errors)
                if taken is not None:
                    taken.close()
                server.settings.pop("tls", None)
                server.settings["s2s"] = {"enabled": False}
                server.key_of(server.domain).chmod(0o600)
            server.write_config()
            self.assertEqual(server.database.read_bytes(), kept)
            server.start()
            server.login("alice").close()


if __name__ == "__main__":
    unittest.main()
