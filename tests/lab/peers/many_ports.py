"""Ports that are wrong in one way each: config.ports maps a port to "WAY DOMAIN", the domain's certificate being what it
presents."""

import functools
import socket

import listening

FEATURES = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></stream:features>"
UNKNOWN = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"


def answer(connection, domain, content):
    if listening.receive_until(connection, rb"<stream:stream[^>]*>"):
        connection.sendall(listening.header(domain, content))
        connection.recv(65536)


def in_clear(talk):
    """Like a real server, it does not wait for the rest of what is TLS."""
    @functools.wraps(talk)
    def watched(domain, connection):
        if connection.recv(1, socket.MSG_PEEK) != b"\x16":
            talk(domain, connection)
    return watched


@in_clear
def starttls(domain, connection):
    if listening.up_to_proceed(connection, domain):
        with listening.accept_tls(connection, domain) as secured:
            answer(secured, domain, FEATURES)


def web(domain, connection):
    """TLS for a browser alone."""
    with listening.accept_tls(connection, domain, ("http/1.1",)) as secured:
        secured.recv(65536)


def http(_, connection):
    if connection.recv(65536):
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@in_clear
def plain(domain, connection):
    answer(connection, domain, "<stream:features/>")


@in_clear
def unknown(domain, connection):
    answer(connection, domain, UNKNOWN)


def mends(domain, connection):
    """Knows no STARTTLS when it is asked at first, and whatever else is tried then."""
    seen.append(connection)
    (starttls if len(seen) > 4 else plain)(domain, connection)


seen = []
WAYS = {each.__name__: each for each in (starttls, web, http, plain, unknown, mends)}

ports = {int(port): wish.split() for port, wish in listening.HOST["config"]["ports"].items()}
listening.serve({port: functools.partial(WAYS[way], domain) for port, (way, domain) in ports.items()})
