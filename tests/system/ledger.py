"""What was sent, and what became of it: sent = delivered + stored + bounced, for each id.

A message is entered when it is sent, and its fate when its recipient or its sender reads of it: delivered as it was
sent, kept for a recipient who was away (it carries the time, XEP-0203), or returned as an error. What the server has
taken, by an answer or an acknowledgement that says so, has one fate and one alone. What was on its way when a server
died may have none.
"""

import collections
import contextlib
import threading
import time

from xmpp_client import CLIENT

DELAY = "{urn:xmpp:delay}delay"


class Ledger:
    """Any thread may write in it."""

    def __init__(self, name="m"):
        self.name = name
        self.lock = threading.Lock()
        self.sent = []
        self.taken = set()
        self.fates = collections.defaultdict(list)
        self.pairs = {}  # (sender, recipient) by id
        self.got = collections.defaultdict(list)  # what each pair's recipient was sent, in the order in which it came

    def enter(self, sender="", recipient=""):
        """The id of a message that is about to be sent."""
        with self.lock:
            identifier = f"{self.name}-{len(self.sent)}"
            self.sent.append(identifier)
            self.pairs[identifier] = (sender, recipient)
            return identifier

    def send(self, client, to, kind="chat"):
        """Sends a message from that client, and returns its id."""
        identifier = self.enter(client.jid, to)
        client.message(to, identifier, kind, identifier)
        return identifier

    def take(self, identifiers):
        """The server has said that it has these."""
        with self.lock:
            self.taken.update(identifiers)

    def book(self, element):
        """What one read; True if it was a message of this ledger."""
        identifier = element.get("id")
        if element.tag != f"{{{CLIENT}}}message":
            return False
        with self.lock:
            if identifier not in self.pairs:
                return False
            if element.get("type") == "error":
                fate = "bounced"
            else:
                fate = "stored" if element.find(DELAY) is not None else "delivered"
                self.got[self.pairs[identifier]].append(identifier)
            self.fates[identifier].append(fate)
            return True

    def arrived(self, identifier):
        """It was delivered to somebody who is no client of ours."""
        with self.lock:
            self.fates[identifier].append("delivered")
            self.got[self.pairs[identifier]].append(identifier)

    def read(self, client, until):
        """Books what comes to the client until `until()` holds."""
        for element in client.pending():
            self.book(element)
        while not until():
            self.book(client.next())

    def read_all(self, clients, until, patience):
        """Books what comes to any of them until `until()` holds; TimeoutError if it does not in so many seconds."""
        deadline = time.monotonic() + patience
        for client in clients:
            for element in client.pending():
                self.book(element)
        while not until():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.sent)} sent, {dict(self.counts())}")
            for client in clients:
                with contextlib.suppress(TimeoutError):
                    while True:
                        self.book(client.next(0.01))

    def settled(self):
        """Each has its fate."""
        with self.lock:
            return len(self.fates) == len(self.sent)

    def counts(self):
        """{fate: how many}"""
        with self.lock:
            return collections.Counter(fate for fates in self.fates.values() for fate in fates)

    def faults(self):
        """What does not add up, a line each."""
        with self.lock:
            said = [f"{each} was lost" for each in self.sent if each in self.taken and not self.fates[each]]
            said += [f"{each} was {' and '.join(fates)}" for each, fates in self.fates.items() if len(fates) > 1]
            for (sender, recipient), got in self.got.items():
                numbers = [int(each.rpartition("-")[2]) for each in got]
                if numbers != sorted(numbers):
                    said.append(f"from {sender} to {recipient} came out of order: {got}")
            return said

    def assert_balanced(self, everything=True):
        """`everything`: that is sent is taken, since no server died."""
        if everything:
            self.take(self.sent)
        faults = self.faults()
        if faults:
            raise AssertionError("the ledger does not balance:\n" + "\n".join(faults[:20]) +
                                 f"\n{len(faults)} faults, {len(self.sent)} sent, {dict(self.counts())}")
