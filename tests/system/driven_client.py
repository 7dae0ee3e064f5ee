"""XMPP clients by other people's libraries, each a program of its own that speaks this protocol of lines.

A line is a name and its fields, divided by tabs. Once it is told to connect, a client does as its library's programs do:
it logs in, asks for its roster, becomes available, and when its connection is lost it comes back by itself, until it is
told to quit. It ends with its standard input.

    connect METHOD HOST PORT JID PASSWORD CAFILE    METHOD: starttls, direct or websocket
    presence STATUS                                 available, with this text
    subscribe JID, accept JID
    remove JID                                      from the roster
    contacts                                        what is in the roster
    features JID                                    service discovery
    send JID BODY
    quit                                            closes the stream

Events come in the order in which things happened:

    online FULL-JID
    failed WHY                                      it never was online and has given up
    offline WHY                                     it was online
    presence FULL-JID KIND STATUS                   KIND: available or unavailable
    asked JID                                       for a subscription
    message JID BODY STAMP                          STAMP: when it was first sent, if it was delayed
    bounced JID BODY                                a message came back
    contact JID SUBSCRIPTION, each; then contacts
    feature NAME, each; then features
"""

import collections
import dataclasses
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

from harness import PASSWORD, PATIENCE, authority, program

HERE = pathlib.Path(__file__).parent
Event = collections.namedtuple("Event", "name fields")


@dataclasses.dataclass(frozen=True)
class Library:
    """A program of clients/ or xmppjs/, and the best mechanism that its library has for this server, by method."""

    name: str
    program: str
    mechanisms: dict
    arguments: tuple = ()
    # Whether it can log in by a name and a password with letters beyond ASCII.
    beyond_ascii: bool = True
    # Seconds that the library waits before it connects again.
    comes_back_after: float = 1

    def command(self):
        if self.program.endswith(".js"):
            path = ["node", str(HERE / self.program)]
        elif self.program.endswith(".py"):
            path = [sys.executable, "-B", str(HERE / self.program)]
        else:
            path = [str(pathlib.Path(program("CLIENTS")) / self.program)]
        return path + list(self.arguments)


LIBRARIES = (
    # It encodes what it sends in SASL by btoa(), which takes Latin-1.
    Library("xmppjs", "xmppjs/client.js",
            {"starttls": "SCRAM-SHA-1", "direct": "SCRAM-SHA-1", "websocket": "SCRAM-SHA-1"}, beyond_ascii=False),
    # This release takes tls-unique to be defined for TLS 1.3 too, which RFC 9266 §3 says that it is not.
    Library("slixmpp", "clients/slixmpp_client.py", {"starttls": "SCRAM-SHA-512-PLUS", "direct": "SCRAM-SHA-512-PLUS"},
            arguments=("TLSv1_2",)),
    Library("strophe", "strophe_client", {"starttls": "SCRAM-SHA-512", "direct": "SCRAM-SHA-512"}),
    # Over direct TLS this release opens its stream twice, once connected and once encrypted, which is not well-formed.
    Library("qxmpp", "qxmpp_client", {"starttls": "SCRAM-SHA-512"}, comes_back_after=10),
    # Its direct TLS lies below what it takes channel bindings from.
    Library("gloox", "gloox_client", {"starttls": "SCRAM-SHA-1-PLUS", "direct": "SCRAM-SHA-1"}),
)


class DrivenClient:
    """One client. Use as a context manager; leaving ends the program, and shows what it said on stderr after a failure."""

    def __init__(self, library, server, user, method="starttls", password=PASSWORD, cafile=None):
        self.library = library
        self.server = server
        self.user = user
        self.method = method
        self.password = password
        self.cafile = str(cafile or authority().certificate)
        self.jid = None
        self.seen = []
        self._events = queue.Queue()

    @property
    def bare(self):
        return self.server.jid(self.user)

    def __enter__(self):
        self._diary = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self.library.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._diary, text=True,
            encoding="utf-8", bufsize=1, env=os.environ | {"NODE_EXTRA_CA_CERTS": self.cafile})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, kind, value, traceback):
        self._process.stdin.close()
        try:
            status = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join()
        self._process.stdout.close()
        if kind is not None or status != 0:
            self._diary.seek(0)
            print(f"--- {self.library.name} as {self.user} by {self.method}; it said {self.seen}\n"
                  + self._diary.read().decode(errors="replace")[-8000:] + "\n---", flush=True)
        self._diary.close()
        if kind is None and status != 0:
            raise AssertionError(f"the client by {self.library.name} ended with {status}")

    def _read(self):
        for line in self._process.stdout:
            name, *fields = line.rstrip("\n").split("\t")
            self._events.put(Event(name, fields))
        self._events.put(None)

    def tell(self, *fields):
        assert not any(character in field for field in fields for character in "\t\n")
        self._process.stdin.write("\t".join(fields) + "\n")

    def wait_for(self, name, *fields, timeout=None):
        """The first event of this name, with these fields at its start, that nobody has waited for; None is any field."""
        def wanted(event):
            return event.name == name and len(event.fields) >= len(fields) and all(
                wish is None or wish == field for wish, field in zip(fields, event.fields))
        deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
        at = 0
        while True:
            while at < len(self.seen):
                if wanted(self.seen[at]):
                    return self.seen.pop(at)
                at += 1
            try:
                event = self._events.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"{self.library.name} never said {name} {fields}, but {self.seen}") from None
            if event is None:
                raise AssertionError(f"{self.library.name} ended before it said {name} {fields}, but {self.seen}")
            self.seen.append(event)

    def forget(self):
        """What was said so far does not count any more."""
        while not self._events.empty():
            self._events.get()
        self.seen.clear()

    # What a user does

    def connect(self, resource="", domain=None):
        port = self.server.port_of(self.method)
        jid = self.bare + (f"/{resource}" if resource else "")
        self.tell("connect", self.method, domain or "localhost", str(port), jid, self.password, self.cafile)

    def log_in(self, resource=""):
        self.connect(resource)
        return self.came_online()

    def came_online(self):
        """Its full JID, once it is in."""
        self.jid = self.wait_for("online", timeout=PATIENCE + self.library.comes_back_after).fields[0]
        assert self.jid.startswith(self.bare + "/"), self.jid
        return self.jid

    def quit(self):
        self.tell("quit")
        self.wait_for("offline")

    def contacts(self):
        self.tell("contacts")
        self.wait_for("contacts")
        found = dict(event.fields[:2] for event in self.seen if event.name == "contact")
        self.seen = [event for event in self.seen if event.name != "contact"]
        return found

    def features(self, of):
        self.tell("features", of)
        self.wait_for("features")
        found = {event.fields[0] for event in self.seen if event.name == "feature"}
        self.seen = [event for event in self.seen if event.name != "feature"]
        return found

    def sees(self, other, kind="available", status=None):
        return self.wait_for("presence", other.jid, kind, status)

    def send(self, other, body):
        self.tell("send", other.jid, body)

    def gets(self, other, body):
        """Its stamp, "" unless it was delayed."""
        return self.wait_for("message", other.jid, body).fields[2]
