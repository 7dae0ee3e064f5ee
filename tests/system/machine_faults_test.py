"""A broken machine below the server: clocks that jump, a log that nobody reads, power that fails, databases and
memory that is short. THREATS X2, X10, X13, X19."""

import collections
import contextlib
import mmap
import os
import re
import shutil
import struct
import time
import unittest
import xml.etree.ElementTree as ET

from faults import fault
from federation import Federation
from harness import PATIENCE, SANITIZED, Server, program, wait_until
from ledger import Ledger
from storage_test import PING, Load, integrity
from stream_management_test import SM, Managed
from xmpp_client import CLIENT, STREAM, AuthenticationFailed, StreamClosed, StreamError, is_message, local

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400


def set_clock(server, seconds):
    """From now on the server's wall clock is off by so many."""
    with open(server.directory / "clock", "r+b") as file:
        file.write(struct.pack("=q", seconds))  # one write: never seen in half


def with_clock(server):
    """Its wall clock can be set; its steady clock is left alone (faulty_machine.cpp)."""
    (server.directory / "clock").write_bytes(bytes(8))
    server.environment = {"LD_PRELOAD": program("COMITY_FAULTY_MACHINE"),
                          "COMITY_TEST_CLOCK": str(server.directory / "clock")}


class Clock(unittest.TestCase):
    def test_jumps(self):  # THREATS X10
        """Nobody is dropped, and what waits for time to pass waits no longer and no shorter."""
        settings = {"limits": {"tls_timeout": "3s", "handshake_timeout": "3s"}}
        server = Server(users=["alice", "bob", "away"], settings=settings)
        with_clock(server)
        with server, server.login("alice") as alice, server.login("bob", "direct") as bob:
            ledger = Ledger("clock")
            stalled = server.raw()
            stalled.open_stream()
            start = time.monotonic()
            stamps = []
            for jump in (1, -1, HOUR, -HOUR, DAY, -DAY, 10 * YEAR, 0):
                with self.subTest(jump), fault("X10"):
                    set_clock(server, jump)
                    ledger.send(alice, bob.jid)
                    ledger.send(bob, alice.jid)
                    stamps.append((jump, ledger.send(alice, "away@comity.test")))
                    ledger.read_all([alice, bob], lambda: len(ledger.fates) == 2 * len(stamps), PATIENCE)
                    alice.iq("get", PING, "away@comity.test")
                    server.login("bob").close()
            self.assertEqual(server.sessions(), 2)
            self.assertEqual(stalled.stream_error(), "connection-timeout")
            self.assertTrue(stalled.closed())
            self.assertGreater(time.monotonic() - start, 2.5)
            with server.login("away") as away:
                ledger.read(away, ledger.settled)
            ledger.assert_balanced()
            # The archive of what came while nobody was there keeps its order, whatever the clock said.
            self.assertEqual(ledger.got[alice.jid, "away@comity.test"], [identifier for _, identifier in stamps])

    def test_certificates_are_judged_anew(self):  # THREATS X10, X11
        """Ten years on, the peer's certificate is of the past: the stream that was proven by it goes on, and a new one is
        refused; once the clock is right it is not."""
        with Federation("a.test", ("b.test", "c.test"), prepare=with_clock) as world:
            a, b = world["a.test"], world["b.test"]
            b.add_user("carol@c.test")
            with a.login("alice") as alice, b.login("bob") as bob, b.login("carol", domain="c.test") as carol, \
                    fault("X10", 2), fault("X11"):
                ledger = Ledger("expiry")
                ledger.send(alice, bob.jid)
                ledger.read_all([alice, bob], ledger.settled, PATIENCE)
                set_clock(a, 10 * YEAR)
                ledger.send(alice, bob.jid)
                ledger.read_all([alice, bob], ledger.settled, PATIENCE)
                a.ctl("close", "b.test")
                refused = ledger.send(alice, bob.jid)
                ledger.read_all([alice, bob], ledger.settled, PATIENCE)
                self.assertEqual(ledger.fates[refused], ["bounced"])
                a.wait_log(r"s2s\.failed .*cause=cert_expired")
                set_clock(a, 0)
                ledger.send(alice, carol.jid)
                ledger.read_all([alice, bob, carol], ledger.settled, PATIENCE)
                ledger.assert_balanced()
                self.assertEqual(ledger.counts(), {"bounced": 1, "delivered": 3})


