#!/usr/bin/env python3
"""Dialback over bad networks: a stream of either side, and a connection on which either side asks the other, is reset
after each byte of who connected and of who answers. THREATS X9, XEP-0220.

The daemon on one side, and a server made of a few lines on the other, which hosts as many domains as there are bytes, so
that what one has met says nothing of the next. Streams of either go through a proxy that resets them. Nothing of those
that were reset is left; what the daemon's user had sent has arrived or come back, unless it was lost behind a stream's
last authenticated byte, where servers have no acknowledgements; and what is tried after the resets works.
"""

import asyncio
import collections
import itertools
import re
import ssl
import threading
import unittest

from faults import fault
from federation import Federation
from harness import PATIENCE, authority, wait_until
from ledger import Ledger
from proxy import ANSWERS_BETWEEN, Proxy, Weather

US = "a.test"
SIDE_BY_SIDE = 48
TLS = "urn:ietf:params:xml:ns:xmpp-tls"

_ATTRIBUTE = re.compile(rb"""\b(from|to|id)=['"]([^'"]*)['"]""")


def attributes(tag):
    return {name.decode(): value.decode() for name, value in _ATTRIBUTE.findall(tag)}


def header(sender, to, identifier=None):
    name = f" id='{identifier}'" if identifier else ""
    return (f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
            f"xmlns:stream='http://etherx.jabber.org/streams' version='1.0' from='{sender}' to='{to}'{name}>").encode()


class Ended(Exception):
    pass


async def until(reader, *marks):
    """What comes up to and with the first of these, which are what a peer here ever waits for."""
    got = b""
    while not got.endswith(marks):
        byte = await reader.read(1)
        if not byte:
            raise Ended(got)
        got += byte
    return got


async def begin(reader, writer, sender, to, context):
    """A stream to a server, under TLS; its identifier."""
    writer.write(header(sender, to))
    await until(reader, b"</stream:features>")
    writer.write(f"<starttls xmlns='{TLS}'/>".encode())
    await until(reader, f"<proceed xmlns='{TLS}'/>".encode())
    await writer.start_tls(context, server_hostname=to)
    writer.write(header(sender, to))
    return attributes((await until(reader, b"</stream:features>")).partition(b"<stream:stream")[2])["id"]


