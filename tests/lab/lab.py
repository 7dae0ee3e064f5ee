"""A scenario brought up: its network, DNS, certificates and servers, and what its steps do and expect.

README.md beside this file says what a scenario may write.
"""

import base64
import contextlib
import hashlib
import ipaddress
import pathlib
import re
import shutil
import tempfile
import time
import tomllib

import certificates
import explained
import network
import sessions
import software
import steps
import zones

HERE = pathlib.Path(__file__).resolve().parent
SCENARIOS = HERE / "scenarios"

NETWORK4, NETWORK6 = "10.77.0.0/24", "fd77::/64"
NSD, UNBOUND, NOBODY = 2, 3, 253
FIRST_HOST = 11

SCENARIO_KEYS = {"what", "hosts", "zones", "logins", "step"}
HOST_KEYS = {"software", "domains", "config", "certificate", "certificates", "next_certificate", "families", "resolvers"}


def address4(number):
    return str(ipaddress.ip_network(NETWORK4)[number])


def address6(number):
    return str(ipaddress.ip_network(NETWORK6)[int(str(number), 16)])


def read(name):
    """The table of a scenario, by the name of its folder; an unknown key is an error."""
    path = SCENARIOS / name / "scenario.toml"
    with open(path, "rb") as file:
        table = tomllib.load(file)
    for where, found, known in [("", table, SCENARIO_KEYS)] + [
            (f"hosts.{host}: ", each, HOST_KEYS) for host, each in table.get("hosts", {}).items()]:
        if set(found) - known:
            raise ValueError(f"{path}: {where}unknown {', '.join(sorted(set(found) - known))}")
    if not table.get("what"):
        raise ValueError(f"{path}: `what` says in a sentence what the scenario shows")
    for each in table.get("step", ()):
        steps.check(each, path)
    for each in table.get("hosts", {}).values():
        each["domains"] = [one for domain in each.get("domains", ()) for one in steps.spread(domain)]
    return table


