// server/http/http_connection.hpp: HTTP/1.1 with one peer, in clear or under TLS that stands already (RFC 9112).
//
// Requests are answered one after another, each when the answer before it is on its way: of what a peer pipelines no
// more than one read waits here. Bounded in bytes (request_reader), requests and time, whatever bytes come (THREATS G2,
// G5). An answer of 101 ends HTTP: who is named for it takes the connection over, with what was read behind the
// request. Owned by its loop's loop_connections; lives on that loop.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "connection/accepted_socket.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "connection/s2s/address_rules.hpp"
#include "server/http/message.hpp"

namespace comity::http {

/// What one peer may take.
struct connection_limits {
  std::uint32_t requests = 1000;                   // on one connection; the last one's answer closes it
  std::chrono::milliseconds request_time{10'000};  // from its first byte to our last, absolute
  std::chrono::milliseconds idle_time{60'000};     // before the first request, and between them
  std::chrono::milliseconds linger_time{2'000};    // after our last byte, for the peer to close (RFC 9112 §9.6)
};

/// What is served; immutable. By exact path, with GET and HEAD and nothing else.
struct site {
  std::map<std::string, handler, std::less<>> paths;
  connection_limits limits;
  std::vector<connection::address_block> proxies;  // whose X-Forwarded-For is believed, and that they end TLS
  /// Takes a connection over whose 101 is written; on its loop. TLS, where there is some, comes with it.
  std::function<void(connection::loop_connections&, connection::accepted_socket)> upgraded;
};

/// All of it outlives the connections.
struct http_collaborators {
  connection::loop_connections& loop;
  connection::ip_limits& limits;
  log::sink& log;
};

/// `socket` needs no permit where it comes from one of the site's proxies: each client behind it is admitted by itself.
/// That loop's thread only.
void serve_http(const http_collaborators&, std::shared_ptr<const site>, connection::accepted_socket socket);

}  // namespace comity::http
