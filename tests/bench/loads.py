"""What is measured: the loads, and the figures that come of each, with what they are held against.

A load's words are the generator's; a number in them may be made smaller for a trial (`size`). What a figure is held
against is the floor's figure of the same run, the best peer's, or a number.
"""

import dataclasses


DOMAINS = 40  # that one run reaches for the first time
ACCOUNTS = 1100  # that the loads need where no other number is said


def full(number):
    """The size of a real measurement."""
    return number


def small(number):
    """That of a trial, which shows that everything runs and else says nothing."""
    return max(number // 25, 2) if isinstance(number, int) else number / 10


@dataclasses.dataclass(frozen=True)
class Load:
    """One load. `words(size)` are the generator's, `peers` those for other servers where they differ. `floor` names the
    load that the floor gets for it where that is another one; "" is none. `between`: it goes from one server of a kind to
    another. `cores`: it runs on half of the machine and on all of it. `once`: it counts memory of a process that nobody
    was connected to before, so it comes first and once. `seconds` says about how long it takes."""

    words: object
    floor: str = None
    peers: object = None
    between: bool = False
    cores: bool = False
    once: bool = False
    seconds: dict = dataclasses.field(default_factory=dict)

    def of(self, kind, size):
        """The generator's words for a kind of server."""
        chosen = self.words if kind in ("comity", "floor") or self.peers is None else self.peers
        return [str(each) for each in chosen(size)]


def _took(floor, comity, pa_plus, pa, ea):
    return {"floor": floor, "comity": comity, "pa+": pa_plus, "pa": pa, "ea": ea}


LOADS = {
    "idle": Load(lambda size: ["idle", "--sessions", f"{size(5000)},{size(19_000)}"],
                 peers=lambda size: ["idle", "--sessions", size(5000)], once=True, seconds=_took(16, 26, 38, 50, 20)),
    "handshake": Load(lambda size: ["handshake", "--count", size(1000)], seconds=_took(0.6, 0.7, 1, 1, 1)),
    "resumed": Load(lambda size: ["handshake", "--count", size(1000), "--resume"], seconds=_took(0.6, 0.7, 1, 1, 1)),
    "login": Load(lambda size: ["login", "--count", size(600)], floor="handshake", seconds=_took(0, 0.6, 1.5, 1.8, 1.5)),
    "plain": Load(lambda size: ["--mechanism", "plain", "login", "--count", size(150)], floor="",
                  seconds=_took(0, 0.5, 0.8, 1.1, 1.5)),
    "messages": Load(lambda size: ["messages", "--seconds", size(2.0)], seconds=_took(3, 3, 3.2, 3.5, 3.2)),
    "acknowledged": Load(lambda size: ["messages", "--seconds", size(2.0), "--acknowledged", 5],
                         floor="messages", seconds=_took(0, 3, 3.2, 3.5, 3.2)),
    "paced": Load(lambda size: ["messages", "--seconds", size(3.0), "--rate", 1500], seconds=_took(4, 4, 4.2, 5, 4.2)),
    "fan-out": Load(lambda size: ["fan-out", "--contacts", size(1000), "--rounds", 60], seconds=_took(2, 2, 9, 15, 8)),
    "cores": Load(lambda size: ["messages", "--seconds", size(2.0)], cores=True, seconds=_took(6, 7, 7, 7, 7)),
    "s2s": Load(lambda size: ["messages", "--seconds", size(2.0)], floor="messages", between=True,
                seconds=_took(0, 3, 3.5, 4, 3.5)),
    "domains": Load(lambda size: ["domains", "--count", size(DOMAINS)], floor="", between=True,
                    seconds=_took(0, 0.4, 2, 3, 3)),
}


def on_floor(name):
    """The load that the floor gets for a load, or ""."""
    return name if LOADS[name].floor is None else LOADS[name].floor


@dataclasses.dataclass(frozen=True)
class Figure:
    """One row of the table. `figure` is the generator's name of it in `load`. Held against: `times` the floor's figure,
    of which it has `relays` in it; the floor's `plus` so much; a `part` of the best peer's; at most `most`; at least
    `least`."""

    name: str
    unit: str
    load: str
    figure: str
    times: float = None
    relays: int = 1
    plus: float = None
    part: int = None
    most: float = None
    least: float = None


FIGURES = [
    Figure("TLS 1.3 handshake, full", "CPU ms", "handshake", "server_cpu_ms_each", times=1.2),
    Figure("TLS 1.3 handshake, resumed", "CPU ms", "resumed", "server_cpu_ms_each"),
    Figure("share of resumptions accepted", "", "resumed", "resumed_share", least=1),
    Figure("login, SCRAM-SHA-1 with bind, against a handshake", "CPU ms", "login", "server_cpu_ms_each", times=1.6),
    Figure("login, PLAIN, 10,000 rounds", "CPU ms", "plain", "server_cpu_ms_each", most=2),
    Figure("one-to-one messages, saturated, per 1,000", "CPU s", "messages", "server_cpu_s_per_1000", times=1.8),
    Figure("the same with stream management", "CPU s", "acknowledged", "server_cpu_s_per_1000", times=2.6),
    Figure("messages at 1,500/s, per 1,000", "CPU s", "paced", "server_cpu_s_per_1000", times=1.5),
    Figure("their latency, p50", "ms", "paced", "latency_ms_p50", times=1.4),
    Figure("their latency, p99", "ms", "paced", "latency_ms_p99", times=2),
    Figure("idle session over TLS, 5,000 held, PSS each", "KiB", "idle", "pss_kib_each_1", plus=4),
    Figure("idle session over TLS, 19,000 held, PSS each", "KiB", "idle", "pss_kib_each_2", plus=4),
    Figure("process with no connection, PSS", "MiB", "idle", "pss_mib_empty", most=8),
    Figure("presence to 1,000 online contacts, per delivery", "CPU µs", "fan-out", "server_cpu_us_per_delivery", times=1.3),
    Figure("s2s messages, saturated, per 1,000, both servers", "CPU s", "s2s", "server_cpu_s_per_1000", times=2, relays=2),
    Figure("s2s, first stanza to a new domain, both servers", "CPU ms", "domains", "server_cpu_ms_each", part=3),
    Figure("time until it is answered, p50", "ms", "domains", "latency_ms_p50", part=3),
    Figure("two cores against one, saturated messages", "×", "cores", "cores_ratio", least=1.85),
]


def limit(figure, floor, best):
    """(in words, as a number, whether more is better) of what a figure is held against; None where nothing is, or what
    it needs was not measured."""
    if figure.times and floor is not None:
        return f"≤ {figure.times:g} × floor", figure.times * floor, False
    if figure.plus and floor is not None:
        return f"≤ floor + {figure.plus:g}", floor + figure.plus, False
    if figure.part and best is not None:
        return f"≤ best peer / {figure.part}", best / figure.part, False
    if figure.most:
        return f"≤ {figure.most:g}", figure.most, False
    if figure.least:
        return f"≥ {figure.least:g}", figure.least, True
    return None