class Other:
    """A server for all domains but ours, on a thread of its own. It believes whom dialback proves, and says of any key
    that it is its own. It reaches ours by the port `us`; what comes to it goes into `ledger`."""

    def __init__(self, certificate):
        self.connects, self.accepts = authority().context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.accepts.load_cert_chain(certificate, certificate.with_suffix(".key"))
        self.us = None
        self.ledger = Ledger("dialback")
        self.believed = collections.Counter()  # how often a domain of ours was, by the domain that it wrote to
        self.tasks = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.server = self.run(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256))
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_):
        async def end():
            self.server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        self.run(end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(12 * PATIENCE)

    async def _serve(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        try:
            await self._receive(reader, writer)
        except (Ended, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(asyncio.current_task())

    async def _receive(self, reader, writer):
        """The side that was connected to: for a stream of another server's, and for its questions."""
        opened = attributes(await self._header(reader))
        domain, identifier = opened["to"], f"stream-of-{opened['to']}-{id(writer)}"
        writer.write(header(domain, US, identifier) +
                     f"<stream:features><starttls xmlns='{TLS}'><required/></starttls></stream:features>".encode())
        await until(reader, b"starttls'/>", b"xmpp-tls'/>", b"</starttls>")
        writer.write(f"<proceed xmlns='{TLS}'/>".encode())
        await writer.start_tls(self.accepts)
        await self._header(reader)
        writer.write(header(domain, US, identifier) +
                     b"<stream:features><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>")
        while True:
            said = await until(reader, b"</db:result>", b"</db:verify>", b"</message>", b"</stream:stream>")
            if said.endswith(b"</stream:stream>"):
                writer.write(b"</stream:stream>")
                return
            if said.endswith(b"</message>"):
                self.ledger.arrived(attributes(said.partition(b"<message")[2])["id"])
                writer.write(b"</stream:stream>")
                return
            key = re.search(rb">([^<>]*)</db:\w+>$", said)[1].decode()
            asked = attributes(said[said.rindex(b"<db:"):])
            if said.endswith(b"</db:verify>"):
                writer.write(f"<db:verify from='{asked['to']}' to='{asked['from']}' id='{asked['id']}' "
                             "type='valid'/>".encode())
                continue
            verdict = await self._verdict(domain, identifier, key)
            if verdict == "valid":
                self.believed[domain] += 1
            writer.write(f"<db:result from='{domain}' to='{US}' type='{verdict}'/>".encode())

    @staticmethod
    async def _header(reader):
        await until(reader, b"<stream:stream")
        return await until(reader, b">")

    async def _verdict(self, domain, identifier, key):
        """Asked of ours; once more where the first connection for it breaks."""
        for last in (False, True):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.us)
                try:
                    await begin(reader, writer, domain, US, self.connects)
                    writer.write(f"<db:verify from='{domain}' to='{US}' id='{identifier}'>{key}</db:verify>".encode())
                    said = await until(reader, b"/>", b"</db:verify>")
                    return "valid" if b"type='valid'" in said else "invalid"
                finally:
                    writer.transport.abort()
            except (Ended, OSError):
                if last:
                    raise

    async def come(self, domain, to, identifier):
        """A stream of ours to it, proven by dialback, and a message on it. True once it is answered for."""
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.us)
            await begin(reader, writer, domain, US, self.connects)
            writer.write(f"<db:result from='{domain}' to='{US}'>{'0' * 64}</db:result>".encode())
            said = await until(reader, b"/>", b"</db:result>")
            if b"type='valid'" not in said:
                return False
            writer.write(f"<message from='carol@{domain}' to='{to}' id='{identifier}' type='chat'><body>{identifier}"
                         "</body></message></stream:stream>".encode())
            await until(reader, b"</stream:stream>")
            return True
        except (Ended, OSError):
            return False
        finally:
            if writer:
                writer.transport.abort()


class Dialback(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {"s2s": {"trust": "dialback"}, "log": {"level": "info"},
                    "limits": {"unauthenticated_per_ip": 100000, "connections_per_ip": 100000}}
        cls.world = cls.enterClassContext(Federation(US, users=("alice",), settings=settings))
        cls.server = cls.world[US]
        authority().issue(["*.test"], cls.server.directory / "other.crt", cls.server.directory / "other.key")
        cls.other = cls.enterClassContext(Other(cls.server.directory / "other.crt"))
        cls.ledger = cls.other.ledger
        cls.to_other = cls.enterClassContext(Proxy(cls.other.port))
        cls.to_us = cls.enterClassContext(Proxy(cls.server.s2s_port))
        cls.other.us = cls.to_us.port
        cls.numbers = itertools.count()
        cls.alice = cls.enterClassContext(cls.server.login("alice"))

    def setUp(self):
        self.to_other.weather = self.to_us.weather = Weather()
        self.out_and_in()  # what is made once is made
        self.descriptors = self.server.fds()

    def tearDown(self):
        """All is as before, and works."""
        self.to_other.weather = self.to_us.weather = Weather()
        self.out_and_in()
        wait_until(lambda: self.server.counter("comity_s2s_pending_stanzas") == 0, "nothing waits")
        wait_until(lambda: self.server.counter("comity_connections", scope="s2s") == 0, "no stream is left")
        wait_until(lambda: self.server.fds() <= self.descriptors,
                   lambda: f"{self.descriptors} descriptors, not {self.server.descriptors()}")
        self.server.assert_alive()
        self.ledger.assert_balanced(everything=False)

    def domain(self):
        domain = f"d{next(self.numbers)}.test"
        self.world.names.serve(domain, self.to_other.port)
        return domain

    def out_and_in(self):
        domain = self.domain()
        sent = self.ledger.send(self.alice, f"carol@{domain}")
        self.await_fates([sent])
        self.assertEqual(self.ledger.fates[sent], ["delivered"])
        self.assertEqual(self.comes(), 1)

    def await_fates(self, identifiers, excused=lambda identifier: False):
        self.ledger.read_all([self.alice], lambda: all(self.ledger.fates[each] or excused(each) for each in identifiers),
                             3 * PATIENCE)

    def comes(self, count=1):
        """Messages of so many domains to alice. What was answered for has arrived; how many were."""
        async def all_of_them():
            return await asyncio.gather(*(self.other.come(domain, self.alice.jid, each) for each, domain in sent.items()))
        sent = {}
        for _ in range(count):
            domain = self.domain()
            sent[self.ledger.enter(f"carol@{domain}", self.alice.jid)] = domain
        came = [each for each, done in zip(sent, self.other.run(all_of_them())) if done]
        self.ledger.take(came)
        self.await_fates(came)
        return len(came)

    def at_every_byte(self, proxy, work):
        """`work(count)` so often that each byte that passes that proxy, of who connects and of who answers
        (ANSWERS_BETWEEN), was once the last one."""
        asked, answered = proxy.carried, proxy.answered
        work(1)
        asked, answered = proxy.carried - asked, proxy.answered - answered
        print(f"{self.id().rpartition('.')[2]}: {asked} and {answered} bytes", flush=True)
        self.reset(proxy, work, range(1, asked + 1), "reset_after")
        self.reset(proxy, work, range(1, answered + 1, ANSWERS_BETWEEN), "reset_answer_after")

    def reset(self, proxy, work, places, at):
        self.assertGreater(len(places), 100)
        place = itertools.count(places.start, places.step)
        proxy.weather = lambda _: Weather(**{at: next(place)})
        with fault("X9", len(places)):
            for done in range(0, len(places), SIDE_BY_SIDE):
                work(min(SIDE_BY_SIDE, len(places) - done))
        self.assertGreater(next(place), places[-1])

    def sends(self, count):
        """Messages of alice's to so many domains. They arrive or come back; but for those that were sent to who had
        proven us, when nobody says any more what arrived."""
        to = {}
        for _ in range(count):
            domain = self.domain()
            to[self.ledger.send(self.alice, f"carol@{domain}")] = domain
        self.await_fates(to, lambda each: self.other.believed[to[each]])
        self.ledger.take(each for each in to if not self.other.believed[to[each]])

    def test_our_stream(self):
        self.at_every_byte(self.to_other, self.sends)

    def test_their_stream(self):
        self.at_every_byte(self.to_us, self.comes)

    def test_what_we_ask(self):
        self.at_every_byte(self.to_other, self.comes)

    def test_what_they_ask(self):
        self.at_every_byte(self.to_us, self.sends)


if __name__ == "__main__":
    unittest.main()
