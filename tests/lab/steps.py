"""What a step of a scenario may do, and what it may expect. One function each; a step is a table with one deed at most,
and any number of expectations, which are looked at after it."""

import re
import time

import observer
from harness import PATIENCE

JID = r"[^\s@]+@[^\s@]+"
PAIR = re.compile(rf"^({JID}) (->|<->) ({JID}|[^\s@]+)$")

_SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def seconds(text):
    """"250ms", "2s"."""
    number, unit = re.fullmatch(r"(\d+)(ms|s)", text).groups()
    return int(number) / (1000 if unit == "ms" else 1)


class Dialled:
    """What one host dials, in a scenario's words: "HOST PORT METHOD [SERVER-NAME [ALPN]]"."""

    def __init__(self, host, hosts):
        self.observer = observer.Observer(host.namespace)
        self.names = {address: name for name, each in hosts.items() for address in each.namespace.addresses}
        self.seen = 0

    def close(self):
        self.observer.close()

    def since_mark(self):
        lines = []
        for each in self.observer.dialled()[self.seen:]:
            method, name, protocols = each.describe()
            lines.append(" ".join(filter(None, [self.names.get(each.address, each.address), str(each.port), method, name,
                                                ",".join(protocols)])))
        return lines

    def mark(self):
        self.seen = len(self.observer.dialled())


def users(all_steps):
    """The JIDs that the steps log in."""
    found = set()
    for step in all_steps:
        for deed in ("message", "iq", "subscribe"):
            for pair in _pairs(step.get(deed, ())):
                found |= {each for each in (pair[1], pair[3]) if "@" in each}
    return found


def _pairs(value):
    for text in [value] if isinstance(value, str) else value:
        pair = PAIR.match(text)
        if pair is None:
            raise ValueError(f"{text!r} is not `one@domain -> other@domain` or `one@domain <-> other@domain`")
        yield pair


def describe(step):
    return ", ".join(f"{key} {_short(value)}" for key, value in step.items())


def _short(value):
    if isinstance(value, dict):
        return "of " + ", ".join(value)
    return str(value)


def check(step, path):
    unknown = set(step) - set(DEEDS) - set(EXPECTATIONS) - {"count", "within", "error", "is", "of"}
    if unknown:
        raise ValueError(f"{path}: a step has unknown {', '.join(sorted(unknown))}")
    if len(set(step) & set(DEEDS)) > 1:
        raise ValueError(f"{path}: a step has more than one of {', '.join(sorted(set(step) & set(DEEDS)))}")


def run(lab, step):
    limit = seconds(step["within"]) if "within" in step else PATIENCE
    for each in lab.observers.values():
        each.mark()
    before = {name: metrics_of(lab.hosts[name]) for name in step.get("metrics", {})}
    for deed in DEEDS:
        if deed in step:
            DEEDS[deed](lab, step, limit)
    for expectation in EXPECTATIONS:
        if expectation in step:
            EXPECTATIONS[expectation](lab, step, before)


# Deeds

def _send(lab, step, limit, deed, send):
    """Sends `count` of each pair, both ways for <->, and waits for what is to become of them."""
    identifiers = []
    for pair in _pairs(step[deed]):
        directions = [(pair[1], pair[3])] + ([(pair[3], pair[1])] if pair[2] == "<->" else [])
        for sender, target in directions:
            some = [send(sender, target, step.get("error")) for _ in range(step.get("count", 1))]
            # The second direction begins when the first is done: so it is seen whether it dials.
            lab.sessions.settle(some, limit)
            identifiers += some
    return identifiers


def message(lab, step, limit):
    _send(lab, step, limit, "message", lab.sessions.message)


def iq(lab, step, limit):
    _send(lab, step, limit, "iq", lab.sessions.ping)


def subscribe(lab, step, limit):
    for pair in _pairs(step["subscribe"]):
        lab.sessions.subscribe(pair[1], pair[3], limit)


def _named(lab, step, deed):
    for name in [step[deed]] if isinstance(step[deed], str) else step[deed]:
        yield lab.dns if name == "dns" else lab.hosts[name]


def stop(lab, step, _):
    for each in _named(lab, step, "stop"):
        if each is not lab.dns:
            lab.sessions.forget(lambda domain, host=each: domain in host.domains)
        each.stop()


def start(lab, step, _):
    for each in _named(lab, step, "start"):
        each.start() if each is lab.dns else each.launch()
        each.wait_ready()


def pause(lab, step, _):
    for each in _named(lab, step, "pause"):
        each.pause()


def resume(lab, step, _):
    for each in _named(lab, step, "resume"):
        each.resume()


def renew(lab, step, _):
    """Puts the next certificate in the place of the present one, and the daemon reloads."""
    for host in _named(lab, step, "renew"):
        for domain in host.domains:
            new, old = lab.next_certificates[host.name, domain], lab.certificates[host.name, domain]
            old.chain.write_bytes(new.chain.read_bytes())
            old.key.write_bytes(new.key.read_bytes())
        done = len(re.findall(r"config\.(?:reload|refused)", host.log()))
        host.reload()
        lab.sessions.wait(lambda: len(re.findall(r"config\.(?:reload|refused)", host.log())) > done,
                          lambda: f"{host.name} reloads\n{host.tail()}")


