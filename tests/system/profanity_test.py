"""profanity in a terminal, as its user sits before it: by STARTTLS and by direct TLS it shows the certificate, logs in,
makes friends, chats, finds its messages and comes back."""

import contextlib
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile
import unittest

from harness import PASSWORD, SystemTest, wait_until

POLICIES = {"starttls": "force", "direct": "legacy"}  # as profanity calls them
LABELS = {"starttls": "starttls", "direct": "direct_tls"}


class Terminal:
    """A tmux of its own with one profanity in it. Use as a context manager."""

    def __init__(self, server, user, method):
        self.server = server
        self.user = user
        self.method = method

    @property
    def bare(self):
        return self.server.jid(self.user)

    def tmux(self, *arguments):
        done = subprocess.run(["tmux", "-f", "/dev/null", "-S", str(self.home / "tmux"), *arguments],
                              env=os.environ | {"LANG": "C.UTF-8", "TERM": "xterm-256color", "HOME": str(self.home),
                                                "XDG_CONFIG_HOME": str(self.home / "config"),
                                                "XDG_DATA_HOME": str(self.home / "data")},
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"tmux {arguments[0]}: {done.stderr}")
        return done.stdout

    def __enter__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="comity-profanity-"))
        try:
            self.tmux("new-session", "-d", "-x", "200", "-y", "150", "profanity")
            self.shows("Type '/help' to show complete help")
            self.types("/roster hide", "/reconnect 1")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            with contextlib.suppress(AssertionError):
                print(f"--- profanity as {self.user} by {self.method}\n{self.screen()}\n---", flush=True)
        with contextlib.suppress(AssertionError):
            self.tmux("kill-server")
        shutil.rmtree(self.home, ignore_errors=True)

    def screen(self):
        return "\n".join(line.rstrip() for line in self.tmux("capture-pane", "-p").splitlines() if line.strip())

    def types(self, *lines):
        for line in lines:
            self.tmux("send-keys", "-l", line)
            self.tmux("send-keys", "Enter")

    def shows(self, text, times=1):
        wait_until(lambda: self.screen().count(text) >= times, lambda: f"{self.user} sees {text!r}:\n{self.screen()}")

    def is_asked(self, prompt, answer):
        self.shows(prompt)
        self.types(answer)

    def log_in(self):
        port = self.server.direct_port if self.method == "direct" else self.server.starttls_port
        self.types(f"/connect {self.bare} server 127.0.0.1 port {port} tls {POLICIES[self.method]}")
        self.is_asked("Enter password:", PASSWORD)
        self.is_asked("Use '/tls always' to accept this certificate permanently.", "/tls always")
        self.shows("logged in successfully")

    def rows(self):
        return [row for row in self.server.ctl_json("connections") if row["peer"].split("/")[0] == self.bare]


class Profanity(SystemTest):
    options = {"hosts": ("localhost",), "users": ("alice", "bob")}

    def test_does_what_its_users_do(self):
        with Terminal(self.server, "alice", "starttls") as alice, Terminal(self.server, "bob", "direct") as bob:
            for one in (alice, bob):
                one.log_in()
                row, = one.rows()
                self.assertEqual((LABELS[one.method], "SCRAM-SHA-512"), (row["method"], row["authentication"]))

            for asking, asked in ((alice, bob), (bob, alice)):
                asking.types(f"/sub request {asked.bare}")
                asked.shows(f"Received authorization request from {asking.bare}")
                asked.types(f"/sub allow {asking.bare}")
                asking.shows(f"++ {asked.bare} (profanity.")
            for one in (alice, bob):  # which asks for XEP-0280 when it logs in
                self.assertNotIn("error enabling message carbons", one.screen())
            alice.types("/roster")
            alice.shows(f"{bob.bare} - both")

            alice.types(f"/msg {bob.bare} Grüße <b> & 🦑")
            bob.shows(f"<< chat message: {alice.bare}")
            bob.types("/win 2")
            bob.shows("Grüße <b> & 🦑")
            bob.types("the same to you")  # in the window of the chat, so without a command
            alice.shows("the same to you")

            bob.types("/win 1", "/disconnect")
            bob.shows(f"{bob.bare} logged out successfully")
            alice.types("one while you were away", "another while you were away")
            wait_until(lambda: self.waiting() == 2, "both messages are stored")
            port = self.server.direct_port
            bob.types(f"/connect {bob.bare} server 127.0.0.1 port {port} tls legacy")
            bob.is_asked("Enter password:", PASSWORD)
            bob.shows("logged in successfully", times=2)
            bob.shows(f"<< chat message: {alice.bare}", times=3)
            bob.types("/win 2")
            bob.shows("one while you were away")
            bob.shows("another while you were away")
            bob.types("/win 1")
            alice.types("/win 1")

            for one in (alice, bob):
                self.server.ctl("close", one.bare)
                one.shows("Connection re-established.")
                row, = one.rows()
                self.assertEqual(LABELS[one.method], row["method"])
            bob.types(f"/msg {alice.bare} here again")
            alice.shows(f"<< chat message: {bob.bare}")
            alice.types("/win 2")
            alice.shows("here again")

            alice.types("/win 1", f"/blocked add {bob.bare}")  # XEP-0191
            alice.shows(f"User {bob.bare} successfully blocked.")
            bob.types("/states off", "/win 2", "is anybody there")  # no chat state that is refused before the message
            bob.shows("service-unavailable")
            alice.types(f"/blocked remove {bob.bare}")
            alice.shows(f"User {bob.bare} successfully unblocked.")
            bob.types("good evening")
            alice.types("/win 2")
            alice.shows("good evening")
            self.assertNotIn("is anybody there", alice.screen())

    def waiting(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.server.database}?mode=ro", uri=True)) as store:
            return store.execute("SELECT count(*) FROM offline").fetchone()[0]


if __name__ == "__main__":
    unittest.main(verbosity=2)
