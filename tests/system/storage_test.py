"""What was acknowledged is kept: THREATS X1, X3, X16 (and restart_test.py)."""

import contextlib
import os
import random
import subprocess
import threading
import time
import unittest

from faults import fault
from harness import PASSWORD, PATIENCE, Server, wait_until
from xmpp_client import CLIENT, StreamClosed, StreamError, error_condition

PING = "<ping xmlns='urn:xmpp:ping'/>"
ROSTER = "jabber:iq:roster"
# The clients here do not close when they are told to.
IMPATIENT = {"server": {"shutdown_timeout": "200ms"}}


def integrity(server):
    """What SQLite itself says of the database; the daemon does not run."""
    return subprocess.run(["sqlite3", str(server.database), "PRAGMA integrity_check; PRAGMA foreign_key_check;"],
                          capture_output=True, text=True, check=True).stdout.strip()


def roster_of(client):
    """{jid: name}"""
    query = client.iq("get", f"<query xmlns='{ROSTER}'/>").find(f"{{{ROSTER}}}query")
    return {item.get("jid"): item.get("name") for item in query}


class Load(threading.Thread):
    """A user who changes its roster and writes to somebody offline until the connection breaks, and remembers what the
    server has acknowledged."""

    offline_limit = 100  # messages of one account (XEP-0160)

    def __init__(self, server, user):
        super().__init__(daemon=True)
        self.user = user
        self.client = server.login(user)
        self.offline = f"away-{user}@{server.domain}"
        self.sent = 0
        self.roster = {}
        self.acknowledged = 0  # messages that are stored
        self.wrong = None

    def run(self):
        try:
            for number in range(1_000_000):
                jid = f"contact-{number % 50}@{self.client.domain}"
                name = f"name {number}"
                answer = self.client.iq("set", f"<query xmlns='{ROSTER}'><item jid='{jid}' name='{name}'/></query>")
                if answer.get("type") != "result":
                    self.wrong = error_condition(answer)
                    return
                self.roster[jid] = name
                for _ in range(3 if self.sent < self.offline_limit - 3 else 0):
                    self.client.message(self.offline, f"message {self.sent}")
                    self.sent += 1
                # What goes to one account goes one way: its answer says that the messages before it are stored.
                self.client.iq("get", PING, self.offline)
                self.acknowledged = self.sent
        except (OSError, StreamClosed, StreamError):
            pass  # the server is gone
        finally:
            self.client.abort()

    def assert_kept(self, test, server):
        """What was acknowledged is there, and nothing twice; reads, and clears it away."""
        with server.login(self.user) as client:
            kept = roster_of(client)
            for jid, name in self.roster.items():
                # What was on its way at the end may be there, or not.
                newer = int(kept[jid].removeprefix("name ")) >= int(name.removeprefix("name "))
                test.assertTrue(newer, f"{jid}: {name} was acknowledged, {kept[jid]} is kept")
            for jid in kept:
                client.iq("set", f"<query xmlns='{ROSTER}'><item jid='{jid}' subscription='remove'/></query>")
        with server.login(f"away-{self.user}") as client:
            got = []
            client.iq("get", PING)
            while len(got) < self.acknowledged:
                element = client.wait_for(lambda each: each.tag == f"{{{CLIENT}}}message")
                got.append(element.findtext(f"{{{CLIENT}}}body"))
            # In order, each once.
            test.assertEqual(got, [f"message {number}" for number in range(len(got))])


