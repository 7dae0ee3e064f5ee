// connection/front/alpn_router.hpp: one port for everything (XEP-0368 §4, RFC 7301): who is to serve a TLS client, by
// what its ClientHello asks for. Pure.
//
// Decided before TLS is spoken, so that each route keeps its own rules: whoever serves it selects its own protocol and
// no other, asks for a certificate or does not, and what is forwarded is not touched (THREATS B9).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "connection/connection_metrics.hpp"
#include "tls/client_hello.hpp"

namespace comity::connection {

/// Who serves a connection. `sniff`: its first decrypted bytes decide; `forward`: another program, untouched.
enum class destination : std::uint8_t { c2s, s2s, http, sniff, refuse, forward };

struct front_route {
  destination to = destination::refuse;
  // of `forward`
  std::string host = {};  // a name, or an address without brackets
  std::uint16_t port = 0;
  friend bool operator==(const front_route&, const front_route&) = default;
};

struct front_routes {
  std::map<std::string, front_route, std::less<>> by_server_name;  // SNI, A-labels in lower case; asked first
  std::map<std::string, front_route, std::less<>> by_protocol;     // ALPN
  front_route none;                                                // no ALPN
  front_route other;                                               // an offer without anything of by_protocol
};

/// The same for every order of the same offers (D13): xmpp-client, xmpp-server, h2 and http/1.1 are looked for in this
/// order, then the other names in theirs. h2 comes before http/1.1 since whoever offers both prefers it, and who wants
/// HTTP/1.1 alone (WebSocket) offers that alone. `routes` outlives the result.
[[nodiscard]] const front_route& route_of(const tls::client_hello&, const front_routes& routes);

/// How comity_alpn_total counts an offer.
[[nodiscard]] alpn_offer class_of(std::span<const std::string> offered);

}  // namespace comity::connection
