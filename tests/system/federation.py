"""Servers that talk with each other on loopback: their names, by a name server of our own, lead to a proxy before each.

    with Federation("a.test", ("b.test", "c.test")) as world:
        world["a.test"]     a harness.Server, with the users alice and bob; of a tuple the first names it
        world.names         names.Names
        world.way["b.test"] the proxy.Proxy that whoever looks b.test up connects to
"""

import contextlib

from harness import Server, authority, free_ports, toml
from names import Names
from proxy import Proxy


class Peer(Server):
    """With a port for other servers, and a resolver that asks our name server."""

    def __init__(self, domains, names_port, users, settings=None):
        self.s2s_port, = free_ports(1)
        mine = {
            "tls": {"ca_file": str(authority().certificate)},
            "dns": {"servers": [f"127.0.0.1@{names_port}"], "trust_anchors": [], "special_zones": ["test"],
                    "timeout": "2s"},
            "s2s": {"enabled": True, "allowed_addresses": ["127.0.0.0/8"], "connect_timeout": "3s",
                    "queue_timeout": "5s"},
        }
        for table, values in (settings or {}).items():
            mine.setdefault(table, {}).update(values)
        super().__init__(hosts=domains, users=users, settings=mine)

    def config_text(self):
        return super().config_text() + "\n".join(
            ["[[listen]]", f"address = {toml(f'127.0.0.1:{self.s2s_port}')}", 'protocol = "s2s"', 'tls = "starttls"', ""])


class Federation(contextlib.ExitStack):
    def __init__(self, *domains, users=("alice", "bob"), settings=None, prepare=lambda server: None):
        super().__init__()
        self.domains, self.users, self.settings = domains, users, settings
        self.prepare = prepare  # is shown each server before it starts
        self.servers, self.way = {}, {}

    def __enter__(self):
        try:
            self.names = self.enter_context(Names())
            for domains in self.domains:
                domains = (domains,) if isinstance(domains, str) else domains
                server = Peer(domains, self.names.port, self.users, self.settings)
                self.prepare(server)
                way = self.way[domains[0]] = self.enter_context(Proxy(server.s2s_port))
                for domain in domains:
                    self.names.serve(domain, way.port)
                self.servers[domains[0]] = self.enter_context(server)
        except BaseException:
            self.close()
            raise
        return self

    def __getitem__(self, domain):
        return self.servers[domain]
