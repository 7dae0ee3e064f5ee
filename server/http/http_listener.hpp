// server/http/http_listener.hpp: the HTTP/1.1 endpoint for metrics and health.
//
// Serves exact paths with GET and HEAD and nothing else; no path is decoded, joined or normalised (THREATS G5). Bounded
// in connections, header bytes and time. All of it runs on the io_context given, on its one thread.
#pragma once

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

class http_listener {
public:
  /// Binds and begins to serve once the context runs. The context outlives this. The error says what failed.
  [[nodiscard]] static std::expected<std::unique_ptr<http_listener>, std::string> open(
      asio::io_context& context, const std::string& host, std::uint16_t port, std::map<std::string, handler> routes);
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
