"""What a step of a scenario may do, and what it may expect. One function each; a step is a table with one deed at most,
and any number of expectations, which are looked at after it."""

import re
import shlex
import sys
import time
import types

import driven_client
import observer
from harness import PASSWORD, PATIENCE

# What libunbound opens when it is asked for the first time, and keeps.
RESOLVER = 4

JID = r"[^\s@]+@[^\s@]+"
PAIR = re.compile(rf"^({JID}) (->|<->) ({JID}|[^\s@]+)$")

SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def seconds(text):
    """"250ms", "2s"."""
    number, unit = re.fullmatch(r"(\d+)(ms|s)", text).groups()
    return int(number) / (1000 if unit == "ms" else 1)


def spread(text):
    """"d{1..3}.org" is d1.org, d2.org, d3.org; a text without a range is itself."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", text)
    if found is None:
        return [text]
    return [text[:found.start()] + str(number) + text[found.end():]
            for number in range(int(found[1]), int(found[2]) + 1)]


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
        if "client" in step:
            found |= {step["client"].split()[3], step["to"]}
        for deed in ("message", "iq", "subscribe"):
            for pairs in _pairs(step.get(deed, ())):
                found |= {each for pair in pairs for each in (pair[1], pair[3]) if "@" in each}
    return found


def labels_of(text):
    """The labels of a sample, as pairs."""
    return LABEL.findall(text)


def _pairs(value):
    """A list for each text: the one pair that it is, or those of its range."""
    for text in [value] if isinstance(value, str) else value:
        pairs = [PAIR.match(each) for each in spread(text)]
        if None in pairs:
            raise ValueError(f"{text!r} is not `one@domain -> other@domain` or `one@domain <-> other@domain`")
        yield pairs


def describe(step):
    return ", ".join(f"{key} {_short(value)}" for key, value in step.items())


def _short(value):
    if isinstance(value, dict):
        return "of " + ", ".join(value)
    text = str(value)
    return text if len(text) <= 160 else text[:160] + "…"


def check(step, path):
    unknown = set(step) - set(DEEDS) - set(EXPECTATIONS) - {"count", "within", "error", "later", "is", "shows", "to",
                                                               "prints", "status"}
    if unknown:
        raise ValueError(f"{path}: a step has unknown {', '.join(sorted(unknown))}")
    if len(set(step) & set(DEEDS)) > 1:
        raise ValueError(f"{path}: a step has more than one of {', '.join(sorted(set(step) & set(DEEDS)))}")


def run(place, step):
    limit = seconds(step["within"]) if "within" in step else PATIENCE
    for each in place.observers.values():
        each.mark()
    before = {name: metrics_of(place.hosts[name]) for name in step.get("metrics", {})}
    for deed in DEEDS:
        if deed in step:
            DEEDS[deed](place, step, limit)
    for expectation in EXPECTATIONS:
        if expectation in step:
            EXPECTATIONS[expectation](place, step, before)


# Deeds

def _send(place, step, limit, deed, send):
    """Sends `count` of each pair, both ways for <->, and waits for what is to become of them."""
    for pairs in _pairs(step[deed]):
        # The second direction begins when the first is done: so it is seen whether it dials.
        for one, other in ((1, 3), (3, 1)) if pairs[0][2] == "<->" else ((1, 3),):
            sent = [send(pair[one], pair[other], step.get("error"))
                    for pair in pairs for _ in range(step.get("count", 1))]
            if not step.get("later"):
                place.sessions.settle(sent, limit)


def message(place, step, limit):
    _send(place, step, limit, "message", place.sessions.message)


def iq(place, step, limit):
    _send(place, step, limit, "iq", place.sessions.ping)


def subscribe(place, step, limit):
    for pairs in _pairs(step["subscribe"]):
        for pair in pairs:
            place.sessions.subscribe(pair[1], pair[3], limit)


def _named(place, step, deed):
    for name in [step[deed]] if isinstance(step[deed], str) else step[deed]:
        yield place.dns if name == "dns" else place.hosts[name]


def stop(place, step, _):
    for each in _named(place, step, "stop"):
        if each is not place.dns:
            place.sessions.forget(lambda domain, host=each: domain in host.domains)
        each.stop()


def start(place, step, _):
    for each in _named(place, step, "start"):
        each.start() if each is place.dns else each.launch()
        each.wait_ready()


def pause(place, step, _):
    for each in _named(place, step, "pause"):
        each.pause()


def resume(place, step, _):
    for each in _named(place, step, "resume"):
        each.resume()


def renew(place, step, _):
    """Puts the next certificate in the place of the present one, and the daemon reloads."""
    for host in _named(place, step, "renew"):
        for domain in host.domains:
            new, old = place.next_certificates[host.name, domain], place.certificates[host.name, domain]
            old.chain.write_bytes(new.chain.read_bytes())
            old.key.write_bytes(new.key.read_bytes())
        done = len(re.findall(r"config\.(?:reload|refused)", host.log()))
        host.reload()
        place.sessions.wait(lambda: len(re.findall(r"config\.(?:reload|refused)", host.log())) > done,
                          lambda: f"{host.name} reloads\n{host.tail()}")


def close(place, step, _):
    """Ends the streams between a comity and a domain: close = "a b.org"."""
    host, domain = step["close"].split()
    place.hosts[host].ctl("close", domain)


def ctl(place, step, _):
    """ctl = "a connections --s2s", shows = ["pattern", …]: what comityctl at a prints. prints = ["pattern", …]: each is
    of one whole line, and there are no others, in any order. status = 1: how it ends."""
    host, *arguments = step["ctl"].split()
    printed = place.hosts[host].ctl(*arguments, **({"status": step["status"]} if "status" in step else {}))
    if "prints" in step:
        lines, missing = printed.splitlines(), []
        for each in step["prints"]:
            found = next((line for line in lines if re.fullmatch(each, line)), None)
            missing += [each] if found is None else []
            lines = [line for line in lines if line is not found]
        if lines or missing:
            raise AssertionError(f"comityctl {' '.join(arguments)} prints besides\n" + "\n".join(lines)
                                 + "\nand not\n" + "\n".join(missing))
    for each in step.get("shows", ()):
        if not re.search(each, printed):
            raise AssertionError(f"comityctl {' '.join(arguments)} shows no {each}:\n{printed}")


def run_program(place, step, limit):
    """run = "b curl …", shows = ["pattern", …]: a program at b, which must succeed, and what it prints."""
    host, *command = shlex.split(place.expand(step["run"]))
    done = place.hosts[host].namespace.run(*command, timeout=limit)
    if done.returncode != 0:
        raise AssertionError(f"{command} at {host} ends with {done.returncode}:\n{done.stdout}{done.stderr}")
    for each in map(place.expand, step.get("shows", ())):
        if not re.search(each, done.stdout):
            raise AssertionError(f"{command} at {host} shows no {each}:\n{done.stdout}")


class _Program:
    """One of driven_client's, at a host, with more arguments."""

    def __init__(self, name, host, arguments):
        self.library = next(each for each in driven_client.LIBRARIES if each.name == name)
        self.name, self.comes_back_after = name, self.library.comes_back_after
        self.host, self.arguments = host, arguments

    def command(self):
        # Debian's own Python has the modules that its packages install.
        command = ["/usr/bin/python3" if each == sys.executable else each for each in self.library.command()]
        return ["ip", "netns", "exec", self.host.namespace.netns, *command, *self.arguments]