class Lab:
    """Use as a context manager. Leaving it ends every process and namespace; with an exception it says the logs."""

    network4, network6 = NETWORK4, NETWORK6

    def __init__(self, name, keep=False):
        self.name, self.table, self.keep = name, read(name), keep
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"comity-lab-{pathlib.Path(name).name}-"))
        self.authorities = certificates.Authorities(self.directory / "authorities")
        self.certificates, self.next_certificates = {}, {}
        self.hosts, self.observers, self.descriptors = {}, {}, {}
        self.clients = contextlib.ExitStack()  # programs of other people's, until all is over
        self.network = self.zones = self.dns = self.sessions = None

    # Bringing up

    def __enter__(self):
        try:
            self._up()
        except BaseException as fault:
            self._down(fault)
            raise
        return self

    def __exit__(self, kind, fault, _):
        self._down(fault)

    def _up(self):
        tables = self.table.get("hosts", {})
        addresses = {"dns": [address4(NSD), address4(UNBOUND), address6(NSD), address6(UNBOUND)]}
        for number, (name, table) in enumerate(tables.items(), FIRST_HOST):
            each = {"4": address4(number), "6": address6(number)}
            addresses[name] = [each[family] for family in table.get("families", "46")]
        holes = [name for name, table in tables.items() if table.get("software") == "blackhole"]
        lost = [address4(NOBODY), address6(NOBODY)] + [each for name in holes for each in addresses[name]]
        self.network = network.Network({name: each for name, each in addresses.items() if name not in holes}, lost)
        self.network.__enter__()
        for name in holes:
            self.network.hosts[name] = network.Namespace(self.network, name, addresses[name])
        for name, table in tables.items():
            directory = self.directory / name
            directory.mkdir()
            kind = table.get("software", "comity").partition(":")[0]
            if kind not in software.KINDS:
                raise ValueError(f"hosts.{name}: no software {kind}")
            self.hosts[name] = software.KINDS[kind](self, name, table, self.network.hosts[name], directory)
            self._issue(name, table, directory)
        self._bring_up_dns()
        for jid in sorted(steps.users(self.table.get("step", ())) | set(self.table.get("logins", {}))):
            with contextlib.suppress(KeyError):  # a user of a domain that nobody serves
                self.host_of(jid.partition("@")[2]).users.append(jid)
        running = [each for each in self.hosts.values() if each.starts]
        for each in running:
            each.prepare()
            each.namespace.resolve_by(self.resolvers(each))
            each.launch()
        self.dns.wait_ready()
        for each in running:
            each.wait_ready()
            self.observers[each.name] = steps.Dialled(each, self.hosts)
            self.descriptors[each.name] = each.descriptors()
        self.sessions = sessions.Sessions(self.host_of, lambda host, domain: self.certificates[host.name, domain].der(),
                                          self.table.get("logins", {}))

    def _issue(self, name, table, directory):
        for domain in table.get("domains", ()):
            wish = table.get("certificates", {}).get(domain, table.get("certificate", {}))
            self.certificates[name, domain] = self.authorities.issue(domain, wish, directory / f"{domain}.crt",
                                                                     directory / f"{domain}.key")
            if "next_certificate" in table:
                self.next_certificates[name, domain] = self.authorities.issue(
                    domain, table["next_certificate"], directory / f"{domain}.next.crt", directory / f"{domain}.next.key")

    def _bring_up_dns(self):
        written = dict(self.table.get("zones", {}))
        for name, host in self.hosts.items():
            for domain in host.domains:
                if not any(domain == zone or domain.endswith("." + zone) for zone in written):
                    written[domain] = {}
        for zone, table in written.items():
            if "records" not in table and (hosts := [name for name, each in self.hosts.items() if zone in each.domains]):
                table = {**table, "records": default_records(zone, hosts[0])}
            lines = [each for line in table.get("records", "").splitlines() for each in steps.spread(line)]
            written[zone] = {**table, "records": self.expand("\n".join(lines))}
        self.zones = zones.Zones(self.directory / "zones", written, [address4(NSD), address6(NSD)],
                                 address4(UNBOUND), address4(NOBODY))
        self.zones.make()
        directory = self.directory / "dns"
        directory.mkdir()
        self.dns = software.DnsHost(self.zones, self.network.hosts["dns"], [address4(NSD), address6(NSD)],
                                    [address4(UNBOUND), address6(UNBOUND)], directory)
        self.dns.start()

    def publish(self, zone, records):
        """Adds these lines to a zone, signed, while it is served."""
        self.zones.zones[zone]["records"] += "\n" + records
        self.zones.make()
        self.dns.reread()

    # Names

    def resolvers(self, host):
        """What its resolv.conf lists: unbound, by a family that the host has, if the scenario names no others."""
        if "resolvers" in host.table:
            return [self.expand(each) for each in host.table["resolvers"]]
        return [address4(UNBOUND) if host.namespace.ip4 else address6(UNBOUND)]

    def host_of(self, domain):
        """The first host that serves it; KeyError if none does."""
        for each in self.hosts.values():
            if domain in each.domains and each.serves_clients:
                return each
        raise KeyError(domain)

    def host_at(self, address):
        return next((name for name, each in self.network.hosts.items() if address in each.addresses), address)

    def script(self, file):
        """A scripted peer: of the scenario, or one of those for all."""
        for place in (SCENARIOS / self.name, HERE / "peers"):
            if (place / file).is_file():
                return place / file
        raise ValueError(f"no {file} in the scenario's folder or in peers/")

    def expand(self, value):
        """A scenario's text with its placeholders filled in; tables and lists by their parts."""
        if isinstance(value, dict):
            return {key: self.expand(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.expand(each) for each in value]
        return re.sub(r"\{([a-z0-9]+)((?: [\w.-]+)+)\}", self._placeholder, value) if isinstance(value, str) else value

    def _placeholder(self, found):
        kind, (host, *rest) = found[1], found[2].split()
        if kind in ("ip4", "ip6"):
            return getattr(self.network.hosts[host], kind)
        if kind == "authority":
            return str(self.authorities.authority(host).chain)
        if kind == "script":
            return str(self.script(host))
        if kind == "sha256":
            return base64.b64encode(hashlib.sha256(self.certificates[host, self.hosts[host].domains[0]].der()).digest()).decode()
        if kind != "tlsa":
            raise ValueError(f"no placeholder {found[0]}")
        # {tlsa HOST USAGE-SELECTOR-MATCHING [next|wrong|authority|authority-other] [DOMAIN]}
        digits, *rest = rest
        usage, selector, matching = (int(digit) for digit in digits)
        which = rest.pop(0) if rest and "." not in rest[0] else ""
        domain = rest[0] if rest else self.hosts[host].domains[0]
        if which in ("authority", "authority-other"):
            certificate = self.authorities.authority("other" if which == "authority-other" else "lab")
        elif which == "next":
            certificate = self.next_certificates[host, domain]
        elif which in ("", "wrong"):
            certificate = self.certificates[host, domain]
        else:
            raise ValueError(f"{found[0]}: {which} is not next, wrong, authority or authority-other")
        data = certificate.association(selector, matching)
        if which == "wrong":
            data = "".join(f"{15 - int(digit, 16):x}" for digit in data)
        return f"{usage} {selector} {matching} {data}"

    # Running

    def run_steps(self, say):
        begun = time.monotonic()
        failures = []
        for number, step in enumerate(self.table.get("step", ()), 1):
            say(f"  {time.monotonic() - begun:5.2f} s  {number}. {steps.describe(step)}")
            try:
                steps.run(self, step)
            except AssertionError as fault:
                raise AssertionError(f"step {number}, {steps.describe(step)}:\n{fault}") from None
            failures += explained.expected(self.hosts, step)
        self.sessions.settle(self.sessions.ledger, software.PATIENCE)
        self.sessions.pump(0.2)  # a double may be on its way
        self.sessions.judge()
        if failures:
            say(f"  {time.monotonic() - begun:5.2f} s  explain {', '.join(sorted({each[-1] for each in failures}))}")
            explained.check(self, failures)
        for each in self.hosts.values():
            if each.starts and each.process is not None:
                each.assert_alive()

    # Taking down

    def _down(self, fault):
        failed = fault is not None
        try:
            self.clients.close()
            if self.sessions is not None:
                (self.sessions.abort if failed else self.sessions.close)()
            for each in self.hosts.values():
                if failed and each.starts:
                    print(f"--- {each.name} ({type(each).__name__.lower()})\n{each.tail()}\n---", flush=True)
                if isinstance(each, software.Comity):
                    if failed:
                        each.kill()
                    else:
                        each.stop()
                    each.assert_clean()
                else:
                    each.kill()
        finally:
            for each in self.hosts.values():
                each.kill()
            for each in self.observers.values():
                each.close()
            if self.dns is not None:
                self.dns.kill()
            if self.network is not None:
                self.network.close()
            if self.keep:
                print(f"kept {self.directory}")
            else:
                shutil.rmtree(self.directory, ignore_errors=True)

    def how_to_enter(self):
        """For one who wants to look around."""
        lines = ["", f"The lab of {self.name} is up. Its files: {self.directory}", ""]
        for name, host in self.hosts.items():
            lines.append(f"{name}: {self.table['hosts'][name].get('software', 'comity')} "
                         f"{', '.join(host.domains)} at {', '.join(host.namespace.addresses)}")
            if host.starts:
                lines.append(f"    ip netns exec {host.namespace.netns} bash")
        netns = self.network.hosts["dns"].netns
        lines += ["", "accounts (password: " + software.PASSWORD + "): " + ", ".join(
            sorted(steps.users(self.table.get("step", ())) | set(self.table.get("logins", {}))))]
        comity = [each for each in self.hosts.values() if isinstance(each, software.Comity)]
        for each in comity[:1]:
            lines += [f"metrics: ip netns exec {each.namespace.netns} curl http://127.0.0.1:9568/metrics",
                      f"comityctl --socket {each.directory}/admin.sock status"]
        lines += [f"ip netns exec {netns} dig @{address4(UNBOUND)} +dnssec SRV _xmpp-server._tcp.DOMAIN",
                  f"ip netns exec {netns} delv @{address4(NSD)} -a {self.zones.directory}/anchors.delv +root=. DOMAIN SOA"]
        return "\n".join(lines)


def default_records(zone, host):
    """What a domain publishes that only names its host: both services, one target."""
    return (f"_xmpp-server._tcp SRV 10 0 5269 xmpp\n_xmpps-server._tcp SRV 20 0 5270 xmpp\n"
            f"xmpp A {{ip4 {host}}}\nxmpp AAAA {{ip6 {host}}}\n")
