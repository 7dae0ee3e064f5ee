"""The lab's DNS: a signed root, the zones below it, nsd that serves them all and unbound that resolves for the peers.

Zones that a scenario does not write are made: the root, and each parent of a written one, signed. A signed zone has its
DS record in its parent. What can be wrong with a zone:

    signed = false             no DNSSEC: no keys, and no DS above
    expired = true             its signatures ended two days ago
    bogus = ["b.org A", ...]   these record sets are changed after signing
    served = false             delegated to a server that refuses to answer: every lookup fails (SERVFAIL)
    served = "silent"          delegated to an address where no server is: every lookup waits in vain
    nsec3 = true               denials by NSEC3, not NSEC
"""

import datetime
import pathlib
import re
import subprocess

ALGORITHM = "ECDSAP256SHA256"
KEYS = {"records", "signed", "expired", "bogus", "served", "nsec3"}

# Short, so that a changed zone is seen soon; and failures are not remembered for long.
TTL, NEGATIVE_TTL = 30, 2


def _run(*command, cwd):
    done = subprocess.run([str(each) for each in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _stamp(days):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%S")


def parent_of(zone):
    """The name above: "org" of "b.org", "" (the root) of "org"."""
    return zone.partition(".")[2]


class Zones:
    """`zones` maps names without the last dot to their tables; `servers` are the addresses of nsd, `refusing` one where
    a server refuses what it is asked, `nobody` one where no server is."""

    def __init__(self, directory, zones, servers, refusing, nobody):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        self.zones = {name: dict(table) for name, table in zones.items()}
        self.servers = servers
        self.places = {True: servers, False: [refusing], "silent": [nobody]}
        self.keys = {}
        for name, table in self.zones.items():
            unknown = set(table) - KEYS
            if unknown:
                raise ValueError(f"zone {name}: unknown {', '.join(sorted(unknown))}")
        for name in list(zones):
            while name:
                name = parent_of(name)
                self.zones.setdefault(name, {})

    def make(self):
        """Writes, signs and lists every zone; what they are may be changed in `zones` before a further call."""
        # Children first: a parent's file has the children's DS records.
        for name in sorted(self.zones, key=lambda each: -len(each.split(".")) if each else 1):
            self._make_zone(name)
        (self.directory / "root.hints").write_text(
            ". 3600000 NS ns.root-servers.\n" + "".join(f"ns.root-servers. 3600000 {_address(each)}\n"
                                                        for each in self.servers), encoding="ascii")
        (self.directory / "anchors").write_text(self._key("").with_suffix(".ds").read_text(encoding="ascii"),
                                                encoding="ascii")
        (self.directory / "anchors.delv").write_text(self._delv_anchor(), encoding="ascii")

    @property
    def hints(self):
        return self.directory / "root.hints"

    @property
    def anchors(self):
        return self.directory / "anchors"

    def is_signed(self, name):
        return self.zones[name].get("signed", True)

    def file_of(self, name):
        return self.directory / f"{name or 'root'}.zone"

    def _key(self, name):
        if name not in self.keys:
            made = _run("ldns-keygen", "-a", ALGORITHM, "-k", f"{name}.", cwd=self.directory)
            self.keys[name] = self.directory / f"{made}.key"
        return self.keys[name]

    def _delv_anchor(self):
        fields = self._key("").read_text(encoding="ascii").partition(";")[0].split()
        flags, protocol, algorithm, *key = fields[fields.index("DNSKEY") + 1:]
        return f'trust-anchors {{ "." static-key {flags} {protocol} {algorithm} "{"".join(key)}"; }};\n'

    def _make_zone(self, name):
        table, server = self.zones[name], f"ns.{name}." if name else "ns.root-servers."
        lines = [f"$ORIGIN {name}.", f"$TTL {TTL}", f"@ {NEGATIVE_TTL} IN SOA {server} lab.{server} 1 60 60 600 {NEGATIVE_TTL}",
                 f"@ NS {server}"]
        lines += [f"{server} {_address(each)}" for each in self.servers]
        for child in self.zones:
            if child and parent_of(child) == name:
                places = self.places[self.zones[child].get("served", True)]
                lines += [f"{child}. NS ns.{child}."] + [f"ns.{child}. {_address(each)}" for each in places]
                if self.is_signed(child):
                    lines.append(self._key(child).with_suffix(".ds").read_text(encoding="ascii").strip())
        lines.append(table.get("records", ""))
        plain = self.file_of(name)
        plain.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not self.is_signed(name):
            return
        days = (-3, -2) if table.get("expired") else (-1, 30)
        signed = plain.with_suffix(".signed")
        _run("ldns-signzone", *(["-n"] if table.get("nsec3") else []), "-i", _stamp(days[0]), "-e", _stamp(days[1]),
             "-f", signed, plain, self._key(name).with_suffix(""), cwd=self.directory)
        text = signed.read_text(encoding="utf-8")
        for each in table.get("bogus", ()):
            text = _falsify(text, *each.split())
        plain.write_text(text, encoding="utf-8")

    # Programs

    def nsd(self):
        """nsd's command line."""
        settings = self.directory / "nsd.conf"
        lines = ["server:", *(f"  ip-address: {each}@53" for each in self.servers), "  server-count: 1",
                 '  username: ""', f'  zonesdir: "{self.directory}"', f'  pidfile: "{self.directory}/nsd.pid"',
                 '  database: ""', f'  zonelistfile: "{self.directory}/zone.list"', '  rrl-ratelimit: 0',
                 f'  xfrdfile: "{self.directory}/xfrd.state"', f'  xfrdir: "{self.directory}"', "remote-control:",
                 "  control-enable: no"]
        for name, table in self.zones.items():
            if table.get("served", True) is True:
                lines += ["zone:", f'  name: "{name or "."}"', f'  zonefile: "{self.file_of(name)}"']
        settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ["nsd", "-d", "-c", settings]

    def unbound(self, addresses):
        """The command line of a validating resolver at these addresses."""
        settings = self.directory / "unbound.conf"
        lines = ["server:", *(f"  interface: {each}" for each in addresses), "  access-control: 0.0.0.0/0 allow",
                 "  access-control: ::/0 allow", '  username: ""', '  chroot: ""', '  pidfile: ""', "  do-daemonize: no",
                 "  use-syslog: no", f'  directory: "{self.directory}"', f'  root-hints: "{self.hints}"',
                 f'  trust-anchor-file: "{self.anchors}"', '  module-config: "validator iterator"', "  num-threads: 1",
                 "  infra-host-ttl: 5", "  infra-cache-max-rtt: 1000", "  outbound-msg-retry: 2",
                 "remote-control:", "  control-enable: no"]
        settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ["unbound", "-d", "-c", settings]


def _address(address):
    return f"{'AAAA' if ':' in address else 'A'} {address}"


def _falsify(text, owner, kind):
    """Changes the records of one set, so that its signature no longer fits."""
    changes = {
        "A": (r"\S+$", "10.77.0.254"), "AAAA": (r"\S+$", "fd77::fe"), "TLSA": (r"[0-9a-fA-F]+$", "00" * 32),
        "SRV": (r"^\d+", "7"),
    }
    pattern, replacement = changes[kind]
    record = re.compile(rf"^({re.escape(owner)}\.\s+\d+\s+IN\s+{kind}\s+)(.*)$", re.MULTILINE)
    text, count = record.subn(lambda found: found[1] + re.sub(pattern, replacement, found[2]), text)
    if count == 0:
        raise ValueError(f"no record {owner} {kind} to make bogus")
    return text
