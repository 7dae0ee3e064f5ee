"""A comityd of its own for each test: made, started, watched and stopped.

The environment names the programs: COMITYD and COMITYCTL. Everything lives in a temporary directory and on loopback
ports. Leaving a `Server` stops it and asserts what must hold after every test: it was the same process all along, it
ended with status 0 within its time, and no sanitizer had anything to say.
"""

import atexit
import contextlib
import fcntl
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from xmpp_client import CLIENT, Client, is_message

PASSWORD = "correct horse battery staple"

# Sanitizers slow everything; no test waits this long unless it fails.
PATIENCE = float(os.environ.get("COMITY_TEST_PATIENCE", "20"))

# Measurements of time and memory mean nothing under a sanitizer.
SANITIZED = bool(os.environ.get("COMITY_SANITIZE"))

SANITIZER_REPORTS = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:|"
    r"SUMMARY: \w+Sanitizer|terminate called|Assertion .* failed")


def program(name):
    """The path that the environment variable `name` gives; a test without its program fails."""
    path = os.environ.get(name)
    if not path:
        raise RuntimeError(f"{name} must name the program under test")
    return path


def tail_of(log, lines):
    """The end of a log, and before that what it has complained of."""
    log = log.splitlines()
    complaints = [line for line in log[:-lines] if re.search(r"\b(warn|error)\b", line)]
    return "\n".join([*complaints[-lines:], *log[-lines:]])


def wait_until(condition, what, timeout=None, interval=0.02):
    """Polls until `condition()` is true and returns its value; fails by `what` when the time is up."""
    deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within the time: {what() if callable(what) else what}")
        time.sleep(interval)


def is_own_presence(client):
    """For wait_for: the client's own available presence, which comes back once the server knows of it."""
    return lambda element: (element.tag == f"{{{CLIENT}}}presence" and element.get("from") == client.jid
                            and element.get("type") is None)


def assert_chat(a, b, count=3):
    """Both are sent messages by the other, and get them in order."""
    for sender, recipient in ((a, b), (b, a)):
        bodies = [f"{os.urandom(6).hex()} {number}" for number in range(count)]
        for body in bodies:
            sender.message(recipient.jid, body)
        first = recipient.wait_for(is_message(bodies[0], sender.jid))
        got = [first.findtext(f"{{{CLIENT}}}body")]
        while len(got) < count:
            element = recipient.wait_for(lambda each: each.tag == f"{{{CLIENT}}}message")
            got.append(element.findtext(f"{{{CLIENT}}}body"))
        if got != bodies:
            raise AssertionError(f"{sender.jid} sent {bodies}, {recipient.jid} got {got}")


def status_of(pid):
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def children_of(pid):
    return [int(each) for each in os.listdir("/proc") if each.isdigit() and status_of(each).get("PPid") == str(pid)]


def resolvers_of(daemon):
    """The processes that resolve names for a comityd, by its process id."""
    return [pid for starter in children_of(daemon) for pid in children_of(starter)
            if status_of(pid).get("Name") == "comity-resolver"]


_locks = []  # of the ports that this process's tests have, which take them at a time of their own