def client(place, step, _):
    """client = "b slixmpp direct erin@a.org 443 alpn=xmpp-client", to = "bob@b.org": a program by other people at b logs
    in, chats with that user, and stays until all is over."""
    at, name, method, jid, port, *arguments = step["client"].split()
    program = driven_client.DrivenClient(
        _Program(name, place.hosts[at], arguments), types.SimpleNamespace(jid=lambda user: user, port_of=lambda _: port), jid,
        method, PASSWORD, place.authorities.authority("lab").chain)
    peer = place.sessions.user(step["to"])
    place.clients.enter_context(program)
    program.connect(domain=jid.partition("@")[2])
    program.came_online()
    program.tell("send", peer.client.jid, f"from {name}")
    place.sessions.wait(lambda: (program.jid, f"from {name}") in peer.heard, lambda: f"{peer.jid} heard {list(peer.heard)}")
    peer.client.message(program.jid, f"to {name}")
    program.wait_for("message", peer.client.jid, f"to {name}")


def wait(place, step, _):
    """Reads what comes, this long."""
    end = time.monotonic() + seconds(step["wait"])
    while time.monotonic() < end:
        place.sessions.pump(min(0.1, max(0.0, end - time.monotonic())))


def link(place, step, _):
    """Cuts or mends a host's cable: link = "b down"."""
    host, state = step["link"].split()
    place.hosts[host].namespace.set_link(state == "up")


def resolve(place, step, _):
    """Asks the lab's validating resolver: resolve = "_xmpp-server._tcp.b.org SRV", is = "secure", or insecure, bogus,
    nodata, nxdomain, servfail."""
    owner, kind = step["resolve"].split()
    got = security(place, owner, kind)
    if got != step["is"]:
        raise AssertionError(f"{owner} {kind} is {got}, not {step['is']}")


