"""What happens in the world of scenario.toml: first what should, then as much as can go wrong."""

import contextlib
import os
import resource
import signal
import socket
import ssl
import time

from harness import PASSWORD, resolvers_of, wait_until
from software import PORTS
from xmpp_client import AuthenticationFailed, Client, StreamClosed

NOT_FOUND, TIMEOUT = "remote-server-not-found", "remote-server-timeout"

# A domain that fails, by the condition that senders get.
BROKEN = {"dot.org": NOT_FOUND, "empty.org": NOT_FOUND, "forbidden.org": NOT_FOUND, "unknown.org": NOT_FOUND,
          "name.org": NOT_FOUND, "untrusted.org": NOT_FOUND, "mismatch.org": NOT_FOUND, "strict.org": NOT_FOUND,
          "refused.org": TIMEOUT, "unreachable.org": TIMEOUT, "garbage.org": TIMEOUT, "alpn.org": TIMEOUT}
WRONG, BOGUS, FAILING, NOWHERE = 8, 30, 60, 60
# So often all names fail, and loops are late, where Prometheus had too little time to see it.
ROUNDS = 5


def many_broken_names(zones):
    """Names whose TLSA records match nothing, and names whose SRV records are bogus."""
    zones["wrong.org"]["records"] = "\n".join(
        f"_xmpp-server._tcp.d{n} SRV 5 0 5269 x{n}\nx{n} A {{ip4 b}}\n_5269._tcp.x{n} TLSA {{tlsa b 311 wrong}}"
        for n in range(1, WRONG + 1))
    zones["bogus.org"]["records"] = "\n".join(f"_xmpp-server._tcp.n{n} SRV 5 0 5269 x\n" for n in range(ROUNDS * BOGUS))
    zones["bogus.org"]["bogus"] = [f"_xmpp-server._tcp.n{n}.bogus.org SRV" for n in range(ROUNDS * BOGUS)]


# What should happen

def healthy(lab):
    users = lab.sessions
    for one, other in (("alice@a.org", "bob@b.org"), ("carol@a.org", "ann@direct.org"), ("alice@a.org", "dora@dial.org"),
                       ("alice@a.org", "paul@posh.org"), ("alice@a.org", "carol@a.org")):
        for sender, target in ((one, other), (other, one)):
            users.settle([users.message(sender, target) for _ in range(3)] + [users.ping(sender, target.partition("@")[2])],
                         None)
    users.subscribe("alice@a.org", "bob@b.org", None)
    # A server that is called again knows the TLS session still.
    lab.hosts["a"].ctl("close", "b.org")
    users.settle([users.message("alice@a.org", "bob@b.org")], None)


# What should not

def federation_fails(lab, fires_soon):
    """Returns the stanzas that are still to come back. `fires_soon(alert)` waits a little for it."""
    users = lab.sessions
    sent = [users.message("alice@a.org", f"x@{domain}", error) for domain, error in BROKEN.items()]
    sent += [users.message("alice@a.org", f"x@d{n}.wrong.org", NOT_FOUND) for n in range(1, WRONG + 1)]
    sent += [users.message("alice@a.org", "x@black.org", TIMEOUT) for _ in range(120)]
    sent += [users.message("eve@untrusted.org", "alice@a.org", TIMEOUT)]
    for turn in range(ROUNDS):
        for zone, condition, count in (("bogus", NOT_FOUND, BOGUS), ("nowhere", NOT_FOUND, NOWHERE),
                                       ("failing", TIMEOUT, FAILING)):
            sent += [users.message("alice@a.org", f"x@n{n}.{zone}.org", condition)
                     for n in range(turn * count, (turn + 1) * count)]
        if all([fires_soon("ComityNamesBogus"), fires_soon("ComityNamesFail")]):
            break
    return sent


def _any_certificate():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _client(host, user, method="starttls", password=PASSWORD, **options):
    options.setdefault("context", _any_certificate())
    return Client(host.namespace.ip4, PORTS["c2s" if method == "starttls" else "c2s_direct"], host.domains[0], user,
                  password, method, **options)


def _raw(host):
    return socket.create_connection((host.namespace.ip4, PORTS["c2s"]), 20)


