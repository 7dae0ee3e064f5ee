#!/usr/bin/env python3
"""Two clients that talk all along, in a process of their own so that nobody else's work is measured with theirs.

    control.py HOST STARTTLS_PORT DIRECT_PORT DOMAIN CAFILE PASSWORD

`control-a` (STARTTLS) and `control-b` (direct TLS) log in, say "ready JID JID", and from then on write to each other in
turns, a message each PAUSE. Each must be the next thing that the other gets. A line on standard input is answered by one
object: the latencies in seconds since the last line, and whatever else the two were sent. They end with standard input, or
with status 1 and the reason if a message is lost, out of order, or changed.
"""

import json
import select
import sys
import time

sys.path.insert(0, __file__.rpartition("/hostile/")[0])

from xmpp_client import CLIENT, Client, tls_context  # noqa: E402

PAUSE = 0.01
PATIENCE = 60


def login(host, port, domain, user, password, method, context):
    client = Client(host, port, domain, user, password, method, timeout=PATIENCE, context=context, resource="control")
    client.login()
    client.presence()
    client.wait_for(lambda element: element.get("from") == client.jid)
    return client


def main(host, starttls_port, direct_port, domain, cafile, password):
    pair = [login(host, int(port), domain, user, password, method, tls_context(cafile))
            for port, user, method in ((starttls_port, "control-a", "starttls"), (direct_port, "control-b", "direct"))]
    print("ready", *(client.jid for client in pair), flush=True)
    latencies, strays = [], []
    number = 0
    while True:
        began = time.monotonic()
        number += 1
        sender, recipient = pair if number % 2 else pair[::-1]
        body = f"control {number}"
        sender.message(recipient.jid, body)
        while True:
            element = recipient.next()
            if element.tag == f"{{{CLIENT}}}message" and element.get("from") == sender.jid:
                if element.findtext(f"{{{CLIENT}}}body") != body:
                    sys.exit(f"lost, or out of order: wanted {body}, got {element.findtext(f'{{{CLIENT}}}body')}")
                break
            strays.append(f"{element.tag} from {element.get('from')}")
        latencies.append(time.monotonic() - began)
        ready = select.select([sys.stdin], [], [], max(0, PAUSE - latencies[-1]))[0]
        if ready:
            if not sys.stdin.readline():
                break
            strays += [f"{each.tag} from {each.get('from')}" for client in pair for each in client.pending()]
            print(json.dumps({"latencies": latencies, "strays": strays}), flush=True)
            latencies, strays = [], []
    for client in pair:
        client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
