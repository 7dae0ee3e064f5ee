"""Bad networks, and peers that stall: THREATS X9, X17."""

import asyncio
import collections
import time
import unittest

from crowd_test import Member
from faults import fault
from harness import PATIENCE, Server, authority
from proxy import ANSWERS_BETWEEN, Proxy, Weather
from wire import HEADER
from xmpp_client import is_message

STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
NUMBERS = 65536


def address_of(number):
    """A loopback address for each number below NUMBERS, and number_of() back."""
    return f"127.64.{number // 256}.{number % 256}"


def number_of(address):
    high, low = address.split(".")[2:]
    return 256 * int(high) + int(low)


class Traveller(Member):
    """Logs in as alice through a proxy."""

    def __init__(self, server, number, method, port):
        super().__init__(server, number)
        self.address, self.method, self.port = address_of(number), method, port
        self.user = "alice"
        self.jid = f"alice@{server.domain}/{self.resource}"
        self.plain = None  # its connection below TLS

    async def open_plain(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.address, 0))
        self.plain = self.writer.transport

    async def connect(self, context):
        await self.open_plain()
        if self.method == "starttls":
            await self.open()
            self.send(STARTTLS)
            await self.until(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.writer.start_tls(context, server_hostname=self.server.domain, ssl_handshake_timeout=6 * PATIENCE)


async def all_of(work, at_once):
    """The outcomes of coroutine functions of which so many run at a time, exceptions among them."""
    room = asyncio.Semaphore(at_once)

    async def one(each):
        async with room:
            return await each()
    return await asyncio.gather(*map(one, work), return_exceptions=True)


class Login(unittest.TestCase):
    def test_reset_after_every_byte(self):
        """Of who logs in, and of the answers. Each login succeeds or fails, and nothing of those that failed is left.
        THREATS X9"""
        settings = {"limits": {"resources_per_user": 1000}, "log": {"level": "info"}}
        with Server(users=["alice"], settings=settings) as server, server.control():
            for method in ("starttls", "direct"):
                with self.subTest(method):
                    asyncio.run(self.every_byte(server, method))

    async def every_byte(self, server, method):
        context = authority().context()
        beyond = 100  # what differs from login to login, and what TLS says at its end
        never = NUMBERS - 1  # the presence of all others who are there by then comes to some thousand bytes

        async def login(proxy, number):
            traveller = Traveller(server, number, method, proxy.port)
            try:
                await traveller.log_in(context)
                await traveller.leave()
            finally:
                traveller.plain.abort()
        with Proxy(server.port_of(method)) as proxy:
            await login(proxy, 0)
            for whole, at, step in ((proxy.carried, "reset_after", 1),
                                    (proxy.answered, "reset_answer_after", ANSWERS_BETWEEN)):
                self.assertGreater(whole, 1000)
                self.assertLess(whole, never // 2)
                proxy.weather = lambda address, at=at: Weather(**{at: number_of(address)})
                places = [*range(1, whole + beyond, step), never]
                with fault("X9", whole // step):
                    ends = await asyncio.wait_for(
                        all_of([lambda place=place: login(proxy, place) for place in places], 16), 12 * PATIENCE)
                    kinds = collections.Counter(type(end).__name__ for end in ends)
                    print(f"{method}, {at}: {whole} bytes, {dict(kinds)}", flush=True)
                    for place, end in zip(places, ends):
                        # Closed before the mark, or reset.
                        self.assertTrue(end is None or isinstance(end, (AssertionError, OSError)), f"{place}: {end!r}")
                    self.assertIsNone(ends[-1])  # after its end, nothing is left to fail
                    server.assert_alive()

    def test_slow_and_in_pieces(self):
        """Every byte in a segment of its own, and every segment late: it takes longer, and that is all. THREATS X9"""
        with Server(users=["alice", "bob"]) as server, server.login("bob") as bob:
            for weather in (Weather(piece=1), Weather(piece=7), Weather(piece=400, delay=0.05)):
                for method in ("starttls", "direct"):
                    with self.subTest(f"{weather} {method}"), fault("X9"), Proxy(server.port_of(method), weather) as proxy:
                        client = server.client("alice", method)
                        client.port = proxy.port
                        client.login()
                        client.presence()
                        client.message(bob.jid, f"{weather}{method}")
                        bob.wait_for(is_message(f"{weather}{method}", client.jid))
                        self.assertTrue(client.close())


class Stalled(unittest.TestCase):
    tls_timeout, handshake_timeout = 4, 6
    each = 250

    def test_a_thousand_peers_that_stop_on_their_way(self):  # THREATS X17, B5, G2
        settings = {"limits": {"tls_timeout": f"{self.tls_timeout}s", "handshake_timeout": f"{self.handshake_timeout}s"},
                    "log": {"level": "info"}}
        with Server(users=["alice"], settings=settings) as server, server.control() as (a, b):
            with fault("X17", 4 * self.each):
                asyncio.run(self.stall(server, a, b))
            self.assertEqual(server.counter("comity_connections_rejected_total"), 0)

    async def stall(self, server, a, b):
        context = authority().context()
        kinds = [("direct", self.says_nothing, self.tls_timeout), ("direct", self.half_a_hello, self.tls_timeout),
                 ("starttls", self.dribbles, self.handshake_timeout), ("direct", self.no_response, self.handshake_timeout)]
        work = []
        for which, (method, kind, deadline) in enumerate(kinds):
            for number in range(self.each):
                peer = Traveller(server, which * self.each + number, method, server.port_of(method))
                work.append(lambda peer=peer, kind=kind, deadline=deadline: self.held(peer, kind, deadline, context))
        attack = asyncio.gather(*(each() for each in work))
        loop = asyncio.get_running_loop()
        while not attack.done():
            await loop.run_in_executor(None, self.chat, a, b)
            await asyncio.wait([attack], timeout=0.5)
        late = sorted(attack.result())
        print(f"freed {late[0]:.2f} to {late[-1]:.2f} s after the deadline", flush=True)
        self.assertGreater(late[0], -1)
        # The handshakes of all of them at once take their time, and that of who measures too.
        self.assertLess(late[-1], 1 + PATIENCE / 4)

    @staticmethod
    def chat(a, b):
        a.message(b.jid, "still here")
        b.wait_for(is_message("still here", a.jid))

    async def held(self, peer, kind, deadline, context):
        """How long after its deadline it was let go."""
        start = time.monotonic()
        try:
            await kind(peer, context)
            while await peer.reader.read(65536):
                pass
        except (ConnectionError, TimeoutError):
            pass
        took = time.monotonic() - start
        peer.plain.abort()
        return took - deadline

    async def says_nothing(self, peer, _):
        await peer.open_plain()

    async def half_a_hello(self, peer, _):
        await peer.open_plain()
        peer.writer.write(bytes.fromhex("16030102000100") + bytes(100))

    async def dribbles(self, peer, _):
        await peer.open_plain()
        end = asyncio.ensure_future(peer.reader.read())
        for byte in HEADER:  # a byte a second: what comes does not put the end off
            peer.send(byte)
            if (await asyncio.wait([end], timeout=1))[0]:
                return

    async def no_response(self, peer, context):
        await peer.connect(context)
        await peer.open()
        peer.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>biwsbj1hbGljZSxyPWFiYw==</auth>")
        await peer.until(b"</challenge>")


if __name__ == "__main__":
    unittest.main()