class BlockedLog(unittest.TestCase):
    def test_nobody_reads(self):  # THREATS X19
        """The pipe is full, and so is what the server keeps for it: nobody waits, and once the pipe is read it says how
        many lines are missing."""
        server = Server(users=["alice"])
        reading, writing = os.pipe()
        server.log_to = writing
        self.addCleanup(os.close, reading)
        self.addCleanup(os.close, writing)
        with server, server.control() as (a, b), fault("X19"):
            while server.metric("comity_log_messages_total") < 20000:  # of 80 bytes and more: beyond a MiB
                for _ in range(500):
                    server.raw().abort()  # a line for the coming, and one for the going
                a.message(b.jid, "still here")
                b.wait_for(is_message("still here", a.jid))
            server.login("alice").close()
            self.read_all(reading)

    @staticmethod
    def read_all(pipe):
        """Reads until it is said what was dropped, while the server goes on."""
        os.set_blocking(pipe, False)
        text = b""

        def dropped():
            nonlocal text
            with contextlib.suppress(BlockingIOError):
                while True:
                    text += os.read(pipe, 1 << 20)
            return re.search(rb"warn log\.dropped count=[1-9]", text)
        wait_until(dropped, "it is said what was dropped")

    def test_a_full_disk(self):  # THREATS X19
        server = Server(users=["alice"])
        server.log_to = os.open("/dev/full", os.O_WRONLY)
        with server, server.control(), fault("X19"):
            server.login("alice").close()
            self.assertGreater(server.counter("comity_log_messages_total", level="info"), 0)
        os.close(server.log_to)


class Supply:
    """The memory of a server that runs short of it when it is told to (faulty_machine.cpp)."""

    def __init__(self, server):
        path = server.directory / "memory"
        path.write_bytes(bytes(32))
        server.environment = {"LD_PRELOAD": program("COMITY_FAULTY_MACHINE"), "COMITY_TEST_MEMORY": str(path)}
        with open(path, "r+b") as file:
            self.counts = mmap.mmap(file.fileno(), 32)

    def fail_at(self, kind, number):
        """The `number`-th "object" or "piece" from now on is not to be had; 0: all are."""
        struct.pack_into("=q", self.counts, 0 if kind == "object" else 16, number)

    def given(self, kind):
        return struct.unpack_from("=q", self.counts, 8 if kind == "object" else 24)[0]

    def left(self, kind):
        return struct.unpack_from("=q", self.counts, 0 if kind == "object" else 16)[0]


class Booked(Managed):
    """A client whose session outlives its connections, and that books what it reads."""

    def __init__(self, server, user, ledger):
        super().__init__(server, user)
        self.ledger = ledger
        self.unheard = []  # what the server has not said that it has: (recipient, id)
        self.heard = 1  # its presence

    def tell(self, to):
        identifier = self.ledger.enter(self.jid, to)
        self.unheard.append((to, identifier))
        message = f"<message to='{to}' type='chat' id='{identifier}'><body>{identifier}</body></message>"
        half = len(message) // 2
        self.client.send(message[:half])  # which the server has to keep
        self.client.send(message[half:])

    def hear(self, answer):
        """<a/> or <resumed/>: what the server has is not sent again."""
        handled = int(answer.get("h"))
        del self.unheard[:handled - self.heard]
        self.heard = handled

    def settle(self):
        """Until the server has said that it has everything, and has been told what is here."""
        self.client.send(f"<r xmlns='{SM}'/>")
        while (element := self.client.next()).tag != f"{{{SM}}}a":
            self.read(element)
        self.hear(element)
        self.client.send(f"<a xmlns='{SM}' h='{self.handled}'/>")

    def read(self, element):
        if element.tag == f"{{{STREAM}}}error":
            raise StreamError(element)
        if element.tag.startswith(f"{{{CLIENT}}}"):
            self.handled += 1
            self.ledger.book(element)

    def go_on(self):
        """On another connection, where the last one ended."""
        with contextlib.suppress(StreamError, StreamClosed, OSError):
            self.settle()
            return
        resumed = self.resume()
        if local(resumed) != "resumed":
            raise AssertionError(f"{self.user} is refused to resume: {ET.tostring(resumed)}")
        self.hear(resumed)
        for to, identifier in self.unheard:
            self.client.message(to, identifier, identifier=identifier)
        self.settle()


