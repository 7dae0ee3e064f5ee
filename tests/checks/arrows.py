#!/usr/bin/env python3
"""Includes follow the arrows of the design: server to connection to tls and dns, and tls to plain values of dns."""

import re

import checking

ALLOWED = {
    "dns": {"dns"},
    "tls": {"tls", "dns"},
    "connection": {"connection", "tls", "dns"},
    "server": {"server", "connection", "tls", "dns"},
}
# All that tls may know of dns.
DNS_VALUES = {"dns/answer.hpp", "dns/tlsa.hpp"}

INCLUDE = re.compile(r'^\s*#\s*(?:include|import)\s*([<"])([^>"]+)[>"]')


def fault(file, bracket, included):
    """What is wrong with this include in this file, or None."""
    folder, name = file.split("/")[0], file.rsplit("/", 1)[-1]
    in_house = folder in checking.FOLDERS
    target = included.split("/")[0]
    if in_house and target in checking.FOLDERS:
        if target not in ALLOWED[folder]:
            return f"{folder} must not know {target}"
        if (folder, target) == ("tls", "dns") and included not in DNS_VALUES:
            return "tls knows plain values of dns only: " + ", ".join(sorted(DNS_VALUES))
    elif in_house and bracket == '"':
        return "our own headers are included by their path from the root"
    if included.startswith("openssl/") and folder not in ("tls", "tests"):
        return "OpenSSL stays in tls"
    if included in ("unbound.h", "unbound-event.h") and folder != "dns":
        return "libunbound stays in dns"
    if included.startswith("prometheus/") and folder not in ("server", "tests") and "_metrics." not in name:
        return "prometheus-cpp stays in server and in the files named *_metrics"
    if included == "asio.hpp" or included.startswith("asio/"):
        if in_house and name.endswith(".hpp"):
            return "Asio stays out of headers"
    return None


def findings_in(file, text):
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if match and (what := fault(file, *match.groups())):
            yield f"{file}:{number}: {match[2]}: {what}"


def check():
    files = checking.tracked("*.cpp", "*.hpp")
    if not files:
        return ["no sources found: is this a git work tree?"]
    return [line for file in files
            for line in findings_in(file, (checking.ROOT / file).read_text(encoding="utf-8"))]


def self_test():
    return checking.judged([
        (("dns/a.cpp", '#include "tls/stream.hpp"'), True),
        (("dns/a.cpp", '#include "connection/jid.hpp"'), True),
        (("dns/a.cpp", '  #  include "server/log.hpp"'), True),
        (("tls/a.cpp", '#include "connection/jid.hpp"'), True),
        (("tls/a.cpp", '#include "dns/resolver.hpp"'), True),
        (("tls/a.cpp", '#include "dns/answer.hpp"'), False),
        (("connection/a.cpp", '#include "server/log.hpp"'), True),
        (("connection/a.cpp", '#include <server/log.hpp>'), True),
        (("connection/xml/a.cpp", '#include "parser.hpp"'), True),
        (("connection/a.cpp", '#include "tls/stream.hpp"'), False),
        (("server/a.cpp", '#include "connection/jid.hpp"'), False),
        (("server/a.cpp", "#include <openssl/rand.h>"), True),
        (("connection/a.hpp", "#include <openssl/ssl.h>"), True),
        (("tls/a.cpp", "#include <openssl/ssl.h>"), False),
        (("tests/tls/a.cpp", "#include <openssl/ssl.h>"), False),
        (("server/a.cpp", "#include <unbound.h>"), True),
        (("dns/a.cpp", "#include <unbound.h>"), False),
        (("connection/loop.cpp", "#include <prometheus/counter.h>"), True),
        (("connection/connection_metrics.cpp", "#include <prometheus/counter.h>"), False),
        (("server/metrics.cpp", "#include <prometheus/counter.h>"), False),
        (("connection/loop.hpp", "#include <asio/io_context.hpp>"), True),
        (("server/loop.hpp", "#include <asio.hpp>"), True),
        (("connection/loop.cpp", "#include <asio/io_context.hpp>"), False),
    ], lambda sample: list(findings_in(*sample)))


if __name__ == "__main__":
    checking.run(check, self_test)
