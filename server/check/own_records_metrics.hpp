// server/check/own_records_metrics.hpp: comity_own_records_findings and comity_own_records_checked_timestamp_seconds:
// what is wrong with the records that we publish, for who watches them.
//
// Every host that has been looked at has all its series, at 0 where nothing is wrong. Any thread.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/check/findings.hpp"

namespace prometheus {
class Collectable;
}

namespace comity::check {

class own_records_metrics {
public:
  own_records_metrics();

  /// Replaces what was known of the host. Ports and certificates are not of it: others measure those.
  void looked_at(const std::string& domain, std::span<const finding>, std::chrono::system_clock::time_point);
  /// Forgets all but these hosts.
  void keep(std::span<const std::string> domains);

  [[nodiscard]] std::shared_ptr<prometheus::Collectable> collectable() const;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace comity::check