@unittest.skipIf(SANITIZED, "a sanitizer has an allocator of its own, which gives no less")
class ShortOfMemory(unittest.TestCase):
    """THREATS X13: for each allocation of a login, and of messages to who is there and to who is not, that one fails.
    Whose bytes it was about is let go, told resource-constraint where there is a session to tell; everything else goes
    on, and nothing that was taken is lost or doubled."""

    stride = 7  # of the libraries' allocations, of which there are many, and whose failures they tell themselves
    beginning = 150

    def test_every_object(self):
        self.survives("object", 1)

    def test_pieces_for_libraries_during_a_login(self):
        server = Server(users=["alice"], settings={"log": {"level": "info"}})
        supply = Supply(server)
        with server, server.control():
            for method in ("starttls", "direct"):
                self.assertGreater(self.logins(server, supply, "piece", self.stride, method), 150)

    def test_objects_while_messages_flow_in_sessions_that_resume(self):
        """Who is told resource-constraint goes on where that ended the stream."""
        breaks = self.resumes("object")
        self.assertGreater(breaks["resource-constraint"], 0)

    def test_pieces_for_libraries_while_messages_flow(self):
        """OpenSSL and SQLite fail as they like: streams break, whose sessions resume, and changes are refused."""
        self.resumes("piece")

    def resumes(self, kind):
        """What ended the streams, and how often."""
        server = Server(users=["alice", "bob", "away"], settings={"log": {"level": "info"}})
        supply = Supply(server)
        ledger = Ledger(kind)
        with server, server.control():
            alice, bob = (Booked(server, user, ledger).log_in() for user in ("alice", "bob"))
            breaks = collections.Counter()

            def talk(number):
                try:
                    for to in (bob.jid, "away@comity.test"):
                        alice.tell(to)
                    for each in (alice, bob):
                        each.settle()
                except (StreamError, StreamClosed, AuthenticationFailed, OSError) as ended:
                    self.assertNotIsInstance(ended, TimeoutError)
                    breaks[ended.condition if isinstance(ended, StreamError) else type(ended).__name__] += 1
                    supply.fail_at(kind, 0)
                    alice.go_on()
                    bob.go_on()
                if number % 40 == 39:  # no more are kept for one who is away than that
                    supply.fail_at(kind, 0)
                    self.collect(server, ledger)
            tried = self.at_each(server, supply, kind, 1, talk)
            print(f"{kind}s while messages flow: {tried} failed, streams that broke {dict(breaks)}", flush=True)
            self.assertGreater(tried, 50)
            self.collect(server, ledger)
            for each in (alice, bob):
                each.settle()
                each.leaves()
            ledger.assert_balanced()
            self.assertGreater(ledger.counts()["stored"], 10)
            self.assertGreater(ledger.counts()["delivered"], 10)
            return breaks

    @staticmethod
    def collect(server, ledger):
        """What is kept for who is away."""
        with server.login("away") as away:
            away.iq("get", PING)
            for element in away.pending():
                ledger.book(element)

    def survives(self, kind, step):
        server = Server(users=["alice", "bob", "away"], settings={"log": {"level": "info"}})
        supply = Supply(server)
        self.ledger = Ledger(kind)
        with server, server.control(), server.login("bob") as bob:
            server.login("alice").close()  # what is made once is made
            baseline = server.fds()
            tried = self.logins(server, supply, kind, step)
            tried += self.messages(server, supply, kind, step, bob)
            print(f"{kind}: {tried} failed", flush=True)
            self.assertGreater(tried, 100)
            self.assertEqual(server.login("away", available=False).close(), True)
            wait_until(lambda: server.fds() <= baseline, lambda: f"{server.fds()} descriptors, {baseline} before")
            wait_until(lambda: server.metric("comity_sessions", host=server.domain) == 3, "all sessions but three are gone")
            self.ledger.assert_balanced(everything=False)
            self.assertGreater(self.ledger.counts()["stored"], 10)
            self.assertGreater(self.ledger.counts()["delivered"], 10)

    def at_each(self, server, supply, kind, step, work):
        """`work()` with each of its allocations failing, until there are no more of them: each of the first ones, which
        are those of a connection's beginning, and then one of `step`. How many did."""
        number, failed = 1, 0
        while True:
            with fault("X13"):
                supply.fail_at(kind, number)
                work(failed)
                reached = supply.left(kind) <= 0
                supply.fail_at(kind, 0)
                server.assert_alive()
            if not reached:
                return failed
            number, failed = number + (1 if number < self.beginning else step), failed + 1

    def logins(self, server, supply, kind, step, method="starttls"):
        outcomes = collections.Counter()

        def login(_):
            try:
                with contextlib.closing(server.login("alice", method, "short", available=False)) as alice:
                    alice.presence()  # which may come back as an error
                    alice.iq("get", PING)
                    outcomes["in"] += 1
            except (StreamError, StreamClosed, AuthenticationFailed, OSError, AssertionError) as refused:
                outcomes[type(refused).__name__] += 1
                self.assertNotIsInstance(refused, TimeoutError)
                supply.fail_at(kind, 0)
                server.login("alice", resource="short").close()
        failed = self.at_each(server, supply, kind, step, login)
        print(f"{kind}: logins by {method} {dict(outcomes)}", flush=True)
        return failed

    def messages(self, server, supply, kind, step, bob):
        ends = collections.Counter()
        alice = server.login("alice")

        def talk(number):
            nonlocal alice
            sent = [self.ledger.send(alice, bob.jid), self.ledger.send(alice, "away@comity.test")]
            try:
                alice.iq("get", PING, "away@comity.test")
                self.ledger.take(sent)
                self.ledger.read(bob, lambda: self.ledger.fates[sent[0]])
            except (StreamError, StreamClosed) as ended:
                supply.fail_at(kind, 0)
                ends[str(ended)] += 1
                self.assertIsInstance(ended, StreamError)
                self.assertEqual(ended.condition, "resource-constraint")
                alice.abort()
                alice = server.login("alice")
            if number % 40 == 39:  # no more are kept for one who is away than that
                supply.fail_at(kind, 0)
                with server.login("away") as away:
                    away.iq("get", PING)
                    for element in away.pending():
                        self.ledger.book(element)
        failed = self.at_each(server, supply, kind, step, talk)
        print(f"{kind}: streams of messages that ended {dict(ends)}", flush=True)
        with server.login("away") as away:
            away.iq("get", PING)
            for element in away.pending():
                self.ledger.book(element)
        alice.close()
        bob.iq("get", PING)
        for element in bob.pending():
            self.ledger.book(element)
        return failed


