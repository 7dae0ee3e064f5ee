"""Opens a stream as another server by direct TLS, without ALPN or with what is given last, and prints what it hears.

    server_without_alpn.py AUTHORITY HOST PORT DOMAIN [ALPN]
"""

import socket
import ssl
import sys

authority, host, port, domain, *alpn = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
if alpn:
    context.set_alpn_protocols(alpn)
try:
    with context.wrap_socket(socket.create_connection((host, int(port)), 10), server_hostname=host) as tls:
        tls.sendall(f"<stream:stream to='{host}' from='{domain}' version='1.0' xmlns='jabber:server' "
                    "xmlns:stream='http://etherx.jabber.org/streams'>".encode())
        heard = b""
        while b"</stream:features>" not in heard and (more := tls.recv(4096)):
            heard += more
        print(heard.decode())
except ssl.SSLError as fault:
    print(fault)
