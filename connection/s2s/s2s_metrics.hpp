// connection/s2s/s2s_metrics.hpp: counts what happens between servers beyond single connections (families
// comity_s2s_*).
//
// As connection_metrics: one cell a loop, written by that loop's thread alone, read by a scrape with relaxed loads;
// label sets are closed by type, and every series stands at 0 from the start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "connection/s2s/trust.hpp"
#include "connection/vocabulary.hpp"
#include "dns/answer.hpp"
#include "dns/service_lookup.hpp"

namespace prometheus {
class Collectable;
}

namespace comity::connection {

class s2s_metrics_cell {
public:
  s2s_metrics_cell();
  ~s2s_metrics_cell();
  s2s_metrics_cell(const s2s_metrics_cell&) = delete;
  s2s_metrics_cell& operator=(const s2s_metrics_cell&) = delete;

  // All of these: the owning loop's thread only. `dns` is the status of the SRV step, `none` where there was none.
  void verified(direction, proof, dns::security) noexcept;             // a peer is proven
  void verification_failed(direction, cause, dns::security) noexcept;  // it is not
  void discovered(dns::endpoint_source) noexcept;                      // what led to an established connection
  void bounced(cause) noexcept;                                        // a stanza went back to its sender
  void pending(std::size_t before, std::size_t now) noexcept;          // stanzas that wait for a stream of one pair

private:
  friend class s2s_metrics;
  struct counters;
  std::unique_ptr<counters> counters_;
};

class s2s_metrics {
public:
  /// `cells`: one a loop.
  explicit s2s_metrics(std::size_t cells);
  ~s2s_metrics();
  [[nodiscard]] s2s_metrics_cell& cell(std::size_t loop) noexcept;
  /// For the registry; lives as long as this object is used.
  [[nodiscard]] std::shared_ptr<prometheus::Collectable> collectable() const;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace comity::connection
