// connection/dns_metrics.hpp: counts what became of questions to the DNS (families comity_dns_*).
//
// Fed by the resolver's observer, on the resolver's one thread; a scrape may come on any other.
#pragma once

#include <memory>

#include "dns/resolver.hpp"

namespace prometheus {
class Collectable;
}

namespace comity::connection {

class dns_metrics {
public:
  dns_metrics();
  ~dns_metrics();
  /// One thread at a time.
  void observed(const dns::observation&) noexcept;
  /// The process that resolves has ended, and another one serves. The same thread.
  void resolver_restarted() noexcept;
  /// For the registry; lives as long as it is held. All series stand from the start, at 0.
  [[nodiscard]] std::shared_ptr<prometheus::Collectable> collectable() const;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace comity::connection
