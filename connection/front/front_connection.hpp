// connection/front/front_connection.hpp: a connection whose server is not known yet: what stands before a stream on a
// port that takes in more than one kind, or that a proxy stands in front of.
//
// In this order, as far as the port's settings ask for it: the PROXY header is read; the first byte tells TLS from a
// stream in clear; the ClientHello is looked at, left in the socket, and routed by ALPN and SNI; TLS is spoken here
// only for HTTP and for clients without ALPN, whose first decrypted bytes then tell. Whoever the route leads to takes
// the connection over and keeps its own rules. All of it is bounded by limits.tls_timeout from accept on, whatever
// bytes come (THREATS B5), what follows TLS by limits.handshake_timeout. Owned by its loop's loop_connections; lives on
// that loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "connection/accepted_socket.hpp"
#include "connection/front/alpn_router.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "connection/s2s/address_rules.hpp"
#include "connection/xml/framer.hpp"

namespace comity::tls {
class server_context;
}

namespace comity::connection {

enum class front_opening : std::uint8_t {
  clear,   // what is spoken, in clear
  tls,     // a ClientHello
  either,  // told by the first byte: 0x16 is a ClientHello, anything else a stream in clear
};

/// Of one port; immutable.
struct front_settings {
  std::vector<address_block> proxies;  // who must send a PROXY header; nobody else may
  front_opening opens_with = front_opening::tls;
  std::optional<destination> only;  // c2s, s2s or http: all that comes; nullopt: by `routes`
  front_routes routes;
  bool introduces = false;                // what is forwarded begins with a PROXY header
  std::vector<address_block> clear_http;  // who may speak HTTP in clear, besides loopback
  std::chrono::milliseconds tls_timeout{};
  std::chrono::milliseconds handshake_timeout{};
  xml::framer_limits before_authentication;  // of a stream header that has to be looked at
};

[[nodiscard]] bool contains(const std::vector<address_block>& blocks, const dns::address&) noexcept;

/// Who takes over, on the connection's loop; an empty one is not served. To `http` TLS comes established, where it is
/// spoken at all; to the others only where somebody had to look inside.
struct front_takers {
  using taker = std::function<void(loop_connections&, accepted_socket)>;
  taker c2s, s2s, http;
  /// Of c2s, s2s or http.
  [[nodiscard]] const taker& of(destination) const noexcept;
};

/// All of it outlives the connections.
struct front_collaborators {
  loop_connections& loop;
  ip_limits& limits;
  const tls::server_context& tls;
  log::sink& log;
  const front_takers& takers;
};

/// `socket` has no permit yet where it comes from one of the proxies: its client is admitted here. That loop's thread
/// only.
void serve_front(const front_collaborators&, std::shared_ptr<const front_settings>, accepted_socket socket);

}  // namespace comity::connection