def security(place, owner, kind):
    def ask(*flags):
        done = place.dns.namespace.run("dig", f"@{place.dns.unbound_addresses[0]}", "+dnssec", "+time=5", "+tries=1", *flags,
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


def delv(place, step, _):
    """As resolve, by a second implementation, which validates by itself down from the lab's root."""
    owner, kind = step["delv"].split()
    done = place.dns.namespace.run("delv", f"@{place.dns.nsd_addresses[0]}", "-a", place.zones.directory / "anchors.delv",
                                 "+root=.", f"{owner}.", kind)
    got = {"; fully validated": "secure", "; unsigned answer": "insecure"}.get(
        next(iter(re.findall(r"^; (?:fully validated|unsigned answer)$", done.stdout, re.MULTILINE)), ""), "bogus")
    if got != step["is"]:
        raise AssertionError(f"{owner} {kind} is {got}, not {step['is']}: {done.stdout}{done.stderr}")


DEEDS = {each.__name__: each for each in (message, iq, subscribe, stop, start, pause, resume, renew, close, ctl, client, wait,
                                          link, resolve, delv)} | {"run": run_program}


# Expectations

def dialled(place, step, _):
    """dialled.a = ["b 5269 starttls b.org", …]: all that a dialled during this step, in order. An entry may hold
    alternatives, " | " between them."""
    for name, wanted in step["dialled"].items():
        def fits(name=name, wanted=wanted):
            got = place.observers[name].since_mark()
            return len(got) == len(wanted) and all(each in entry.split(" | ") for each, entry in zip(got, wanted))
        place.sessions.wait(fits, lambda: f"{name} dialled {place.observers[name].since_mark()}, not {wanted}", 2)


def metrics(place, step, before):
    """metrics.a = ['NAME{label="value"} N', …]: how much the series with these labels grew together in this step."""
    for name, wanted in step["metrics"].items():
        def faults(name=name, wanted=wanted):
            now, found = metrics_of(place.hosts[name]), []
            for line in wanted:
                sample = SAMPLE.match(line)
                family, labels, value = sample[1], set(LABEL.findall(sample[2] or "")), float(sample[3])
                grown = _sum(now, family, labels) - _sum(before[name], family, labels)
                if grown != value:
                    others = [f"{each}{dict(have)} {now[each, have] - before[name].get((each, have), 0):g}"
                              for each, have in now if each == family and now[each, have] != before[name].get((each, have), 0)]
                    found.append(f"{name}: {line}: it is {grown:g}; what changed: {', '.join(others) or 'nothing'}")
            return found
        place.sessions.wait(lambda: not faults(), lambda: "\n".join(faults()), 3)


def _sum(samples, family, labels):
    """A series that nothing happened to may not be there; its family must be."""
    if not any(name == family for name, _ in samples):
        raise AssertionError(f"no family {family}")
    return sum(value for (name, have), value in samples.items() if name == family and labels <= have)


def metrics_of(host):
    status, text = host.http("/metrics")
    if status != 200:
        raise AssertionError(f"{host.name}: /metrics answered {status}")
    samples = {(family, frozenset()): 0.0 for family in re.findall(r"(?m)^# TYPE (\S+)", text)}
    samples |= {(sample[1], frozenset(LABEL.findall(sample[2] or ""))): float(sample[3])
                for sample in map(SAMPLE.match, text.splitlines()) if sample}
    return samples


def state(place, step, _):
    """state.a = ['NAME{label="value"} N', …]: what the series with these labels come to together."""
    for name, wanted in step["state"].items():
        for line in wanted:
            sample = SAMPLE.match(line)
            labels, value = set(LABEL.findall(sample[2] or "")), float(sample[3])
            def now(name=name, family=sample[1], labels=labels):
                return _sum(metrics_of(place.hosts[name]), family, labels)
            place.sessions.wait(lambda now=now, value=value: now() == value,
                                lambda name=name, line=line, now=now: f"{name}: {line}: it is {now():g}", 3)


def gone(place, step, _):
    """gone = ["a", "b"]: they end their streams with other servers by themselves, and keep no descriptor of them."""
    for name in step["gone"]:
        host = place.hosts[name]
        def left(host=host):
            now = metrics_of(host)
            streams = _sum(now, "comity_connections", {("scope", "s2s")})
            clients = _sum(now, "comity_connections", {("scope", "c2s")})
            return int(streams), int(host.descriptors() - place.descriptors[host.name] - RESOLVER - clients)
        place.sessions.wait(lambda left=left: max(left()) <= 0, lambda name=name, left=left: (
            "{} has {} streams and {} descriptors left".format(name, *left())))


def log(place, step, _):
    """log.a = "pattern", or a list of them: each must be found in the log of a."""
    for name, patterns in step["log"].items():
        for each in [patterns] if isinstance(patterns, str) else patterns:
            place.sessions.wait(lambda each=each: re.search(each, place.hosts[name].log()),
                              lambda each=each: f"the log of {name} has {each}", 3)


EXPECTATIONS = {each.__name__: each for each in (dialled, metrics, state, gone, log)}