def close(lab, step, _):
    """Ends the streams between a comity and a domain: close = "a b.org"."""
    host, domain = step["close"].split()
    lab.hosts[host].ctl("close", domain)


def wait(lab, step, _):
    """Reads what comes, this long."""
    end = time.monotonic() + seconds(step["wait"])
    while time.monotonic() < end:
        lab.sessions.pump(min(0.1, max(0.0, end - time.monotonic())))


def link(lab, step, _):
    """Cuts or mends a host's cable: link = "b down"."""
    host, state = step["link"].split()
    lab.hosts[host].namespace.set_link(state == "up")


def resolve(lab, step, _):
    """Asks the lab's validating resolver: resolve = "_xmpp-server._tcp.b.org SRV", is = "secure", or insecure, bogus,
    nodata, nxdomain, servfail."""
    owner, kind = step["resolve"].split()
    got = security(lab, owner, kind)
    if got != step["is"]:
        raise AssertionError(f"{owner} {kind} is {got}, not {step['is']}")


def security(lab, owner, kind):
    def ask(*flags):
        done = lab.dns.namespace.run("dig", f"@{lab.dns.unbound_addresses[0]}", "+dnssec", "+time=5", "+tries=1", *flags,
                                     f"{owner}.", kind)
        status, flags = (re.search(pattern, done.stdout) for pattern in (r"status: (\w+)", r"flags: ([\w ]+)"))
        if not status:
            raise AssertionError(f"dig: {done.stdout}{done.stderr}")
        return status[1], flags[1].split(), re.search(r"ANSWER: (\d+)", done.stdout)[1] != "0"
    status, flags, answered = ask()
    if status == "SERVFAIL":
        # With validation off, a bogus answer is there to be had.
        return "bogus" if ask("+cd")[2] else "servfail"
    if status == "NXDOMAIN":
        return "nxdomain"
    if not answered:
        return "nodata"
    return "secure" if "ad" in flags else "insecure"


def delv(lab, step, _):
    """As resolve, by a second implementation, which validates by itself down from the lab's root."""
    owner, kind = step["delv"].split()
    done = lab.dns.namespace.run("delv", f"@{lab.dns.nsd_addresses[0]}", "-a", lab.zones.directory / "anchors.delv",
                                 "+root=.", f"{owner}.", kind)
    got = {"; fully validated": "secure", "; unsigned answer": "insecure"}.get(
        next(iter(re.findall(r"^; (?:fully validated|unsigned answer)$", done.stdout, re.MULTILINE)), ""), "bogus")
    if got != step["is"]:
        raise AssertionError(f"{owner} {kind} is {got}, not {step['is']}: {done.stdout}{done.stderr}")


DEEDS = {each.__name__: each for each in (message, iq, subscribe, stop, start, pause, resume, renew, close, wait, link,
                                          resolve, delv)}


# Expectations

def dialled(lab, step, _):
    """dialled.a = ["b 5269 starttls b.org", …]: all that a dialled during this step, in order. An entry may hold
    alternatives, " | " between them."""
    for name, wanted in step["dialled"].items():
        def fits(name=name, wanted=wanted):
            got = lab.observers[name].since_mark()
            return len(got) == len(wanted) and all(each in entry.split(" | ") for each, entry in zip(got, wanted))
        lab.sessions.wait(fits, lambda: f"{name} dialled {lab.observers[name].since_mark()}, not {wanted}", 2)


def metrics(lab, step, before):
    """metrics.a = ['NAME{label="value"} N', …]: how much the series with these labels grew together in this step."""
    for name, wanted in step["metrics"].items():
        def faults(name=name, wanted=wanted):
            now, found = metrics_of(lab.hosts[name]), []
            for line in wanted:
                sample = _SAMPLE.match(line)
                family, labels, value = sample[1], set(_LABEL.findall(sample[2] or "")), float(sample[3])
                grown = _sum(now, family, labels) - _sum(before[name], family, labels)
                if grown != value:
                    others = [f"{each}{dict(have)} {now[each, have] - before[name].get((each, have), 0):g}"
                              for each, have in now if each == family and now[each, have] != before[name].get((each, have), 0)]
                    found.append(f"{name}: {line}: it is {grown:g}; what changed: {', '.join(others) or 'nothing'}")
            return found
        lab.sessions.wait(lambda: not faults(), lambda: "\n".join(faults()), 3)


def _sum(samples, family, labels):
    values = [value for (name, have), value in samples.items() if name == family and labels <= have]
    if not values:
        raise AssertionError(f"no series {family} {dict(labels)}")
    return sum(values)


def metrics_of(host):
    status, text = host.http("/metrics")
    if status != 200:
        raise AssertionError(f"{host.name}: /metrics answered {status}")
    return {(sample[1], frozenset(_LABEL.findall(sample[2] or ""))): float(sample[3])
            for sample in map(_SAMPLE.match, text.splitlines()) if sample}


def log(lab, step, _):
    """log.a = "pattern", or a list of them: each must be found in the log of a."""
    for name, patterns in step["log"].items():
        for each in [patterns] if isinstance(patterns, str) else patterns:
            lab.sessions.wait(lambda each=each: re.search(each, lab.hosts[name].log()),
                              lambda each=each: f"the log of {name} has {each}", 3)


EXPECTATIONS = {each.__name__: each for each in (dialled, metrics, log)}
