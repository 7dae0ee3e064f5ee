"""The servers of one comparison, and the generator's runs on them.

All of them share one processor core, and the generator has the other; while one is under load the others have nothing to
do. A kind has one server for most loads, a second one where a load goes between two, and another on both cores.
"""

import contextlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import subjects
from certificates import Authorities

RESOLVER = "127.0.0.53"
OTHER_ACCOUNTS = 250  # of servers that only messages go to
FRESH_NUMBER = 40     # that gives an address which no other server has
CORES = ("0", "1")
SETTLE = 2            # seconds, after which a server that has started has nothing left to do
FILES = 65_536
FEWEST_FILES = 19_500

KINDS = {
    "comity": (subjects.Comity, {}),
    "pa+": (subjects.Prosody, {"gc": {"mode": "generational"}, "network_settings": {"nagle": False}}),
    "pa": (subjects.Prosody, {}),
    "ea": (subjects.Ejabberd, {}),
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def _name(kind, suffix):
    return kind.replace("+", "plus") + suffix


def _domain(kind, suffix):
    return f"{_name(kind, suffix)}.bench.example"


def pss_mib(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(rollup.partition("Pss:")[2].split()[0]) / 1024


def allow_files():
    """As many open files as sessions need, for this process and those it starts. A container may have less for all."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    for files in (FILES, most):
        with contextlib.suppress(ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            break
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < FEWEST_FILES:
        sys.exit(f"{FEWEST_FILES} open files are needed: ulimit -Hn {FEWEST_FILES}")


class Servers:
    """What was started, and how many messages went through each kind (`counted`: sent, and what became of them)."""

    def __init__(self, build, directory, kinds, progress=False):
        self.bin, self.directory = build / "bin", directory
        self.kinds = ["floor", *(kind for kind in KINDS if kind in kinds)]
        self.progress = progress
        self.world = subjects.World(Authorities(directory / "authorities"))
        self.main, self.second, self.wide = {}, {}, {}
        self.counted = {kind: dict.fromkeys(("messages", "lost", "unacknowledged", "out_of_order"), 0) for kind in self.kinds}
        self.failed = []
        self._resolver = None
        self._next_domain = {}
        allow_files()

    def start(self, domains=0, between=False, wide=False, accounts=OTHER_ACCOUNTS):
        """All of them, but for what fresh() starts. `accounts` of those that have most loads, `domains` of each second
        server."""
        self.main["floor"] = self._floor(0)
        if wide:
            self.wide["floor"] = self._floor(1)
        few = min(accounts, OTHER_ACCOUNTS)
        wanted = []
        for number, kind in enumerate(self.kinds[1:]):
            wanted.append((self.main, kind, "", 3 * number, CORES[0], {"accounts": accounts}))
            if between:
                wanted.append((self.second, kind, "b", 3 * number + 1, CORES[0],
                               {"accounts": few, "more_domains": domains}))
            if wide:
                wanted.append((self.wide, kind, "w", 3 * number + 2, ",".join(CORES), {"accounts": few, "threads": 2}))
        self._start_resolver({_domain(kind, suffix): (subjects.address(number), more.get("more_domains", 0))
                              for _, kind, suffix, number, _, more in wanted})
        for into, kind, suffix, number, core, more in wanted:
            into[kind] = self._real(kind, suffix, number, core, **more)

    def _real(self, kind, suffix, number, core, **more):
        say(f"starting {kind} {suffix}")
        make, settings = KINDS[kind]
        name = _name(kind, suffix)
        return make(self.world, name, self.directory / name, number, core, settings=settings, **more)

    def _floor(self, number):
        directory = self.directory / f"floor{number}"
        directory.mkdir(exist_ok=True)
        return subjects.Floor(self.world, directory, number, CORES[number], self.bin / "comity-bench-floor")

    def _start_resolver(self, names):
        """Answers for every name from memory: what is looked up has been looked up before."""
        data = []
        for name, (address, more) in names.items():
            for each in [name, *(f"d{number}.{name}" for number in range(more))]:
                data += [f'  local-data: "{each}. A {address}"',
                         f'  local-data: "_xmpp-server._tcp.{each}. SRV 0 5 {subjects.PORTS["s2s"]} {each}."']
        settings = self.directory / "unbound.conf"
        settings.write_text("\n".join(
            ["server:", f"  interface: {RESOLVER}", "  access-control: 127.0.0.0/8 allow", '  username: ""',
             '  chroot: ""', '  pidfile: ""', "  do-daemonize: no", "  use-syslog: no", f'  directory: "{self.directory}"',
             '  module-config: "iterator"', "  num-threads: 1", '  local-zone: "bench.example." static', *data,
             "remote-control:", "  control-enable: no"]) + "\n", encoding="ascii")
        with open(self.directory / "unbound.log", "wb") as log:
            self._resolver = subprocess.Popen(["unbound", "-d", "-c", settings], stdout=log, stderr=log)

    def stop(self):
        for each in [*self.main.values(), *self.second.values(), *self.wide.values()]:
            each.stop()
        if self._resolver:
            self._resolver.terminate()
            self._resolver.wait()

    def fresh(self, kind, words):
        """alone(), on a process that nobody was connected to before. Before start(): no other process of its kind shares
        its pages then."""
        most = max(int(each) for each in words[words.index("--sessions") + 1].split(","))
        self.main[kind] = self._floor(0) if kind == "floor" else \
            self._real(kind, "fresh", FRESH_NUMBER, CORES[0], accounts=most + 1)
        try:
            time.sleep(SETTLE)
            empty = pss_mib(self.main[kind].pid)  # without the generator, which shares OpenSSL's pages
            found = self.alone(kind, words)
            return found and {**found, "pss_mib_empty": empty}
        finally:
            self.main.pop(kind).stop()

    # One run of the generator each: the figures it found, or None where the server failed it.

    def alone(self, kind, words):
        return self._checked(kind, words, self._generator(self.main[kind], words))

    def between(self, kind, words):
        here, there = self.main[kind], self.second[kind]
        words = [*words, "--peer-domain", there.domain]
        if words[0] == "domains":  # each can be new once only
            first = self._next_domain.get(kind, 0)
            self._next_domain[kind] = first + int(words[words.index("--count") + 1])
            words += ["--first", str(first)]
        else:
            words += ["--peer-host", there.address, "--peer-port", str(there.port)]
        return self._checked(kind, words, self._generator(here, words, extra=["--pid", str(there.pid)]))

    def on_cores(self, kind, words):
        """The same load on half of the machine, generator and all, and on all of it.

        A generator on each core takes a share of that core; the rest is the server's, whether it uses it or not. So a
        server's capacity is what it got through, by the share of its cores that the generators left it; and the ratio of
        both capacities is how much more two cores do than one, with nothing said for a server that lets a core idle. The
        floor is two relays that share nothing: what the machine itself gives.
        """
        one = self._together(kind, [(self.main[kind], CORES[0])], words)
        wide = self.wide[kind]
        where = [(self.main[kind], CORES[0]), (wide, CORES[1])] if kind == "floor" else [(wide, each) for each in CORES]
        two = self._together(kind, where, words)
        if one is None or two is None:
            return None
        return {"cores_ratio": two["capacity"] / one["capacity"],
                **{f"one_core_{name}": value for name, value in one.items()},
                **{f"two_cores_{name}": value for name, value in two.items()}}

    def _together(self, kind, where, words):
        generators = []
        with contextlib.ExitStack() as ended:
            for number, (subject, core) in enumerate(where):
                more = ["--wait", "--first", str(100 * number)]
                generators.append(self._start_generator(subject, [*words, *more], core, stdin=subprocess.PIPE))
                ended.callback(generators[-1].kill)
            for each in generators:
                each.stdout.readline()  # it is ready, or has ended
            for each in generators:
                with contextlib.suppress(BrokenPipeError):
                    each.stdin.write("\n")
                    each.stdin.flush()
            found = [self._checked(kind, words, self._outcome(each)) for each in generators]
        if None in found:
            return None
        rate = sum(each["messages_a_second"] for each in found)
        taken = sum(each["generator_busy"] for each in found)
        # Each generator has seen all of the server's time, but for the floor, where it saw its own relay's.
        busy = [each["server_busy"] for each in found]
        busy = sum(busy) if kind == "floor" else sum(busy) / len(busy)
        return {"messages_a_second": rate, "generator_busy": taken, "server_busy": busy,
                "capacity": rate * len(where) / (len(where) - taken)}

    def _start_generator(self, subject, words, core, extra=(), **options):
        command = ["taskset", "-c", core, str(self.bin / "comity-bench"), "--json", *subject.arguments(), *extra]
        if self.progress:
            command.append("--progress")
        return subprocess.Popen([*command, *words], stdout=subprocess.PIPE, text=True, **options)

    def _generator(self, subject, words, extra=()):
        return self._outcome(self._start_generator(subject, words, CORES[1], extra))

    @staticmethod
    def _outcome(generator):
        told = generator.communicate()[0].strip()
        return json.loads(told) if told.startswith("{") else None

    def _checked(self, kind, words, found):
        """What was found, with its messages counted; None where there is nothing or any message was lost."""
        counts = self.counted[kind]
        for name in counts:
            counts[name] += int((found or {}).get(name, 0))
        faults = [f"{found[name]:.0f} {name}" for name in counts if name != "messages" and found and found.get(name)]
        if found and not faults:
            return found
        self.failed.append(f"{kind}: {' '.join(words)}: {', '.join(faults) or 'it failed'}")
        say(f"FAILED: {self.failed[-1]}; this run counts for nothing")
        return None


@contextlib.contextmanager
def comparison(build, directory, kinds, progress):
    """Servers, stopped whatever happens."""
    servers = Servers(build, pathlib.Path(directory), kinds, progress)
    os.environ["COMITYD"], os.environ["COMITYCTL"] = str(servers.bin / "comityd"), str(servers.bin / "comityctl")
    try:
        yield servers
    finally:
        servers.stop()
