"""Network namespaces on one bridge: a host each, with addresses of its own, real ports, and a resolv.conf.

Names begin with "cl" and the process id, so that labs may run side by side, and what a killed one left is known by the
process being gone. Only traffic between these namespaces exists; there is no way out.
"""

import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1

# A link address that nobody has: what is sent there is lost without a word.
NOBODY = "02:ff:ff:ff:ff:fe"

_libc = ctypes.CDLL(None, use_errno=True)


def ip(*arguments, batch=None):
    command = ["ip", *arguments] + (["-batch", "-"] if batch is not None else [])
    done = subprocess.run(command, input=None if batch is None else "\n".join(batch) + "\n", capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def die_with_the_lab():
    """For preexec_fn: whatever ends the lab, even SIGKILL, ends what it started."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def remove_leftovers():
    """Removes the namespaces of labs whose process is gone."""
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
        owner = re.match(r"cl(\d+)-", name)
        if owner and not os.path.exists(f"/proc/{owner[1]}"):
            with contextlib.suppress(RuntimeError):
                ip("netns", "delete", name)
            shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


class Namespace:
    """One host of the network. `addresses` are without prefix length, IPv4 or IPv6 or both."""

    def __init__(self, network, name, addresses):
        self.network = network
        self.name = name
        self.netns = f"{network.prefix}-{name}"
        self.addresses = list(addresses)

    @property
    def ip4(self):
        return next((each for each in self.addresses if ":" not in each), None)

    @property
    def ip6(self):
        return next((each for each in self.addresses if ":" in each), None)

    @contextlib.contextmanager
    def inside(self):
        """This thread's new sockets belong to the namespace; those it has stay where they were made."""
        with open(f"/run/netns/{self.netns}", encoding="ascii") as there:
            _enter(there.fileno())
        try:
            yield
        finally:
            _enter(self.network.home.fileno())

    def popen(self, command, **options):
        """Starts a program there, with the namespace's resolv.conf as its own."""
        return subprocess.Popen(["ip", "netns", "exec", self.netns, *map(str, command)], stdin=subprocess.DEVNULL,
                                preexec_fn=die_with_the_lab, **options)

    def run(self, *command, timeout=20):
        return subprocess.run(["ip", "netns", "exec", self.netns, *map(str, command)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=timeout)

    def network_processes(self):
        """The ids of the processes that run in it."""
        return [int(each) for each in ip("netns", "pids", self.netns).split()]

    def set_link(self, up):
        """At the switch's end of the cable: the host keeps its addresses, and what talks to itself goes on."""
        ip("-n", f"{self.network.prefix}-switch", "link", "set", self.network.port_of[self.name], "up" if up else "down")

    def resolve_by(self, servers):
        directory = pathlib.Path(f"/etc/netns/{self.netns}")
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "resolv.conf").write_text("".join(f"nameserver {each}\n" for each in servers), encoding="ascii")


def _enter(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Network:
    """Use as a context manager; `hosts` maps names to lists of addresses, all within one IPv4 /24 and IPv6 /64.

    `lost` are addresses that nobody answers for, and nobody says so: packets to them vanish.
    """

    def __init__(self, hosts, lost=()):
        self.prefix = f"cl{os.getpid()}"
        self.lost = list(lost)
        self.hosts = {name: Namespace(self, name, addresses) for name, addresses in hosts.items()}
        self.port_of = {name: f"port{number}" for number, name in enumerate(hosts)}
        self.home = None

    def __enter__(self):
        remove_leftovers()
        self.home = open("/proc/thread-self/ns/net", encoding="ascii")
        try:
            self._make()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _make(self):
        switch = f"{self.prefix}-switch"
        for each in (switch, *(host.netns for host in self.hosts.values())):
            ip("netns", "add", each)
        commands = ["link add bridge type bridge", "link set bridge up"]
        for host in self.hosts.values():
            port = self.port_of[host.name]
            commands += [f"link add {port} type veth peer name eth0 netns {host.netns}",
                         f"link set {port} master bridge", f"link set {port} up"]
        ip("-n", switch, batch=commands)
        for host in self.hosts.values():
            ip("-n", host.netns, batch=["link set lo up", "link set eth0 up"])
            self._configure(host)

    def _configure(self, host):
        commands = [f"address replace {address}/{64 if ':' in address else 24} dev eth0 nodad"
                    for address in host.addresses]
        families = {":" in address for address in host.addresses}
        commands += [f"neighbour replace {address} lladdr {NOBODY} dev eth0 nud permanent"
                     for address in self.lost if (":" in address) in families]
        ip("-n", host.netns, batch=commands)

    def close(self):
        for host in (*self.hosts.values(), Namespace(self, "switch", ())):
            with contextlib.suppress(RuntimeError):
                ip("netns", "delete", host.netns)
            shutil.rmtree(f"/etc/netns/{host.netns}", ignore_errors=True)
        if self.home is not None:
            self.home.close()
            self.home = None
