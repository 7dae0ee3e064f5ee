"""A new user, with README.md alone and the lab's DNS, gets from nothing to a server that federates: in a container that
is a host of the lab (tests/lab), with the package. Each part is timed, and what the user saw is looked at."""

import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "lab"), str(HERE.parent / "system")]

import container  # noqa: E402
import lab  # noqa: E402
import software  # noqa: E402

DOMAIN = "example.org"
PEERS = ("bob@prosody.org", "carol@ejabberd.org")


class Machine(software.Host):
    """The lab gives it a place in the network; the container runs there."""

    serves_clients = True
    mechanism = None
    starts = False


class Walk:
    def __init__(self, scenario, shared):
        self.lab, self.shared = scenario, shared

    def provide(self):
        """What the machine is rented with."""
        made = self.lab.certificates["new", DOMAIN]
        for source, name in ((made.chain, "fullchain.pem"), (made.key, "privkey.pem"), (self.lab.zones.anchors, "anchors"),
                             (self.lab.authorities.authority("lab").chain, "authority.crt")):
            shutil.copy(source, self.shared / name)
        host = self.lab.hosts["new"]
        (self.shared / "resolv.conf").write_text("".join(f"nameserver {each}\n" for each in self.lab.resolvers(host)), "ascii")

    def await_file(self, name, machine):
        while not (self.shared / name).exists():
            if machine.poll() is not None:
                return False
            time.sleep(0.02)
        return True

    def publish(self):
        """As the zone's keeper does it: the lines as they are printed."""
        self.lab.publish(DOMAIN, (self.shared / "records").read_text(encoding="ascii"))

    def chat(self):
        """Both ways with each peer, by the account that setup has made."""
        said = (self.shared / "setup").read_text(encoding="utf-8")
        user = f"admin@{DOMAIN}"
        password = re.search(rf"; the password of {user}, which is not shown again: (\S+)\n", said)[1]
        self.lab.sessions.logins[user] = {"password": password}
        for peer in PEERS:
            for one, other in ((user, peer), (peer, user)):
                self.lab.sessions.settle([self.lab.sessions.message(one, other)], software.PATIENCE)

    def look(self):
        """What the user was told."""
        seen = {name: (self.shared / name).read_text(encoding="utf-8") for name in ("setup", "connections")}
        for name, pattern in (("setup", r"copied the certificate of certbot"), ("setup", r"publish these records"),
                              *(("connections", rf"{peer.partition('@')[2]} .* {direction} .* EXTERNAL +pkix")
                                for peer in PEERS for direction in ("inbound", "outbound"))):
            if not re.search(pattern, seen[name]):
                raise AssertionError(f"{name} shows no {pattern}:\n{seen[name]}")

    def times(self):
        parts = [line.split(" ", 1) for line in (self.shared / "parts").read_text(encoding="ascii").splitlines()]
        for (begun, what), (ended, _) in zip(parts, parts[1:]):
            yield what, float(ended) - float(begun)


def walk(package):
    """Ends the program if something is not as it should be."""
    software.KINDS["machine"] = Machine
    shared = pathlib.Path(tempfile.mkdtemp(prefix="comity-new-user-"))
    try:
        with lab.Lab(HERE / "new_user") as scenario:
            user = Walk(scenario, shared)
            user.provide()
            machine = container.start(HERE / "new_user.sh", package, shared, scenario.network.hosts["new"].netns, keeps=True)
            try:
                if user.await_file("records", machine):
                    user.publish()
                if user.await_file("checked", machine):
                    user.chat()
                    (shared / "chatted").touch()
            finally:
                status = container.end(machine)
            if status == 0:
                user.look()
                print("a new user, by README.md:", flush=True)
                for what, seconds in user.times():
                    print(f"  {seconds:6.2f} s  {what}", flush=True)
    finally:
        shutil.rmtree(shared, ignore_errors=True)


if __name__ == "__main__":
    os.umask(0o022)
    walk(pathlib.Path(sys.argv[1]).resolve())
