// tests/fakes/tls_pair.hpp: our stream on both ends of a socket pair, as client and as server.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tls/client_context.hpp"
#include "tls/context.hpp"
#include "tls/stream.hpp"

namespace comity::fakes {

class tls_pair {
public:
  static constexpr std::array<std::string_view, 1> xmpp_server{"xmpp-server"};

  tls_pair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()) != 0) {
      throw std::runtime_error{"no socket pair"};
    }
    client = tls::stream{ends_[0]};
    server = tls::stream{ends_[1]};
  }
  ~tls_pair() {
    client = tls::stream{-1};
    server = tls::stream{-1};
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  tls_pair(const tls_pair&) = delete;
  tls_pair& operator=(const tls_pair&) = delete;

  /// Steps both ends until each has its answer; then one read each, which takes in tickets and alerts.
  /// True where both are done.
  bool shake() {
    client_says = server_says = {tls::io_status::want_read, 0};
    for (int i = 0; i < 20; ++i) {
      step(client, client_says);
      step(server, server_says);
    }
    const bool done = client_says.status == tls::io_status::done && server_says.status == tls::io_status::done;
    if (client_says.status == tls::io_status::done) {
      client_says = read(client);
    }
    if (server_says.status == tls::io_status::done) {
      server_says = read(server);
    }
    return done;
  }
  /// The whole of it between servers: the client is asked for its certificate.
  bool connect(const tls::client_context& from, const tls::connect_options& options, const tls::server_context& to,
               tls::client_certificate certificate = tls::client_certificate::requested) {
    server.accept(to, xmpp_server, {}, certificate);
    client.connect(from, options);
    return shake();
  }

  tls::stream client{-1}, server{-1};
  tls::io_result client_says, server_says;  // at the end of shake()

private:
  static void step(tls::stream& end, tls::io_result& says) {
    if (says.status == tls::io_status::want_read || says.status == tls::io_status::want_write) {
      says = end.handshake();
    }
  }
  static tls::io_result read(tls::stream& end) {
    std::array<char, 64> into{};
    return end.read(into);
  }

  std::array<int, 2> ends_{-1, -1};
};

}  // namespace comity::fakes
