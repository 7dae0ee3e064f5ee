"""The daemon under attack, and what must hold when an attack is over: THREATS §1, CTL."""

import asyncio
import base64
import collections
import itertools
import json
import math
import pathlib
import re
import socket
import subprocess
import sys
import time

from harness import PASSWORD, PATIENCE, SANITIZED, Server, authority, free_ports
from hostile.cases import EACH, FRAGMENTS, WHOLE, Run, closed_in_order, counted_in, made
from hostile.peer import PEER, Peer
from xmpp_client import tls_context

# How many peers at once.
SIDE_BY_SIDE = 64
# What a batch of up to 400 cases may leave in memory, and all batches together. Sanitizers keep what was freed: so much for
# each connection.
BYTES_LEFT = 4 * 1024 * 1024
BYTES_LEFT_BY_ALL = 32 * 1024 * 1024
BYTES_SANITIZED = 1024 * 1024
MORE_MEMORY = "bytes of memory more than before"
LINES_A_CONNECTION = 5
# The pair that talks has deadlines now and then; and a domain that could not be reached, of which each run of these rows
# names one of its own, is not tried anew before its time.
TIMERS_OF_CONTROL = 4
ROWS_WITH_DOMAINS = {"F10"}
# The families that count what was refused, and the label that says why.
REFUSALS = {"comity_stream_errors_sent_total": "condition", "comity_stanza_errors_sent_total": "condition",
            "comity_auth_failures_total": "cause"}
USERS = 10