class PowerCut(unittest.TestCase):
    cuts = 8

    def test_what_was_not_synced_is_gone(self):  # THREATS X2
        """As X1, but of each file there is only what it was when it was last synced."""
        users = ["user-0", "user-1"]
        server = Server(users=[*users, *(f"away-{user}" for user in users)])
        disk = server.directory / "data" / "disk"
        disk.mkdir()
        server.environment = {"LD_PRELOAD": program("COMITY_FAULTY_MACHINE"), "COMITY_TEST_DISK": str(disk)}
        with server:
            taken = 0
            for _ in range(self.cuts):
                with fault("X2"):
                    loads = [Load(server, user) for user in users]
                    for load in loads:
                        load.start()
                    wait_until(lambda: all(load.acknowledged > 5 for load in loads), "each has had something stored")
                    server.kill()
                    for load in loads:
                        load.join(PATIENCE)
                        self.assertIsNone(load.wrong)
                    taken += self.cut(server, disk)
                    self.assertEqual(integrity(server), "ok")
                    self.all_is_synced(server, disk)  # sqlite3 has tidied up
                    server.start()
                    for load in loads:
                        load.assert_kept(self, server)
            self.assertGreater(taken, self.cuts, "no cut took anything: the test proves nothing")

    @staticmethod
    def files(server):
        return [file for file in (server.directory / "data").iterdir() if file.is_file()]

    def cut(self, server, disk):
        """What is on the disk takes the place of what was written. How many files that changed."""
        changed = 0
        for file in self.files(server):
            before = file.read_bytes()
            which = disk / str(file.stat().st_ino)
            if which.exists() and which.stat().st_size:
                shutil.copyfile(f"{which}.{which.read_text()}", file)
                changed += file.read_bytes() != before
            else:
                file.unlink()
                changed += 1
        return changed

    def all_is_synced(self, server, disk):
        for file in disk.iterdir():
            file.unlink()
        for file in self.files(server):
            which = disk / str(file.stat().st_ino)
            shutil.copyfile(file, f"{which}.0")
            which.write_text("0")


if __name__ == "__main__":
    unittest.main()
