#include "connection/dns_metrics.hpp"

#include <prometheus/collectable.h>

#include <array>
#include <optional>

#include "connection/family_metrics.hpp"
#include "connection/vocabulary.hpp"

namespace comity::connection {

namespace {

// What may keep an answer from coming. NXDOMAIN is an answer, and a lookup called off is nobody's failure.
constexpr std::array<cause, 3> failures{cause::dns_servfail, cause::dns_bogus, cause::dns_timeout};

std::optional<std::size_t> failure_of(dns::outcome o) noexcept {
  switch (o) {
    case dns::outcome::servfail:
      return 0;
    case dns::outcome::bogus:
      return 1;
    case dns::outcome::timeout:
      return 2;
    case dns::outcome::records:
    case dns::outcome::nodata:
    case dns::outcome::nxdomain:
    case dns::outcome::cancelled:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

struct dns_metrics::state final : prometheus::Collectable {
  struct of_type {
    std::array<counter, dns::security_count> queries;
    std::array<counter, failures.size()> failed;
    histogram took;
  };
  std::array<of_type, dns::record_type_count> types;
  counter restarts;

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    metric_family queries{"comity_dns_queries_total", "Questions to the DNS, by what DNSSEC says of the answer.",
                          prometheus::MetricType::Counter};
    metric_family failed{"comity_dns_query_failures_total", "Questions to the DNS that got no answer.",
                         prometheus::MetricType::Counter};
    metric_family took{"comity_dns_query_seconds", "How long questions to the DNS took.",
                       prometheus::MetricType::Histogram};
    for (std::size_t t = 0; t < types.size(); ++t) {
      const auto name = to_string(static_cast<dns::record_type>(t));
      const auto& counts = types.at(t);
      for (std::size_t s = 0; s < counts.queries.size(); ++s) {
        queries.add({{"rrtype", name}, {"dns_security", to_string(static_cast<dns::security>(s))}},
                    counts.queries.at(s).value());
      }
      for (std::size_t f = 0; f < failures.size(); ++f) {
        failed.add({{"rrtype", name}, {"cause", to_string(failures.at(f))}}, counts.failed.at(f).value());
      }
      took.add({{"rrtype", name}}, 1, [&](std::size_t) -> const histogram& { return counts.took; });
    }
    metric_family restarted{"comity_dns_resolver_restarts_total",
                            "Times that the resolver process had ended and another one was started.",
                            prometheus::MetricType::Counter};
    restarted.add({}, restarts.value());
    return {queries.take(), failed.take(), took.take(), restarted.take()};
  }
};

dns_metrics::dns_metrics() : state_{std::make_shared<state>()} {
}
dns_metrics::~dns_metrics() = default;

void dns_metrics::observed(const dns::observation& o) noexcept {
  auto& counts = state_->types.at(index(o.type));
  counts.queries.at(index(o.security)).add();
  if (const auto failed = failure_of(o.result)) {
    counts.failed.at(*failed).add();
  }
  counts.took.observe(o.took);
}

void dns_metrics::resolver_restarted() noexcept {
  state_->restarts.add();
}

std::shared_ptr<prometheus::Collectable> dns_metrics::collectable() const {
  return state_;
}

}  // namespace comity::connection
