// server/http/http_listener.hpp: the HTTP/1.1 endpoint for metrics and health.
//
// Serves exact paths with GET and HEAD and nothing else; no path is decoded, joined or normalised (THREATS G5). Bounded
// in connections, header bytes and time. All of it runs on the io_context given, on its one thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <string>

#include "server/http/message.hpp"

namespace asio {
class io_context;
}

namespace comity::http {

/// What the peers may take.
struct listener_limits {
  std::size_t connections = 64;                    // one more is closed at once
  std::chrono::milliseconds request_time{10'000};  // from its first byte to our last, absolute
  std::chrono::milliseconds idle_time{60'000};     // between requests
  std::chrono::milliseconds linger_time{2'000};    // after our last byte, for the peer to close (RFC 9112 §9.6)
};

class http_listener {
public:
  /// Binds and begins to serve once the context runs. The context outlives this. The error says what failed.
  [[nodiscard]] static std::expected<std::unique_ptr<http_listener>, std::string> open(
      asio::io_context& context, const std::string& host, std::uint16_t port, std::map<std::string, handler> routes,
      listener_limits = {});
  /// Closes the port and all connections.
  ~http_listener();
  http_listener(const http_listener&) = delete;
  http_listener& operator=(const http_listener&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept;

  struct state;  // of the source file

private:
  explicit http_listener(std::shared_ptr<state>) noexcept;
  std::shared_ptr<state> state_;  // shared with what is under way on the context
};

}  // namespace comity::http