def free_ports(count):
    """Distinct loopback ports that nobody listens on, that no other test is given while this process lives, and that the
    kernel gives to nobody who connects."""
    first_of_kernel = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    folder = pathlib.Path(tempfile.gettempdir()) / "comity-test-ports"
    folder.mkdir(exist_ok=True)
    given = []
    while len(given) < count:
        port = random.SystemRandom().randrange(first_of_kernel // 3, first_of_kernel)
        lock = open(folder / str(port), "wb")  # pylint: disable=consider-using-with
        with contextlib.suppress(OSError), socket.socket() as probe:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            given.append(port)
            _locks.append(lock)
            continue
        lock.close()
    return given


def openssl(*arguments, stdin=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode()}")
    return done.stdout


class Authority:
    """A certificate authority that lives as long as the test process."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-ca-"))
        atexit.register(shutil.rmtree, self.directory, ignore_errors=True)
        self.certificate = self.directory / "ca.crt"
        self.key = self.directory / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256",
                "-subj", "/CN=Comity test authority", "-days", "30",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
                "-keyout", self.key, "-out", self.certificate)
        self.serial = 1000

    def issue(self, names, certificate, key, kind="ec", digest="-sha256", days=10):
        """Writes a new certificate for the DNS `names` and its key."""
        self.serial += 1
        request = self.directory / f"{self.serial}.csr"
        extensions = self.directory / f"{self.serial}.ext"
        if kind == "ec":
            key_options = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        else:
            key_options = ["-newkey", kind]  # "rsa:2048"
        old_mask = os.umask(0o077)
        try:
            openssl("req", "-new", *key_options, "-nodes", "-subj", f"/CN={names[0]}", "-keyout", key, "-out", request)
        finally:
            os.umask(old_mask)
        extensions.write_text(
            "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName="
            + ",".join(f"DNS:{name}" for name in names) + "\n", encoding="ascii")
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
                "-set_serial", str(self.serial), "-days", str(days), digest, "-extfile", extensions,
                "-out", certificate)

    def context(self):
        """What a client uses that trusts this authority alone."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


_authority = None


def authority():
    global _authority  # made once: the first test that needs it pays
    if _authority is None:
        _authority = Authority()
    return _authority


def fingerprint(certificate):
    """SHA-256 over a PEM file's first certificate, or over DER bytes."""
    import hashlib
    if isinstance(certificate, (str, pathlib.Path)):
        text = pathlib.Path(certificate).read_text(encoding="ascii")
        end = "-----END CERTIFICATE-----"
        certificate = ssl.PEM_cert_to_DER_cert(text[:text.index(end) + len(end)] + "\n")
    return hashlib.sha256(certificate).hexdigest()


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(str(value))


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment is asked
_SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Server:
    """One daemon. Use as a context manager.

    `settings` are the tables of the configuration to add or change: {"limits": {"tls_timeout": "1s"}}.
    The first of `hosts` is `domain`; each host's certificate is for its own name. Accounts: `users`, of the first host,
    all by PASSWORD. With `web` there is a port for HTTPS too, and so for WebSocket.
    """

    def __init__(self, hosts=("comity.test",), users=(), settings=None, key_kind="ec", web=False):
        self.domain = hosts[0]
        self.address = "127.0.0.1"  # where it listens, and is to be found
        self.hosts = list(hosts)
        self.users = list(users)
        self.key_kind = key_kind
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-"))
        self.starttls_port, self.direct_port, self.metrics_port, self.web_port = free_ports(4)
        self.web = web
        self.settings = {
            "server": {"data_directory": "data", "admin_socket": "admin.sock", "threads": 2, "shutdown_timeout": "5s",
                       "run_as_root": os.geteuid() == 0},
            "log": {"level": "debug"},
            "limits": {},
            "s2s": {"enabled": False},
            "metrics": {"address": f"127.0.0.1:{self.metrics_port}"},
        }
        for table, values in (settings or {}).items():
            self.settings.setdefault(table, {}).update(values)
        self.config = self.directory / "comity.toml"
        self.log_path = self.directory / "comityd.log"
        self.environment = {}  # that the daemon has beside ours
        self.under = []  # the program, with its arguments, that becomes the daemon
        self.log_to = None  # a descriptor in the place of the log's file
        self.process = None
        self.pid = None
        self.control_accounts = False
        (self.directory / "data").mkdir(mode=0o700)
        (self.directory / "certs").mkdir()
        for host in self.hosts:
            self.renew(host)
        self.write_config()

    # Files

    def certificate_of(self, host):
        return self.directory / "certs" / f"{host}.crt"

    def key_of(self, host):
        return self.directory / "certs" / f"{host}.key"

    def renew(self, host, names=None):
        """Puts a new certificate and key for `host` in place; the running daemon takes them at its next reload."""
        authority().issue(names or [host], self.certificate_of(host), self.key_of(host), kind=self.key_kind)

    def config_text(self):
        lines = []
        for table, values in self.settings.items():
            lines.append(f"[{table}]")
            lines += [f"{key} = {toml(value)}" for key, value in values.items()]
        for host in self.hosts:
            lines += ["[[host]]", f"domain = {toml(host)}", f'certificate = "certs/{host}.crt"',
                      f'private_key = "certs/{host}.key"']
        for port, tls in ((self.starttls_port, "starttls"), (self.direct_port, "direct")):
            lines += ["[[listen]]", f'address = "{self.address}:{port}"', 'protocol = "c2s"', f'tls = "{tls}"']
        if self.web:
            lines += ["[[listen]]", f'address = "127.0.0.1:{self.web_port}"', 'protocol = "http"', 'tls = "direct"']
        return "\n".join(lines) + "\n"

    def port_of(self, method):
        return {"starttls": self.starttls_port, "direct": self.direct_port, "websocket": self.web_port}[method]

    def write_config(self, text=None):
        self.config.write_text(self.config_text() if text is None else text, encoding="utf-8")

    @property
    def database(self):
        return self.directory / "data" / "comity.db"

    # Life

    def __enter__(self):
        try:
            self.start()
            for user in self.users:
                self.add_user(user)
        except BaseException:
            self.abandon()
            raise
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            self.say_log(f"{kind.__name__}")
            self.abandon()
            return
        try:
            if self.process is not None:
                self.stop()
        finally:
            self.abandon()

    def start(self, wait=True):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([*self.under, program("COMITYD"), "--config", str(self.config)],
                                            stdin=subprocess.DEVNULL, stdout=self.log_to or log,
                                            stderr=self.log_to or log, env={**os.environ, **self.environment})
        self.pid = self.process.pid
        if wait:
            self.wait_ready()

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"comityd ended with {self.process.returncode}:\n{self.log()}")
            return self.http("/readyz")[0] == 200
        wait_until(ready, lambda: f"/readyz answers 200\n{self.log()}")

    def stop(self, timeout=None):
        """SIGTERM; asserts an exit with 0 in time and a clean record."""
        self.assert_alive()
        self.process.send_signal(signal.SIGTERM)
        self.assert_stops(timeout)

    def assert_stops(self, timeout=None):
        try:
            status = self.process.wait(PATIENCE if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"comityd did not stop:\n{self.tail()}") from None
        self.process = None
        self.assert_clean()
        if status != 0:
            raise AssertionError(f"comityd ended with {status}:\n{self.tail()}")

    def kill(self):
        """As a power cut would end the process."""
        self.process.kill()
        self.process.wait()
        self.process = None
        self.assert_clean()

    def abandon(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        if os.environ.get("COMITY_TEST_KEEP"):
            print(f"kept {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)

    def assert_alive(self):
        if self.process is None or self.process.poll() is not None or self.process.pid != self.pid:
            status = None if self.process is None else self.process.returncode
            raise AssertionError(f"comityd is gone (status {status}):\n{self.tail()}")

    def assert_clean(self):
        report = SANITIZER_REPORTS.search(self.log())
        if report:
            raise AssertionError(f"a sanitizer or the runtime complained:\n{self.log()[report.start():][:8000]}")

    # Looking at it

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace") if self.log_path.exists() else ""

    def tail(self, lines=40):
        return tail_of(self.log(), lines)

    def say_log(self, why):
        print(f"--- comityd's log ({why})\n{self.tail()}\n---", flush=True)

    def wait_log(self, pattern, timeout=None):
        return wait_until(lambda: re.search(pattern, self.log()), lambda: f"log has {pattern}\n{self.tail()}", timeout)

    def http(self, path, timeout=5):
        """(status, body, headers); (None, "", {}) while nobody answers."""
        try:
            with _direct.open(f"http://127.0.0.1:{self.metrics_port}{path}", timeout=timeout) as answer:
                return answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace"), dict(error.headers)
        except (OSError, urllib.error.URLError):
            return None, "", {}

    def metrics_text(self):
        status, body, _ = self.http("/metrics")
        if status != 200:
            raise AssertionError(f"/metrics answered {status}")
        return body

    def metrics(self):
        """{(name, frozenset of (label, value)): number}"""
        found = {}
        for line in self.metrics_text().splitlines():
            sample = _SAMPLE.match(line)
            if sample and not line.startswith("#"):
                found[sample[1], frozenset(_LABEL.findall(sample[2] or ""))] = float(sample[3])
        return found

    def metric(self, name, **labels):
        """The sum over the series of `name` that have these labels; fails when there is no such series."""
        wanted = set(labels.items())
        values = [number for (family, have), number in self.metrics().items() if family == name and wanted <= have]
        if not values:
            raise AssertionError(f"no series {name} {labels}")
        return sum(values)

    def counter(self, name, **labels):
        """As metric(), but a series that does not exist yet counts as 0."""
        try:
            return self.metric(name, **labels)
        except AssertionError:
            return 0.0

    def wait_metric(self, value, name, timeout=None, **labels):
        wait_until(lambda: self.counter(name, **labels) == value,
                   lambda: f"{name} {labels} is {value}, not {self.counter(name, **labels)}", timeout)

    def sessions(self):
        return int(self.metric("comity_sessions"))

    def fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss(self):
        """Resident bytes."""
        fields = pathlib.Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self):
        """Seconds of processor time that it has used."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # Steering it

    def ctl(self, *arguments, stdin=None, check=True, timeout=60):
        done = subprocess.run([program("COMITYCTL"), "--socket", str(self.directory / "admin.sock"), *arguments],
                              input=stdin, capture_output=True, text=True, check=False, timeout=timeout)
        if SANITIZER_REPORTS.search(done.stderr):
            raise AssertionError(f"comityctl: {done.stderr}")
        if check and done.returncode != 0:
            raise AssertionError(f"comityctl {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done

    def ctl_json(self, *arguments):
        return json.loads(self.ctl("--json", *arguments).stdout)

    def jid(self, user):
        return user if "@" in user else f"{user}@{self.domain}"

    def add_user(self, user, password=PASSWORD):
        self.ctl("user", "add", self.jid(user), "--password-stdin", stdin=password + "\n")

    def reload(self):
        """SIGHUP, and the daemon has done it."""
        before = len(re.findall(r"config\.(?:reload|refused)", self.log()))
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(re.findall(r"config\.(?:reload|refused)", self.log())) > before, "the reload is logged")

    def client(self, user, method="starttls", password=PASSWORD, **options):
        """A Client for that account that is not connected yet."""
        port = self.direct_port if method == "direct" else self.starttls_port
        options.setdefault("context", authority().context())
        return Client(self.address, port, options.pop("domain", self.domain), user, password, method, timeout=PATIENCE,
                      **options)

    def login(self, user, method="starttls", resource=None, available=True, **options):
        """A Client that is logged in, and unless told otherwise available: what is sent to it from now on arrives."""
        client = self.client(user, method, resource=resource, **options)
        try:
            client.login()
            if available:
                client.presence()
                client.wait_for(is_own_presence(client))
        except BaseException:
            client.abort()
            raise
        return client

    def raw(self, method="starttls", context=None, secure=True):
        """A connection that has sent nothing; for "direct", nothing behind the TLS handshake, if `secure`."""
        port = self.direct_port if method == "direct" else self.starttls_port
        client = Client.raw("127.0.0.1", port, domain=self.domain, context=context or authority().context(),
                            timeout=PATIENCE)
        if method == "direct" and secure:
            client.start_tls_now()
        return client

    @contextlib.contextmanager
    def control(self):
        """THREATS §1 CTL: two clients log in before an attack; afterwards they still chat, in order, and the daemon
        is back at their sessions and descriptors."""
        if not self.control_accounts:
            self.control_accounts = True
            for name in ("control-a", "control-b"):
                self.add_user(name)
        with self.login("control-a") as a, self.login("control-b", method="direct") as b:
            assert_chat(a, b)
            sessions = self.sessions()
            descriptors = self.fds()
            yield a, b
            self.assert_alive()
            assert_chat(a, b)
            wait_until(lambda: self.sessions() == sessions,
                       lambda: f"{sessions} sessions again, not {self.sessions()}")
            wait_until(lambda: self.fds() <= descriptors,
                       lambda: f"{descriptors} descriptors again, not {self.fds()}: {self.descriptors()}")

    def descriptors(self):
        names = []
        for each in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(OSError):
                names.append(os.readlink(f"/proc/{self.pid}/fd/{each}"))
        return sorted(names)


class SystemTest(unittest.TestCase):
    """A test with one daemon for the class: `options` are the arguments of Server."""

    options = {}
    server = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.options)
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before and self.server is not None:
            self.server.say_log(self.id())
        return result
