// connection/connection_metrics.hpp: counts what happens to connections (families comity_connections* and their kin).
//
// One `metrics_cell` a loop holds plain counters that only that loop's thread writes; a scrape on any thread reads them
// with relaxed loads and sums the cells. Methods are events; label sets are closed by type, so series are bounded and
// all exist from the start at 0. No strings, no lookups, no locks on the way of a stanza.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "connection/errors.hpp"
#include "connection/stanza.hpp"
#include "connection/vocabulary.hpp"

namespace prometheus {
class Collectable;
}

namespace comity::connection {

/// What tells connections apart in metrics.
struct route {
  connection::scope scope = scope::c2s;
  connection::direction direction = direction::inbound;
  connection::method method = method::starttls;
};

enum class mechanism : std::uint8_t {
  plain,
  scram_sha_1,
  scram_sha_1_plus,
  scram_sha_256,
  scram_sha_256_plus,
  scram_sha_512,
  scram_sha_512_plus,
  external,
  unknown,  // a name we do not have: one series for all of them
};
inline constexpr std::size_t mechanism_count = 9;
/// "SCRAM-SHA-1-PLUS" and so on; "unknown".
[[nodiscard]] std::string_view to_string(mechanism) noexcept;

enum class alpn_offer : std::uint8_t { xmpp_client, xmpp_server, http, none, other };
enum class alpn_routed : std::uint8_t { c2s, s2s, http, forward, refused };
enum class tls_version : std::uint8_t { tls_1_2, tls_1_3 };

class metrics_cell {
public:
  metrics_cell();
  ~metrics_cell();
  metrics_cell(const metrics_cell&) = delete;
  metrics_cell& operator=(const metrics_cell&) = delete;

  // All of these: the owning loop's thread only.
  void attempted(route) noexcept;
  void established(route) noexcept;           // also raises the gauge comity_connections
  void failed(route, phase, cause) noexcept;  // set-up failed
  void closed(route, cause) noexcept;         // an established stream ended; lowers the gauge
  void rejected(scope, rejection) noexcept;
  void phase_took(route, phase, std::chrono::nanoseconds) noexcept;
  void setup_took(route, std::chrono::nanoseconds) noexcept;
  void tls_handshake(route, tls_version, bool resumed) noexcept;
  void alpn(alpn_offer, alpn_routed) noexcept;
  void authentication_attempted(route, mechanism) noexcept;
  void authentication_failed(route, mechanism, sasl_condition) noexcept;
  void stanza_received(route, stanza_kind) noexcept;
  void stanza_sent(route, stanza_kind) noexcept;
  void bytes_received(route, std::size_t) noexcept;  // on the wire's clear side: XML bytes
  void bytes_sent(route, std::size_t) noexcept;
  void stanza_error_sent(scope, stanza_condition) noexcept;
  void stream_error_sent(route, stream_condition) noexcept;
  void stream_error_received(route, stream_condition) noexcept;
  void send_queue_overflowed(route) noexcept;
  void loop_lagged(std::chrono::nanoseconds) noexcept;  // comity_event_loop_lag_seconds

private:
  friend class connection_metrics;
  struct counters;
  std::unique_ptr<counters> counters_;
};

class connection_metrics {
public:
  /// `cells`: one a loop. `allowed`: every (scope, direction, method) that the configuration allows.
  connection_metrics(std::size_t cells, std::vector<route> allowed);
  ~connection_metrics();
  [[nodiscard]] metrics_cell& cell(std::size_t loop) noexcept;
  /// After a reload: more routes may be allowed; none is taken away.
  void allow(const std::vector<route>& allowed);
  /// For the registry; lives as long as this object is used.
  [[nodiscard]] std::shared_ptr<prometheus::Collectable> collectable() const;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace comity::connection
