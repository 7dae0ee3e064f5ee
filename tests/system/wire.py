"""What the tests of the wire share: raw bytes in, the end of the stream out."""

import re

from xmpp_client import CLIENT, STREAM

_ERROR = re.compile(rb"<stream:error><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'\s*/>(.*?)</stream:error>")
_HEADER = re.compile(rb"<stream:stream [^>]*>")

HEADER = ("<?xml version='1.0'?><stream:stream to='comity.test' version='1.0' "
          f"xmlns='{CLIENT}' xmlns:stream='{STREAM}'>")


def everything_sent(server, data, method="starttls", features_first=False):
    """All that the server says to `data` on a connection of its own, until it closes."""
    client = server.raw(method)
    try:
        if features_first:
            client.send(HEADER)
            client.receive_until(b"</stream:features>")
        client.send(data)
        return client.receive_all()
    finally:
        client.abort()


def error_of(received):
    """The condition of the stream error in what a server sent up to its close; None without one.

    RFC 6120 §4.9.1.3, §4.4: it must stand inside one opened stream that is closed right behind it (H03).
    """
    found = _ERROR.search(received)
    if found is None:
        return None
    headers = len(_HEADER.findall(received[:found.start()]))
    if headers != 1:
        raise AssertionError(f"a stream error behind {headers} stream headers: {received}")
    if not received.endswith(b"</stream:error></stream:stream>"):
        raise AssertionError(f"the stream is not closed right behind its error: {received}")
    return found[1].decode()