class World(Server):
    """A Server with every port, users, a server that other servers believe to be `peer.test`, and two clients that talk
    all along (control.py). Limits on how many may come are wide open: those have tests of their own."""

    def __init__(self, settings=None, users=USERS):
        self.s2s_port, self.s2s_direct_port = free_ports(2)
        own = {
            "s2s": {"enabled": True},
            "dns": {"servers": ["127.0.0.1@9"], "trust_anchors": []},  # nobody is asked of names below "test"
            "tls": {"ca_file": str(authority().certificate)},
            "log": {"level": "trace"},
            "limits": {"unauthenticated_per_ip": 100000, "connections_per_ip": 100000, "resources_per_user": 1000},
        }
        for table, values in (settings or {}).items():
            own.setdefault(table, {}).update(values)
        super().__init__(hosts=("comity.test", "other.test"), settings=own, web=True,
                         users=[f"u{n}" for n in range(users)] + ["control-a", "control-b"])
        self.turns = itertools.cycle(self.users[:users])
        self.certificate = self.directory / "certs" / "peer.crt"
        authority().issue([PEER], self.certificate, self.directory / "certs" / "peer.key")
        self.contexts = {}
        self.pair = self.baseline = None
        self.latencies = []
        self.done = self.passed = self.attackers = self.first_memory = self.domains = 0
        self.conditions = collections.Counter()

    def config_text(self):
        text = super().config_text()
        for port, tls in ((self.s2s_port, "starttls"), (self.s2s_direct_port, "direct")):
            text += f'[[listen]]\naddress = "{self.address}:{port}"\nprotocol = "s2s"\ntls = "{tls}"\n'
        return text

    def __enter__(self):
        super().__enter__()
        try:
            self.start_control()
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(self, *error):
        ended = 0
        if self.pair is not None:
            self.pair.stdin.close()
            ended = self.pair.wait(PATIENCE)
            self.pair.stdout.close()
        super().__exit__(*error)
        if ended != 0 and error[0] is None:
            raise AssertionError(f"the control pair ended with {ended}")

    # For Peer

    def next_user(self):
        return next(self.turns)

    def port_of(self, transport):
        return {"starttls": self.starttls_port, "direct": self.direct_port, "websocket": self.web_port,
                "s2s": self.s2s_port, "s2s_direct": self.s2s_direct_port}[transport]

    def context(self, transport):
        if transport not in self.contexts:
            context = tls_context(authority().certificate)
            alpn = {"direct": "xmpp-client", "websocket": "http/1.1", "s2s_direct": "xmpp-server"}.get(transport)
            if alpn:
                context.set_alpn_protocols([alpn])
            if transport.startswith("s2s"):
                context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
            self.contexts[transport] = context
        return self.contexts[transport]

    # The pair that must notice nothing

    def start_control(self):
        script = pathlib.Path(__file__).with_name("control.py")
        self.pair = subprocess.Popen(
            [sys.executable, "-B", str(script), self.address, str(self.starttls_port), str(self.direct_port), self.domain,
             str(authority().certificate), PASSWORD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        said = self.pair.stdout.readline().split()
        if said[:1] != ["ready"]:
            raise AssertionError(f"the control pair did not log in:\n{self.tail()}")
        self.victim, self.other = said[1:]

    def look_at_control(self):
        """Nothing lost, out of order, or unasked; the latencies are kept."""
        try:
            self.pair.stdin.write("\n")
            self.pair.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.pair.stdout.readline()
        if not line:
            return [f"the control pair gave up, with status {self.pair.wait()}"]
        told = json.loads(line)
        self.latencies += told["latencies"]
        return [f"the control pair was sent: {told['strays']}"] if told["strays"] else []

    def latency(self, quantile):
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, math.ceil(quantile * len(ordered)) - 1)] if ordered else 0.0

    # What is counted

    def refusals(self):
        counts = collections.Counter()
        for (family, labels), number in self.metrics().items():
            if family in REFUSALS and number:
                named = dict(labels)
                if family != "comity_stanza_errors_sent_total" or named["scope"] == "c2s":
                    counts[family, named["scope"], named[REFUSALS[family]]] += int(number)
        return counts

    def held(self):
        """What is there at present: descriptors, timers, sessions, and connections of all kinds. Descriptors first: the
        one by which the rest is asked for outlasts its answer by a moment."""
        descriptors = self.fds()
        numbers = self.metrics()
        return {
            "descriptors": descriptors,
            "timers": self.timers(),
            "sessions": sum(n for (family, _), n in numbers.items() if family == "comity_sessions"),
            "connections": sum(n for (family, _), n in numbers.items() if family == "comity_connections"),
        }

    def timers(self):
        """Deadlines that connections wait for."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(PATIENCE)
            admin.connect(str(self.directory / "admin.sock"))
            admin.sendall(b'{"command":"status"}\n')
            with admin.makefile("rb") as answer:
                return json.loads(answer.readline())["result"]["timers"]

    # Attacks

    async def perform(self, run, source=None):
        """One run; (what the peer was told, None) or (what it was told, what is wrong)."""
        peer = Peer(self, run.transport)
        self.attackers += 1
        try:
            await peer.reach(run.state, source)
            data = made(run, peer)
            if run.way == EACH:
                peer.write(data[:run.place])
                # The server has read this part when its loop has come round; nobody waits on the other side.
                await asyncio.sleep(0.005)
                peer.write(data[run.place:])
            elif run.way == WHOLE or run.way == FRAGMENTS:
                peer.write(data)
            else:
                for place in range(len(data)):
                    if peer.wire.ended:
                        break
                    peer.write(data[place:place + 1])
                    await asyncio.sleep(0)
            return await run.case.expect(peer), None
        except Exception as error:  # whatever it is, this case has not passed
            return bytes(peer.said or b""), f"{run}: {type(error).__name__}: {error}"
        finally:
            peer.close()

    async def at_every_place(self, runs):
        """The runs, those that part at every place once for each place."""
        spread = []
        for run in runs:
            if run.way != EACH:
                spread.append(run)
                continue
            probe = Peer(self, run.transport)
            probe.jid, probe.state = f"u0@{self.domain}/r", run.state
            size = len(made(run, probe))
            spread += [Run(run.case, run.transport, run.state, EACH, place) for place in range(1, size)]
        return spread

    async def attack(self, cases):
        """All runs of the cases, many side by side; then what must hold. The findings, none if all is well."""
        runs = await self.at_every_place([run for case in cases for run in case.runs()])
        # So many at once that a batch's memory says something.
        findings = []
        for start in range(0, len(runs), 400):
            findings += await self.batch(runs[start:start + 400])
        return findings

    async def batch(self, runs):
        """What the allocator keeps of what was once needed at a time, which is more where many were served at a time, is
        there for the next: then the same again takes no more. What a case leaves, it leaves each time."""
        for _ in range(3):
            findings, memory_alone = await self.once(runs)
            if not memory_alone:
                break
        return findings

    async def once(self, runs):
        """The findings, and whether all that is wrong is that there is more memory than before."""
        gate = asyncio.Semaphore(SIDE_BY_SIDE)

        async def one(run):
            async with gate:
                return await self.perform(run)
        if self.baseline is None:
            await self.warm_up()
        before, log_at = self.refusals(), self.log_path.stat().st_size
        self.attackers = 0
        memory = self.rss()
        results = await asyncio.gather(*(one(run) for run in runs))
        findings = [wrong for _, wrong in results if wrong]
        told = collections.Counter()
        for run, (said, _) in zip(runs, results):
            told += counted_in("s2s" if run.transport.startswith("s2s") else "c2s", said)
        self.done += len(runs)
        self.passed += len(runs) - len(findings)
        self.conditions += told
        what = f"{runs[0].case.row} ({runs[0]} … {runs[-1]})"
        self.domains += sum(run.case.row in ROWS_WITH_DOMAINS for run in runs)
        after = await self.settled(memory, max(BYTES_LEFT, len(runs) * BYTES_SANITIZED if SANITIZED else 0))
        findings += [f"{what}: {each}" for each in after]
        if not findings:
            rose = self.refusals()
            rose.subtract(before)
            rose = +rose
            if rose != told:
                findings.append(f"{what}: counted more {rose - told}, fewer {told - rose}")
        findings += [f"{what}: {each}" for each in [*self.look_at_control(), *self.log_findings(log_at)]]
        return findings, len(findings) == len(after) == 1 and after[0].endswith(MORE_MEMORY)

    async def warm_up(self):
        """What is made when it is first needed is there before anything is counted."""
        for transport, state in (("starttls", "resumed"), ("direct", "resumed"), ("websocket", "resumed"), ("s2s", "peer"),
                                 ("s2s_direct", "peer")):
            peers = await asyncio.gather(*(Peer(self, transport).reach(state) for _ in range(8)))  # on each loop
            for peer in peers:
                if state == "peer":  # what is answered to it is resolved, and somebody else is asked for a proof, by HTTPS too
                    peer.send(f"<message from='m@{PEER}' to='nobody@{self.domain}/x' id='w'><body>x</body></message>")
                    peer.send(f"<db:result from='stranger.test' to='{self.domain}'>00</db:result>")
                    await peer.until(b"</db:result>")
                await closed_in_order(peer)
                peer.close()
        self.baseline = self.held()
        # Those peers are gone when there is one session and connection less for each, and what stays, stays.
        deadline = time.monotonic() + PATIENCE
        while self.baseline["sessions"] > 2 and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
            self.baseline = self.held()
        self.first_memory = self.rss()

    async def settled(self, memory, bytes_left):
        """Within five seconds everything is as it was before; memory at once, or not at all."""
        began = time.monotonic()
        deadline = began + (PATIENCE if SANITIZED else 5)
        while True:
            self.assert_alive()
            held, grown = self.held(), self.rss() - memory
            more = {"timers": TIMERS_OF_CONTROL + self.domains}
            wrong = [f"{value:g} {name}, {self.baseline[name]:g} before" for name, value in held.items()
                     if value > self.baseline[name] + more.get(name, 0)]
            counted = bool(wrong)
            if grown > bytes_left:
                wrong.append(f"{grown} {MORE_MEMORY}")
            if not wrong or time.monotonic() > (deadline if counted else began + 1):
                if held["descriptors"] > self.baseline["descriptors"]:
                    wrong.append(f"descriptors {collections.Counter(self.descriptors())}")
                if wrong:
                    self.baseline = held  # what one batch leaves is not said of the next again
                return wrong
            await asyncio.sleep(0.02)

    def log_findings(self, since):
        with open(self.log_path, "rb") as log:
            log.seek(since)
            written = log.read()
        lines = sum(line.split(b" ", 2)[1:2] not in ([b"trace"], [b"debug"]) and b" admin.command " not in line
                    for line in written.splitlines())
        if lines > LINES_A_CONNECTION * self.attackers + 20:
            yield (f"{lines} lines of log for {self.attackers} connections, such as "
                   f"{collections.Counter(re.sub(rb'[0-9.:TZ-]+', b'', line)[:60] for line in written.splitlines()).most_common(4)}")
        for byte in set(written) & (set(range(0x20)) - {0x0A} | {0x7F}):
            at = written.index(byte)
            yield f"byte {byte:#x} in the log: {written[max(0, at - 60):at + 20]}"
        longest = max(map(len, written.split(b"\n")))
        if longest > 4096:
            yield f"a line of {longest} bytes in the log"
        yield from (f"a secret in the log: {secret}" for secret in self.secrets() if secret in written)

    def secrets(self):
        yield PASSWORD.encode()
        for user in self.users:
            yield base64.b64encode(f"\0{user}\0{PASSWORD}".encode())

    def closing_findings(self):
        """What must hold when all attacks are over."""
        self.assert_alive()
        self.assert_clean()
        metrics = self.metrics_text().encode()
        return [f"a secret in the metrics: {secret}" for secret in self.secrets() if secret in metrics]
