"""The servers that are compared, each as its kind of the federation lab configures it, and the accounts they have.

All of them live in one network namespace, each on a loopback address of its own and on the processor core that is
theirs. Accounts are u0, u1, …; they are made by copying one, since hashing a password is made to take long.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import pathlib
import sqlite3
import subprocess

import software
from software import PORTS

PASSWORD = "bench"
ROUNDS = 10_000


class Place:
    """The lab's Namespace, of the one in which this process is already."""

    def __init__(self, address, core):
        self.addresses = [address]
        self.core = core

    def inside(self):
        return contextlib.nullcontext()

    def popen(self, command, **options):
        pinned = ["taskset", "-c", self.core, *map(str, command)]
        return subprocess.Popen(pinned, stdin=subprocess.DEVNULL, **options)


class World:
    """What software.Host asks a lab for."""

    def __init__(self, authorities):
        self.authorities = authorities
        self.certificates = {}
        self.network4 = self.network6 = "127.0.0.0/8"
        self.zones = self
        self.hints, self.anchors = "", ""  # the defaults of scenarios, which every subject here overrides

    @staticmethod
    def expand(value):
        return value


class Subject:
    """One server process: where it is, and how the generator reaches it."""

    floor = False

    def arguments(self):
        return ["--pid", str(self.pid), "--host", self.address, "--port", str(self.port), "--domain", self.domain,
                "--password", PASSWORD] + (["--floor"] if self.floor else [])


class Floor(Subject):
    floor = True
    domain = "floor.bench.example"
    address = "127.0.0.1"

    def __init__(self, world, directory, number, core, program):
        self.port = PORTS["c2s_direct"] + number
        made = world.authorities.issue(self.domain, {}, directory / "crt", directory / "key")
        self.process = Place(self.address, core).popen([program, self.port, made.chain, made.key],
                                                       stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.pid = self.process.pid

    def stop(self):
        self.process.terminate()
        self.process.wait()


def address(number):
    """Of the server with this number."""
    return f"127.0.{10 + number}.1"


class Real(Subject):
    """A server of software.KINDS, of its own domain and, where asked for, of d0, d1, … below that."""

    port = PORTS["c2s_direct"]

    def __init__(self, world, kind, name, directory, number, core, accounts, settings=None, more_domains=0, threads=1):
        self.name, self.accounts, self.threads = name, accounts, threads
        self.domain = f"{name}.bench.example"
        self.address = address(number)
        directory.mkdir()
        domains = [self.domain, *(f"d{each}.{self.domain}" for each in range(more_domains))]
        made = world.authorities.issue(self.domain, {}, directory / "crt", directory / "key")
        world.certificates[name, self.domain] = made
        for each in domains[1:]:  # no certificate is another's: else their streams could share a connection
            world.certificates[name, each] = world.authorities.issue(each, {}, directory / f"{each}.crt",
                                                                     directory / f"{each}.key")
        config = software._merge(self.config(), settings or {})  # pylint: disable=protected-access
        self.host = kind(world, name, {"domains": domains, "config": config}, Place(self.address, core), directory)
        self.host.prepare()
        self.add_accounts()
        self.host.launch()
        self.host.wait_ready()
        self.pid = self.host.process.pid

    def config(self):
        raise NotImplementedError

    def add_accounts(self):
        """Before it starts."""

    def stop(self):
        self.host.kill()


class _ComityHost(software.Comity):
    def ready(self):
        # Its ports take connections before it has opened the socket that adds accounts.
        return self.ask("status").returncode == 0


class Comity(Real):
    def __init__(self, *arguments, **options):
        super().__init__(arguments[0], _ComityHost, *arguments[1:], **options)

    def config(self):
        return {
            "server": {"threads": self.threads},
            "log": {"level": "warn"},
            "dns": {"servers": ["127.0.0.53"], "root_hints": "", "trust_anchors": []},
            "s2s": {"allowed_addresses": ["127.0.0.0/8"], "queue_stanzas": 100_000},
            "limits": {"connections_per_ip": 100_000, "unauthenticated_per_ip": 100_000},
            "metrics": {"address": f"{self.address}:9568"},
            "listen": [{"address": f"{self.address}:{PORTS[protocol + suffix]}", "protocol": protocol, "tls": tls}
                       for protocol in ("c2s", "s2s") for suffix, tls in (("", "starttls"), ("_direct", "direct"))],
        }

    def add_accounts(self):
        # The daemon makes its store, and one account; the others are copies of that.
        self.host.users = [f"u0@{self.domain}"]
        software.PASSWORD = PASSWORD
        self.host.launch()
        self.host.wait_ready()
        self.host.stop()
        with contextlib.closing(sqlite3.connect(self.host.directory / "data" / "comity.db")) as store:
            numbers = f"(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {self.accounts - 1}) " \
                      "SELECT n FROM c)"
            store.execute(f"INSERT INTO accounts SELECT 'u' || n || '@' || domain, domain, created FROM accounts, {numbers}")
            store.execute("INSERT INTO credentials SELECT a.user, hash, salt, iterations, stored_key, server_key "
                          "FROM credentials c, accounts a WHERE a.user != c.user")
            store.commit()


def _scram_keys(salt):
    salted = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), salt, ROUNDS)
    client_key = hmac.digest(salted, b"Client Key", "sha1")
    return hashlib.sha1(client_key).digest(), hmac.digest(salted, b"Server Key", "sha1")


