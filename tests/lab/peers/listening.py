"""What the scripted peers share: their host as the lab tells it, and a thread for each connection."""

import json
import re
import socket
import ssl
import sys
import threading

STREAM = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"

HOST = json.loads(sys.argv[1])


def serve(ports):
    """Serves each port of {port: function of a connected socket} at every address of the host, for ever."""
    for port, talk in ports.items():
        for family, address in ((socket.AF_INET, HOST["ip4"]), (socket.AF_INET6, HOST["ip6"])):
            if address:
                listener = socket.create_server((address, port), family=family)
                threading.Thread(target=_accept, args=(listener, talk), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


def _accept(listener, talk):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk, args=(connection, talk), daemon=True).start()


def _talk(connection, talk):
    with connection:
        try:
            talk(connection)
        except (OSError, ssl.SSLError) as fault:
            print(f"the other side went: {fault}", flush=True)


def receive_until(connection, mark):
    """What came up to and with the read in which the pattern `mark` matches; b"" if the peer closes before."""
    received = b""
    while not re.search(mark, received):
        data = connection.recv(65536)
        if not data:
            return b""
        received += data
    return received


def header(domain, content):
    """A response stream header, and what follows it."""
    return (f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='{STREAM}' "
            f"xmlns:db='jabber:server:dialback' version='1.0' id='lab' from='{domain}'>{content}").encode()


def up_to_proceed(connection, domain):
    """STARTTLS up to the point where the handshake begins; False if the peer does not ask for it."""
    if not receive_until(connection, rb"<stream:stream[^>]*>"):
        return False
    connection.sendall(header(domain, f"<stream:features><starttls xmlns='{TLS}'><required/></starttls></stream:features>"))
    if not receive_until(connection, rb"<starttls[^>]*>"):
        return False
    connection.sendall(f"<proceed xmlns='{TLS}'/>".encode())
    return True


def accept_tls(connection, domain, protocols=("xmpp-server",)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(HOST["certificates"][domain]["chain"], HOST["certificates"][domain]["key"])
    context.set_alpn_protocols(list(protocols))
    return context.wrap_socket(connection, server_side=True)
