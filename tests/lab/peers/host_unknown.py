"""Has the right certificate and does not serve the domain: host-unknown, before TLS on 5269 unless config.tls, after it
on 5270."""

import listening

DOMAIN = listening.HOST["domains"][0]
UNKNOWN = ("<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
           "</stream:stream>")


def refuse(connection):
    if listening.receive_until(connection, rb"<stream:stream[^>]*>"):
        connection.sendall(listening.header(DOMAIN, UNKNOWN))
        connection.recv(65536)


def starttls(connection):
    if not listening.HOST["config"].get("tls"):
        refuse(connection)
    elif listening.up_to_proceed(connection, DOMAIN):
        with listening.accept_tls(connection, DOMAIN) as secured:
            refuse(secured)


def direct(connection):
    with listening.accept_tls(connection, DOMAIN) as secured:
        refuse(secured)


listening.serve({5269: starttls, 5270: direct})
