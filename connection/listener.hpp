// connection/listener.hpp: a listening socket, and what happens to what it accepts.
//
// Accepts on one loop and hands each socket to the loop with the fewest connections. Refuses at once, before a stream,
// what is over the limit of its address or of all, or is still to be accepted when the port closes. Out of descriptors
// all the same, it pauses and tries again soon, keeping the port open (THREATS G4).
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connection/accepted_socket.hpp"
#include "connection/connection_metrics.hpp"
#include "connection/limits.hpp"
#include "connection/log.hpp"
#include "connection/loop.hpp"
#include "connection/s2s/address_rules.hpp"
#include "connection/vocabulary.hpp"

namespace comity::connection {

class listener {
public:
  /// Takes an accepted socket; called on the listener's loop.
  using taker = std::function<void(accepted_socket)>;

  struct collaborators {  // all outlive the listener
    connection::loop& loop;
    ip_limits& limits;
    log::sink& log;
  };

  /// Binds and listens at once. `host` is numeric ("::" takes IPv4 too). The error says what failed: "address already
  /// in use". `usual` is what a connection counts as until more of it is known. What comes from one of `proxies` is
  /// handed on without a permit: whom it counts for is not known yet. Any thread before the loop runs, else the loop's
  /// thread.
  [[nodiscard]] static std::expected<std::unique_ptr<listener>, std::string> open(
      collaborators, const std::string& host, std::uint16_t port, route usual, taker take,
      std::vector<address_block> proxies = {});
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  /// Begins to accept. Loop thread, or before the loop runs.
  void start();
  /// Other proxies than before. Loop thread.
  void proxies(std::vector<address_block>);
  /// Closes the port; nothing more is accepted, and who waits to be is refused. Loop thread.
  void close();
  /// The port in use, also where 0 was asked for.
  [[nodiscard]] std::uint16_t port() const noexcept;

private:
  struct state;
  explicit listener(std::shared_ptr<state>) noexcept;
  std::shared_ptr<state> state_;  // shared with the waits under way, which outlive close()
};

}  // namespace comity::connection
