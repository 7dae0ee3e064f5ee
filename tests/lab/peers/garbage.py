"""Answers a ClientHello by what is no TLS."""

import listening

GARBAGE = bytes(range(256)) * 8


def starttls(connection):
    if listening.up_to_proceed(connection, listening.HOST["domains"][0]) and connection.recv(65536):
        connection.sendall(GARBAGE)
        connection.recv(65536)


def direct(connection):
    if connection.recv(65536):
        connection.sendall(GARBAGE)
        connection.recv(65536)


listening.serve({5269: starttls, 5270: direct})
