#!/usr/bin/env python3
"""Proves that a quickstart server works: quickstart_check.py COMITYD RUN_DIRECTORY

Alice writes to bob over STARTTLS, bob answers over direct TLS, and the metrics must have counted each by its method.
"""

import os
import pathlib
import secrets
import signal
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "system"))
import xmpp_client

START = 30  # seconds, each
STOP = 30


class Failed(Exception):
    pass


def fetch(url):
    """The body of a 200 answer; no proxy of the environment is asked."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5) as answer:
        return answer.read().decode()


def wait_until_ready(daemon, metrics):
    deadline = time.monotonic() + START
    while True:
        if daemon.poll() is not None:
            raise Failed(f"comityd ended with status {daemon.returncode} instead of starting; its last lines are above")
        try:
            return fetch(f"{metrics}/readyz")
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise Failed(f"{metrics}/readyz does not say ready: {error}") from error
        time.sleep(0.05)


def established(metrics):
    """comity_connections_established_total of clients, by method."""
    counts = {}
    for line in fetch(f"{metrics}/metrics").splitlines():
        if line.startswith("comity_connections_established_total{"):
            name, _, value = line.rpartition(" ")
            labels = dict(part.split("=", 1) for part in name[name.index("{") + 1:-1].split(","))
            if labels["scope"] == '"c2s"':
                counts[labels["method"].strip('"')] = float(value)
    return counts


def client(run, config, user, method):
    wanted = "starttls" if method == "starttls" else "direct"
    address = next(each["address"] for each in config["listen"] if each["tls"] == wanted)
    host, _, port = address.rpartition(":")
    password = (run / f"{user}.password").read_text(encoding="utf-8").strip()
    return xmpp_client.Client(host.strip("[]"), int(port), "localhost", user, password, method, run / "ca.crt",
                              timeout=10)


def told(client, name):
    binding = "" if client.used_mechanism is None else f", {client.used_mechanism}"
    alpn = f", ALPN {client.alpn()}" if client.alpn() else ""
    method = {"starttls": "STARTTLS", "direct": "direct TLS"}[client.method]
    print(f"  {name}: {client.jid} by {method}, {client.tls_version()}{alpn}{binding}")


def converse(run, config, metrics):
    before = established(metrics)
    with client(run, config, "alice", "starttls") as alice, client(run, config, "bob", "direct") as bob:
        alice.login()
        told(alice, "alice")
        bob.login()
        told(bob, "bob")
        alice.presence()
        bob.presence()
        # Something nobody else says: bob may find messages of an earlier run.
        question, answer = f"Are you there? {secrets.token_hex(4)}", f"I am. {secrets.token_hex(4)}"
        alice.message(bob.jid, question)
        bob.wait_for(xmpp_client.is_message(question, alice.jid))
        print(f"  alice to bob: {question}")
        bob.message(alice.jid, answer)
        alice.wait_for(xmpp_client.is_message(answer, bob.jid))
        print(f"  bob to alice: {answer}")
        if not alice.close() or not bob.close():
            raise Failed("the server did not close a stream by </stream:stream>")
    after = established(metrics)
    for method in ("starttls", "direct_tls"):
        if method not in before:
            raise Failed(f"{metrics}/metrics has no comity_connections_established_total of method {method}")
        print(f'  comity_connections_established_total{{scope="c2s",method="{method}"}}: '
              f"{before[method]:.0f} before, {after[method]:.0f} after")
        if after[method] != before[method] + 1:
            raise Failed(f"one connection was made by {method}, and it was not counted so")


def stop(daemon):
    daemon.send_signal(signal.SIGTERM)
    try:
        status = daemon.wait(STOP)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"comityd does not stop within {STOP} s of SIGTERM") from error
    if status != 0:
        raise Failed(f"comityd ended with status {status} after SIGTERM")
    print("  comityd stopped with status 0")


def main():
    program, run = sys.argv[1], pathlib.Path(sys.argv[2])
    config = tomllib.loads((run / "comity.toml").read_text(encoding="utf-8"))
    metrics = "http://" + config["metrics"]["address"]
    log_path = run / "check.log"
    with open(log_path, "w", encoding="utf-8") as log:
        daemon = subprocess.Popen([program, "--config", str(run / "comity.toml")], stderr=log,
                                  stdin=subprocess.DEVNULL, preexec_fn=os.setpgrp)
    try:
        try:
            wait_until_ready(daemon, metrics)
            print("quickstart --check:")
            converse(run, config, metrics)
            stop(daemon)
        finally:
            if daemon.poll() is None:
                daemon.kill()
                daemon.wait()
    except (Failed, OSError, xmpp_client.StreamError, xmpp_client.StreamClosed, xmpp_client.AuthenticationFailed,
            RuntimeError, StopIteration) as error:
        sys.stderr.write(log_path.read_text(encoding="utf-8", errors="replace")[-4000:])
        print(f"quickstart --check: FAILED: {error or type(error).__name__}", file=sys.stderr)
        return 1
    print("quickstart --check: passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
