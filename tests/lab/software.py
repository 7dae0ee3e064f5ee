"""What runs on the lab's hosts. One class a kind of software, chosen by a host's `software`:

    comity          the daemon under test, or a second one
    prosody         Debian's
    ejabberd        Debian's
    refused         an address where no port is open
    blackhole       an address from which nothing comes back
    nginx           Debian's: a web server behind somebody's port for everything
    scripted:FILE   a Python program of the scenario's folder

Each real server gets the same ports: 5222 and 5223 for clients, 5269 and 5270 for servers.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from harness import PASSWORD, PATIENCE, SANITIZER_REPORTS, program, tail_of, toml, wait_until

PORTS = {"c2s": 5222, "c2s_direct": 5223, "s2s": 5269, "s2s_direct": 5270}


class Host:
    """A host with its namespace and folder. `table` is its part of the scenario; `lab` gives names and files."""

    serves_clients = False
    mechanism = "SCRAM-SHA-1"
    starts = True

    def __init__(self, lab, name, table, namespace, directory):
        self.lab, self.name, self.table = lab, name, table
        self.namespace = namespace
        self.directory = pathlib.Path(directory)
        self.domains = table.get("domains", [])
        self.users = []
        self.process = None
        self.log_path = self.directory / "log"

    def merged(self, defaults):
        """The defaults with the scenario's `config` over them."""
        return _merge(defaults, self.lab.expand(self.table.get("config", {})))

    def prepare(self):
        """Writes configuration and accounts."""

    def command(self):
        raise NotImplementedError

    def environment(self):
        return None

    def launch(self):
        with open(self.log_path, "ab") as log:
            self.process = self.namespace.popen(self.command(), stdout=log, stderr=log, cwd=self.directory,
                                                env=self.environment())

    def ready(self):
        """True once it serves."""
        return self.answers(PORTS["s2s"])

    def wait_ready(self):
        def check():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            return self.ready()
        # Several of them may start at once, each with the work of seconds before it serves.
        wait_until(check, lambda: f"{self.name} serves\n{self.tail()}", 3 * PATIENCE)

    def answers(self, port):
        address = self.namespace.addresses[0]
        with self.namespace.inside(), socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.settimeout(1)
            return probe.connect_ex((address, port)) == 0

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def tail(self, lines=60):
        return tail_of(self.log(), lines)

    # Life

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.assert_ended(self.process.wait(PATIENCE))
            self.process = None

    def assert_ended(self, status):
        """What must hold of the exit status after SIGTERM."""

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def descriptors(self):
        """How many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def assert_alive(self):
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(f"{self.name} is gone:\n{self.tail()}")

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


def _merge(below, above):
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return {**below, **{key: _merge(below[key], value) if key in below else value for key, value in above.items()}}


class Comity(Host):
    serves_clients = True
    mechanism = None  # the strongest

    def prepare(self):
        (self.directory / "data").mkdir(mode=0o700)
        network = [f"{self.lab.network4}", f"{self.lab.network6}"]
        tables = self.merged({
            "server": {"data_directory": "data", "admin_socket": "admin.sock", "threads": 2, "shutdown_timeout": "5s",
                       "run_as_root": True},
            "log": {"level": "debug"},
            "tls": {"ca_file": str(self.lab.authorities.authority("lab").chain)},
            "dns": {"servers": [], "root_hints": str(self.lab.zones.hints), "trust_anchors": [str(self.lab.zones.anchors)]},
            # The next address is not to be tried only because a busy machine is slow with the first.
            "s2s": {"allowed_addresses": network, "attempt_delay": "2s"},
            "metrics": {"address": "127.0.0.1:9568"},
            "host": [{"domain": domain, "certificate": str(self.lab.certificates[self.name, domain].chain),
                      "private_key": str(self.lab.certificates[self.name, domain].key)} for domain in self.domains],
            "listen": [
                {"address": f"[::]:{PORTS[protocol + suffix]}", "protocol": protocol, "tls": tls}
                for protocol in ("c2s", "s2s") for suffix, tls in (("", "starttls"), ("_direct", "direct"))],
        })
        (self.directory / "comity.toml").write_text(_toml(tables), encoding="utf-8")

    def command(self):
        return [program("COMITYD"), "--config", self.directory / "comity.toml"]

    def ready(self):
        return self.http("/readyz")[0] == 200

    def wait_ready(self):
        super().wait_ready()
        for user in self.users:
            self.ctl("user", "add", user, "--password-stdin", stdin=PASSWORD + "\n")
        self.users = []

    def ask(self, *arguments, stdin=None):
        """What comityctl prints and how it ends."""
        return subprocess.run([program("COMITYCTL"), "--socket", str(self.directory / "admin.sock"), *arguments],
                              input=stdin, capture_output=True, text=True, check=False, timeout=PATIENCE)

    def ctl(self, *arguments, stdin=None, status=0):
        done = self.ask(*arguments, stdin=stdin)
        if done.returncode != status:
            raise AssertionError(f"comityctl {' '.join(arguments)} ends with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def http(self, path):
        """(status, body); (None, "") while nobody answers."""
        with self.namespace.inside():
            connection = http.client.HTTPConnection("127.0.0.1", 9568, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except OSError:
                return None, ""
            finally:
                connection.close()

    def assert_ended(self, status):
        if status != 0:
            raise AssertionError(f"{self.name}: comityd ended with {status}:\n{self.tail()}")

    def assert_clean(self):
        report = SANITIZER_REPORTS.search(self.log())
        if report:
            raise AssertionError(f"{self.name}: a sanitizer or the runtime complained:\n"
                                 f"{self.log()[report.start():][:8000]}")


def _toml(tables):
    lines = []
    for table, values in tables.items():
        for each in values if isinstance(values, list) else [values]:
            lines.append(f"[[{table}]]" if isinstance(values, list) else f"[{table}]")
            inner = {key: value for key, value in each.items() if _is_table(value)}
            lines += [f"{key} = {toml(value)}" for key, value in each.items() if key not in inner]
            for key, value in inner.items():
                for one in value if isinstance(value, list) else [value]:
                    lines.append(f"[[{table}.{key}]]" if isinstance(value, list) else f"[{table}.{key}]")
                    lines += [f"{toml(name)} = {toml(inside)}" for name, inside in one.items()]
    return "\n".join(lines) + "\n"


def _is_table(value):
    return isinstance(value, dict) or isinstance(value, list) and value and isinstance(value[0], dict)


class Prosody(Host):
    serves_clients = True

    def prepare(self):
        certificates = self.directory / "certs"
        certificates.mkdir()
        for domain in self.domains:
            made = self.lab.certificates[self.name, domain]
            (certificates / f"{domain}.crt").write_bytes(made.chain.read_bytes())
            (certificates / f"{domain}.key").write_bytes(made.key.read_bytes())
        for user in self.users:
            local, _, domain = user.partition("@")
            accounts = self.directory / "data" / _encoded(domain) / "accounts"
            accounts.mkdir(parents=True, exist_ok=True)
            (accounts / f"{_encoded(local)}.dat").write_text(f'return {{ ["password"] = {_lua(PASSWORD)} }};\n',
                                                             encoding="utf-8")
        settings = self.merged({
            "run_as_root": True,
            "data_path": str(self.directory / "data"),
            "certificates": str(certificates),
            "log": {"debug": str(self.log_path)},
            "authentication": "internal_plain",
            "modules_enabled": ["roster", "saslauth", "tls", "disco", "ping", "offline"],
            "modules_disabled": ["posix"],
            "c2s_require_encryption": True,
            "s2s_require_encryption": True,
            "s2s_secure_auth": True,
            "c2s_direct_tls_ports": [PORTS["c2s_direct"]],
            "s2s_direct_tls_ports": [PORTS["s2s_direct"]],
            "ssl": {"cafile": str(self.lab.authorities.authority("lab").chain)},
            "unbound": {"resolvconf": True, "hoststxt": False, "trustfile": str(self.lab.zones.anchors)},
        })
        lines = [f"{key} = {_lua(value)}" for key, value in settings.items()]
        lines += [f"VirtualHost {_lua(domain)}" for domain in self.domains]
        (self.directory / "prosody.cfg.lua").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def command(self):
        return ["prosody", "-F", "--config", self.directory / "prosody.cfg.lua"]


def _encoded(name):
    """As Prosody names files of its data."""
    return "".join(each if each.isalnum() and each.isascii() else "".join(f"%{byte:02x}" for byte in each.encode())
                   for each in name)


def _lua(value):
    if isinstance(value, dict):
        return "{ " + "; ".join(f"[{_lua(key)}] = {_lua(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "{ " + "; ".join(_lua(each) for each in value) + " }"
    return json.dumps(value, ensure_ascii=False)


class Ejabberd(Host):
    serves_clients = True

    def prepare(self):
        chains = []
        for domain in self.domains:
            made = self.lab.certificates[self.name, domain]
            chains.append(self.directory / f"{domain}.pem")
            chains[-1].write_bytes(made.key.read_bytes() + made.chain.read_bytes())
        listener = {"ip": "::"}
        settings = self.merged({
            "hosts": self.domains,
            "certfiles": [str(each) for each in chains],
            "ca_file": str(self.lab.authorities.authority("lab").chain),
            "loglevel": "debug",
            "auth_method": "mnesia",
            "auth_password_format": "plain",
            "s2s_use_starttls": "required",
            "listen": [
                {**listener, "port": PORTS["c2s"], "module": "ejabberd_c2s", "starttls_required": True},
                {**listener, "port": PORTS["c2s_direct"], "module": "ejabberd_c2s", "tls": True},
                {**listener, "port": PORTS["s2s"], "module": "ejabberd_s2s_in"},
                {**listener, "port": PORTS["s2s_direct"], "module": "ejabberd_s2s_in", "tls": True},
            ],
            "modules": {name: {} for name in ("mod_roster", "mod_disco", "mod_ping", "mod_offline")},
        })
        # Every JSON text is YAML.
        (self.directory / "ejabberd.yml").write_text(json.dumps(settings, indent=1), encoding="utf-8")
        (self.directory / "inetrc").write_text(
            '{lookup, ["file", "native"]}.\n{host, {127,0,0,1}, ["localhost"]}.\n{file, resolv, "/etc/resolv.conf"}.\n',
            encoding="ascii")

    def command(self):
        # Without a name it is no distributed node, needs no port mapper and leaves none behind.
        register = "".join(f'ok = ejabberd_auth:try_register(<<"{local}">>, <<"{domain}">>, <<"{PASSWORD}">>), '
                           for local, _, domain in (user.partition("@") for user in self.users))
        self.users = []
        return ["erl", "-noinput", "+S", "1:1", "-mnesia", "dir", f'"{self.directory}/mnesia"', "-s", "ejabberd", "-eval",
                register + 'io:format("lab: serving~n").']

    def environment(self):
        return {**os.environ, "ERL_LIBS": "/usr/lib/x86_64-linux-gnu", "HOME": str(self.directory),
                "EJABBERD_CONFIG_PATH": str(self.directory / "ejabberd.yml"),
                "EJABBERD_LOG_PATH": str(self.directory / "ejabberd.log"),
                "ERL_CRASH_DUMP": str(self.directory / "crash"), "ERL_INETRC": str(self.directory / "inetrc")}

    def ready(self):
        return "lab: serving" in self.log()


class Nginx(Host):
    """Serves HTTP/2 and 1.1 by TLS on 8443, and wants a PROXY header before it. It says which version was spoken."""

    PORT = 8443

    def prepare(self):
        made = self.lab.certificates[self.name, self.domains[0]]
        places = " ".join(f"{kind}_temp_path {self.directory}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        listen = " ".join(f"listen {address}:{self.PORT} ssl http2 proxy_protocol;" for address in ("0.0.0.0", "[::]"))
        (self.directory / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {self.directory}/pid; error_log stderr; events {{}}\n"
            f"http {{ {places} access_log off; server {{ {listen} server_name {' '.join(self.domains)}; "
            f"ssl_certificate {made.chain}; ssl_certificate_key {made.key}; "
            'location / { return 200 "nginx by $server_protocol for $proxy_protocol_addr\\n"; } } }\n', encoding="utf-8")

    def command(self):
        return ["/usr/sbin/nginx", "-c", self.directory / "nginx.conf", "-p", self.directory, "-e", "stderr"]

    def ready(self):
        return self.answers(self.PORT)


class Refused(Host):
    starts = False


class Blackhole(Host):
    starts = False


class Scripted(Host):
    """The program gets its host's addresses, domains and certificates as JSON in its one argument, and says "ready"
    on a line of its own when it serves. `config` is passed on."""

    def command(self):
        told = {"name": self.name, "ip4": self.namespace.ip4, "ip6": self.namespace.ip6, "domains": self.domains,
                "certificates": {domain: {"chain": str(made.chain), "key": str(made.key)}
                                 for (name, domain), made in self.lab.certificates.items() if name == self.name},
                "authority": str(self.lab.authorities.authority("lab").chain),
                "config": self.merged({})}
        file = self.table["software"].partition(":")[2]
        return [sys.executable, "-u", self.lab.script(file), json.dumps(told)]

    def ready(self):
        return "ready" in self.log().splitlines()


KINDS = {"comity": Comity, "prosody": Prosody, "ejabberd": Ejabberd, "nginx": Nginx, "refused": Refused, "blackhole": Blackhole,
         "scripted": Scripted}


class DnsHost:
    """The host with nsd and unbound; not part of a scenario's hosts, but of every scenario."""

    def __init__(self, zones, namespace, nsd_addresses, unbound_addresses, directory):
        self.zones, self.namespace = zones, namespace
        self.nsd_addresses, self.unbound_addresses = nsd_addresses, unbound_addresses
        self.directory = pathlib.Path(directory)
        self.processes = []

    def start(self):
        for name, command in (("nsd", self.zones.nsd()), ("unbound", self.zones.unbound(self.unbound_addresses))):
            with open(self.directory / f"{name}.log", "ab") as log:
                self.processes.append(self.namespace.popen(command, stdout=log, stderr=log))

    def wait_ready(self):
        for address in (self.nsd_addresses[0], self.unbound_addresses[0]):
            wait_until(lambda: self._answers(address), f"the DNS serves at {address}\n{self.tail()}")

    def _answers(self, address):
        # A query for the root's SOA, written out: it is asked often while nsd starts.
        query = b"\0\1\1\0\0\1\0\0\0\0\0\0\0\0\6\0\1"
        with self.namespace.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            try:
                probe.connect((address, 53))
                probe.send(query)
                return len(probe.recv(512)) > len(query)
            except OSError:
                time.sleep(0.02)
                return False

    def reread(self):
        """nsd takes the zones as they are now."""
        self.processes[0].send_signal(signal.SIGHUP)

    def tail(self):
        return "\n".join(f"{each.name}: {each.read_text(encoding='utf-8', errors='replace')[-2000:]}"
                         for each in self.directory.glob("*.log"))

    def stop(self):
        for each in self.processes:
            each.send_signal(signal.SIGCONT)
            each.terminate()
        for each in self.processes:
            each.wait(PATIENCE)
        self.processes = []

    def kill(self):
        for each in self.processes:
            each.kill()
            each.wait()
        self.processes = []

    def pause(self):
        # nsd answers from a child process.
        for each in self.namespace.network_processes():
            os.kill(each, signal.SIGSTOP)

    def resume(self):
        for each in self.namespace.network_processes():
            os.kill(each, signal.SIGCONT)

    def assert_alive(self):
        if any(each.poll() is not None for each in self.processes) or not self.processes:
            raise AssertionError(f"the DNS is gone:\n{self.tail()}")