class Killed(unittest.TestCase):
    def test_nothing_acknowledged_is_lost(self):  # THREATS X1
        users = [f"user-{number}" for number in range(4)]
        chance = random.Random(1)
        with Server(users=[*users, *(f"away-{user}" for user in users)]) as server:
            for _ in range(6):
                loads = [Load(server, user) for user in users]
                for load in loads:
                    load.start()
                time.sleep(chance.uniform(0.05, 0.6))
                wait_until(lambda: all(load.acknowledged for load in loads), "each has had something stored")
                server.kill()
                for load in loads:
                    load.join(PATIENCE)
                    self.assertIsNone(load.wrong)
                self.assertEqual(integrity(server), "ok")
                start = time.monotonic()
                server.start()
                self.assertLess(time.monotonic() - start, PATIENCE / 2)
                for load in loads:
                    load.assert_kept(self, server)

    def test_accounts_that_were_made_are_there(self):  # THREATS X1
        with Server() as server:
            made, leaving, gone = set(), set(), set()  # leaving: asked to be deleted, maybe never told that it is done

            def make(part):
                for number in range(10_000):
                    user = f"made-{part}-{number}@comity.test"
                    if server.ctl("user", "add", user, "--password-stdin", stdin=PASSWORD, check=False).returncode != 0:
                        return
                    made.add(user)
                    if number % 3 == 0:
                        leaving.add(user)
                        if server.ctl("user", "delete", user, check=False).returncode != 0:
                            return
                        gone.add(user)
            threads = [threading.Thread(target=make, args=(part,)) for part in range(2)]
            for thread in threads:
                thread.start()
            wait_until(lambda: len(made) > 20, "some are made")
            server.kill()
            for thread in threads:
                thread.join(PATIENCE)
            self.assertEqual(integrity(server), "ok")
            server.start()
            there = {row["jid"] for row in server.ctl_json("user", "list")}
            self.assertLessEqual(made - leaving - there, set())
            self.assertLessEqual(gone & there, set())

    def test_a_stop_stores_what_is_on_its_way(self):  # THREATS X16
        with Server(users=["alice", "away"], settings=IMPATIENT) as server:
            alice = server.login("alice")
            for number in range(50):
                alice.message("away@comity.test", f"message {number}")
            alice.iq("get", PING, "away@comity.test")
            server.stop()
            alice.abort()
            server.start()
            with server.login("away") as away:
                for number in range(50):
                    self.assertEqual(away.wait_for(lambda each: each.tag == f"{{{CLIENT}}}message")
                                     .findtext(f"{{{CLIENT}}}body"), f"message {number}")


@unittest.skipIf(os.geteuid() != 0, "only root can mount a file system of a size")
class FullDisk(unittest.TestCase):
    size = 4 * 1024 * 1024

    def test_a_full_disk_costs_what_cannot_be_stored_and_no_more(self):  # THREATS X3
        server = Server(users=["alice", "bob", "away"])
        data = server.directory / "data"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size},mode=0700", "tmpfs", str(data)], check=True)
        self.addCleanup(server.abandon)
        self.addCleanup(subprocess.run, ["umount", "-l", str(data)], check=False)
        with server, server.login("alice") as alice, server.login("bob") as bob, fault("X3"):
            self.write(alice, 0)
            ballast = data / "ballast"
            with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * 4096)
            # Requests are refused, each once, with a condition; until then what is acknowledged is kept.
            refused, kept = 0, {}
            for number in range(1, 400):
                answer = self.put(alice, number)
                if answer.get("type") == "result":
                    kept[f"{number}@x"] = self.name(number)
                    continue
                refused += 1
                self.assertIn(error_condition(answer), ("resource-constraint", "internal-server-error"))
                if refused == 10:
                    break
            self.assertEqual(refused, 10)
            # What needs no storing goes on.
            alice.message(bob.jid, "live")
            bob.wait_for(lambda each: each.findtext(f"{{{CLIENT}}}body") == "live")
            identifier = alice.message("away@comity.test", "x" * 20000)
            bounced = alice.wait_for(lambda each: each.get("id") == identifier)
            self.assertEqual(bounced.get("type"), "error")
            server.login("alice").close()  # and so do logins
            server.wait_log("storage.failed")
            server.assert_alive()
            # Room again: writes go on, without a restart.
            ballast.unlink()
            wait_until(lambda: self.put(alice, 1000).get("type") == "result", "writing works again", timeout=PATIENCE)
            kept["1000@x"] = self.name(1000)
            there = roster_of(alice)
            self.assertEqual({jid: there.get(jid) for jid in kept}, kept)
            alice.close()
            bob.close()
            server.stop()
            self.assertEqual(integrity(server), "ok")
            server.start()
            with server.login("alice") as again:
                there = roster_of(again)
                self.assertEqual({jid: there.get(jid) for jid in kept}, kept)

    @staticmethod
    def name(number):
        return f"{number} " + "n" * 1000

    def put(self, client, number):
        return client.iq("set", f"<query xmlns='{ROSTER}'><item jid='{number}@x' name='{self.name(number)}'/></query>")

    def write(self, client, number):
        self.assertEqual(self.put(client, number).get("type"), "result")


if __name__ == "__main__":
    unittest.main()
