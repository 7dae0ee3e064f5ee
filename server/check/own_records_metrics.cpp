#include "server/check/own_records_metrics.hpp"

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "connection/family_metrics.hpp"

namespace comity::check {

namespace {

constexpr std::array areas{subject_area::srv, subject_area::address, subject_area::dnssec, subject_area::tlsa};
constexpr std::array severities{severity::error, severity::warning};

struct seen {
  std::array<std::array<std::uint64_t, severities.size()>, areas.size()> findings{};
  std::chrono::system_clock::time_point at;
};

}  // namespace

struct own_records_metrics::state final : prometheus::Collectable {
  std::vector<prometheus::MetricFamily> Collect() const override {
    connection::metric_family findings{"comity_own_records_findings",
                                       "What is wrong with the DNS records that a host publishes.",
                                       prometheus::MetricType::Gauge};
    connection::metric_family checked{"comity_own_records_checked_timestamp_seconds",
                                      "When a host's DNS records were looked at last, in seconds since the epoch.",
                                      prometheus::MetricType::Gauge};
    const std::lock_guard hold{lock};
    for (const auto& [domain, known] : hosts) {
      for (std::size_t a = 0; a < areas.size(); ++a) {
        for (std::size_t s = 0; s < severities.size(); ++s) {
          findings.add(
              {{"host", domain}, {"record", to_string(areas.at(a))}, {"severity", to_string(severities.at(s))}},
              known.findings.at(a).at(s));
        }
      }
      const auto since = std::chrono::duration_cast<std::chrono::seconds>(known.at.time_since_epoch()).count();
      checked.add({{"host", domain}}, static_cast<std::uint64_t>(since));
    }
    return {findings.take(), checked.take()};
  }

  mutable std::mutex lock;
  std::map<std::string, seen> hosts;
};

own_records_metrics::own_records_metrics() : state_{std::make_shared<state>()} {
}

void own_records_metrics::looked_at(const std::string& domain, std::span<const finding> findings,
                                    std::chrono::system_clock::time_point at) {
  seen now;
  now.at = at;
  for (const auto& f : findings) {
    const auto* area = std::ranges::find(areas, area_of(f.kind));
    if (area != areas.end()) {
      const auto* s = std::ranges::find(severities, f.severity);
      ++now.findings.at(static_cast<std::size_t>(area - areas.begin()))
            .at(static_cast<std::size_t>(s - severities.begin()));
    }
  }
  const std::lock_guard hold{state_->lock};
  state_->hosts[domain] = now;
}

void own_records_metrics::keep(std::span<const std::string> domains) {
  const std::lock_guard hold{state_->lock};
  std::erase_if(state_->hosts, [&](const auto& h) { return std::ranges::find(domains, h.first) == domains.end(); });
}

std::shared_ptr<prometheus::Collectable> own_records_metrics::collectable() const {
  return state_;
}

}  // namespace comity::check