class Prosody(Real):
    def __init__(self, *arguments, **options):
        super().__init__(arguments[0], software.Prosody, *arguments[1:], **options)

    def config(self):
        return {
            "log": {"warn": str(pathlib.Path("/dev/null"))},
            "interfaces": [self.address],
            "local_interfaces": [self.address],
            "authentication": "internal_hashed",
            "unbound": {"resolvconf": True, "hoststxt": False},
            # What Debian's configuration has for messages and presence; between servers it would cost them alone.
            "modules_enabled": ["roster", "saslauth", "tls", "disco", "ping", "offline", "carbons", "smacks"],
            "smacks_enabled_s2s": False,
        }

    def add_accounts(self):
        salt = base64.b64encode(os.urandom(12))
        stored, server = _scram_keys(salt)
        folder = self.host.directory / "data" / software._encoded(self.domain) / "accounts"  # pylint: disable=protected-access
        folder.mkdir(parents=True)
        text = (f'return {{ ["iteration_count"] = {ROUNDS}; ["salt"] = "{salt.decode()}"; '
                f'["stored_key"] = "{stored.hex()}"; ["server_key"] = "{server.hex()}"; }};\n')
        for number in range(self.accounts):
            (folder / f"u{number}.dat").write_text(text, encoding="ascii")


class _EjabberdHost(software.Ejabberd):
    accounts = 0
    threads = 1

    def command(self):
        domain = self.domains[0]
        # As Debian's ejabberdctl starts it, but for one scheduler a core, and no name in the network.
        make = (f'ok = ejabberd_auth:try_register(<<"u0">>, <<"{domain}">>, <<"{PASSWORD}">>), '
                f'[R] = mnesia:dirty_read(passwd, {{<<"u0">>, <<"{domain}">>}}), '
                f'[mnesia:dirty_write(setelement(2, R, {{<<"u", (integer_to_binary(N))/binary>>, <<"{domain}">>}})) '
                f'|| N <- lists:seq(1, {self.accounts - 1})], ')
        return ["erl", "-noinput", "+S", f"{self.threads}:{self.threads}", "+K", "true", "+P", "250000", "+Q", "65536", "-mnesia", "dir",
                f'"{self.directory}/mnesia"', "-s", "ejabberd", "-eval", make + 'io:format("lab: serving~n").']


class Ejabberd(Real):
    """Its 4,096 rounds of PBKDF2 cannot be set."""

    def __init__(self, *arguments, **options):
        super().__init__(arguments[0], _EjabberdHost, *arguments[1:], **options)

    def config(self):
        def listener(port, module, **more):
            return {"ip": self.address, "port": PORTS[port], "module": module, **more}
        return {
            "loglevel": "error",
            "auth_password_format": "scram",
            "listen": [listener("c2s_direct", "ejabberd_c2s", tls=True), listener("s2s", "ejabberd_s2s_in")],
            "modules": {name: {} for name in ("mod_carboncopy", "mod_stream_mgmt")},
        }

    def add_accounts(self):
        self.host.accounts, self.host.threads = self.accounts, self.threads
