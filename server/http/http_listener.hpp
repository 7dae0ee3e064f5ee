// server/http/http_listener.hpp: the port for metrics and health.
//
// Speaks HTTP/1.1 in clear as every port for it does (http_connection), on a loop of the caller's choice, with
// connections that are nobody else's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>

#include "connection/limits.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "server/http/http_connection.hpp"

namespace comity::connection {
class listener;
}

namespace comity::http {

/// What the peers may take.
struct listener_limits {
  std::size_t connections = 64;  // one more is closed at once
  connection_limits each = {};
};

class http_listener {
public:
  struct collaborators {  // all outlive it
    connection::loop& loop;
    log::sink& log;
  };
  /// Binds and begins to serve once the loop runs. Before it runs, or on its thread. The error says what failed.
  [[nodiscard]] static std::expected<std::unique_ptr<http_listener>, std::string> open(
      collaborators, const std::string& host, std::uint16_t port, std::map<std::string, handler, std::less<>> paths,
      listener_limits = {});
  /// Closes the port and all connections. When the loop has stopped.
  ~http_listener();
  http_listener(const http_listener&) = delete;
  http_listener& operator=(const http_listener&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;

private:
  explicit http_listener(connection::loop&);
  connection::ip_limits addresses_;  // without a bound: what counts is all of them together
  connection::loop_connections connections_;
  std::unique_ptr<connection::listener> listener_;
};

}  // namespace comity::http
