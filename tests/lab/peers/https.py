"""Answers a GET of each path of config.documents by its text, over HTTPS with the certificate of its first domain."""

import re

import listening

DOCUMENTS = listening.HOST["config"]["documents"]


def answer(connection):
    with listening.accept_tls(connection, listening.HOST["domains"][0], ["http/1.1"]) as secured:
        request = listening.receive_until(secured, rb"\r\n\r\n")
        asked = re.match(rb"GET (\S+) HTTP/1\.1\r\n", request)
        body = DOCUMENTS.get(asked[1].decode() if asked else "")
        status = "200 OK" if body is not None else "404 Not Found"
        body = (body or "").encode()
        secured.sendall(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
                        f"Connection: close\r\n\r\n".encode() + body)


listening.serve({443: answer})
