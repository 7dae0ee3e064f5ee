// connection/transport/tcp_connect.hpp: opens a TCP connection to one address, without blocking.
//
// One object an attempt, owned by who dials; loop thread only. Destroying it calls the attempt off. It knows no
// deadline: that is the dialler's, from the first SYN to an authenticated stream.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "connection/loop.hpp"
#include "connection/vocabulary.hpp"
#include "dns/answer.hpp"

namespace comity::connection {

/// "192.0.2.7:5269", "[2001:db8::7]:5269".
[[nodiscard]] std::string endpoint_text(const dns::address&, std::uint16_t port);

class tcp_connect {
public:
  struct failure {
    connection::cause cause = cause::tcp_unreachable;  // or tcp_refused, tcp_timeout
    std::string text;                                  // the system's words
  };
  /// The descriptor is non-blocking, set up to find a dead peer, and the callee's to close.
  using completion = std::move_only_function<void(std::expected<int, failure>)>;

  /// Begins at once; `done` is called once, never within this. It may destroy this object.
  tcp_connect(loop&, const dns::address&, std::uint16_t port, completion done);
  ~tcp_connect();
  tcp_connect(const tcp_connect&) = delete;
  tcp_connect& operator=(const tcp_connect&) = delete;

private:
  struct state;
  std::shared_ptr<state> state_;  // shared with the wait under way, which calls back once more when it is called off
};

}  // namespace comity::connection