def clients_fail(lab):
    host = lab.hosts["a"]
    with host.namespace.inside():
        for _ in range(30):
            client = _client(host, "alice", password="wrong", mechanism="PLAIN")
            with contextlib.suppress(AuthenticationFailed):
                client.login()
            client.abort()
        for _ in range(100):
            with _raw(host) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                while stranger.recv(4096):
                    pass
        for protocol in ("h2", "smtp"):
            refused = _client(host, "alice", "direct", alpn=(protocol,))
            with contextlib.suppress(ssl.SSLError):
                refused.connect()
            refused.abort()
        old = _any_certificate()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with _client(host, "alice", context=old, resource="old") as client:
            client.login()
            client.message("nobody@a.org", "are you there?")  # service-unavailable
            client.wait_for(lambda element: element.get("type") == "error")
            client.send("<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
            client.closed()


def readers_are_slow(lab):
    """Seven of one user's resources do not read what the others get."""
    host = lab.hosts["a"]
    readers = []
    with host.namespace.inside():
        for number in range(7):
            client = _client(host, "slow", resource=f"reader{number}")
            client._connect_tcp = lambda client=client: _connect_narrow(client)
            client.login()
            client.presence()
            readers.append(client)
        with _client(host, "alice", resource="writer") as writer:
            writer.login()
            body = "x" * 200_000
            overflows = 'comity_send_queue_overflows_total{scope="c2s",direction="inbound",method="starttls"} '
            def overflown():
                writer.message("slow@a.org", body)
                text = host.http("/metrics")[1]
                return float(text.partition(overflows)[2].partition("\n")[0]) >= len(readers)
            wait_until(overflown, "all that do not read are closed", interval=0)
    for each in readers:
        each.abort()


def _connect_narrow(client):
    client.socket = socket.socket()
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.socket.settimeout(client.timeout)
    client.socket.connect((client.host, client.port))


def operator_errs(lab, seen, fires, fires_soon):
    """What befalls c, one after the other. `seen(expression)` waits until Prometheus has it, `fires(alert)` until that
    fires, `fires_soon(alert)` a little for it."""
    host = lab.hosts["c"]
    host.ctl("check", "c.org", status=1)  # whose zone has nothing for clients
    fires("ComityOwnRecordsWrong")
    command = host.command()
    host.command = lambda: ["prlimit", "--nofile=1024:1024", *command]
    for _ in range(3):
        host.stop()
        host.launch()
        host.wait_ready()
        seen(f'process_start_time_seconds{{instance="c"}} == {_started(host)}')
    for _ in range(ROUNDS):
        for _ in range(2):
            host.pause()
            time.sleep(0.6)
            host.resume()
        if fires_soon("ComityLoopLag"):
            break
    for each in resolvers_of(host.process.pid):
        os.kill(each, signal.SIGKILL)
    seen('comity_dns_resolver_restarts_total{instance="c"} == 1')
    _certificate_until(lab, host, days=10)
    fires("ComityCertificateExpiresSoon")
    _too_many_connect(host, fires)
    _certificate_until(lab, host, days=5 / 86400)
    fires("ComityCertificateExpired")
    config = host.directory / "comity.toml"
    config.write_text(config.read_text(encoding="utf-8") + "[nonsense]\n", encoding="utf-8")
    _reload(host, "refused")
    fires("ComityReloadFailed")
    host.stop()
    fires("ComityDown")


def _started(host):
    text = host.http("/metrics")[1]
    return text.partition("\nprocess_start_time_seconds ")[2].partition("\n")[0]


def _reload(host, outcome):
    before = host.log().count(f"config.{outcome}")
    host.reload()
    wait_until(lambda: host.log().count(f"config.{outcome}") > before, lambda: f"config.{outcome}\n{host.tail()}")


def _certificate_until(lab, host, days):
    made = lab.certificates[host.name, host.domains[0]]
    lab.authorities.issue(host.domains[0], {"days": [-1, days]}, made.chain, made.key)
    _reload(host, "reload")


def _too_many_connect(host, fires):
    """To the last descriptor that connections may have, and beyond."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as strangers, host.namespace.inside():
        for _ in range(1000):
            strangers.enter_context(_raw(host))
        fires("ComityConnectionsRejected")
        fires("ComityDescriptorsRunOut")
        # Those there are descriptors left for still get an answer (THREATS G4).
        host.ctl("status")
