#include "connection/s2s/s2s_metrics.hpp"

#include <prometheus/collectable.h>

#include <array>
#include <vector>

#include "connection/family_metrics.hpp"

namespace comity::connection {

namespace {

using by_security = std::array<counter, dns::security_count>;

/// `none` is no proof.
constexpr std::array proofs{proof::dane, proof::pkix, proof::posh, proof::dialback};

/// What a peer's proof can fail by: the series that stand at 0 from the start. Any other gets its series when it
/// happens.
constexpr bool expected(cause c) noexcept {
  using enum cause;
  return c == cert_expired || c == cert_not_yet_valid || c == cert_name_mismatch || c == cert_untrusted ||
         c == cert_missing || c == dane_mismatch || c == dane_unusable || c == posh_mismatch || c == dns_servfail ||
         c == dns_bogus || c == dns_timeout || c == policy;
}

}  // namespace

struct s2s_metrics_cell::counters {
  std::array<std::array<by_security, proof_count>, direction_count> verified;
  std::array<std::array<by_security, cause_count>, direction_count> failed;
  std::array<counter, dns::endpoint_source_count> discovered;
  std::array<counter, cause_count> bounced;
  counter pending;
};

s2s_metrics_cell::s2s_metrics_cell() : counters_{std::make_unique<counters>()} {
}
s2s_metrics_cell::~s2s_metrics_cell() = default;

void s2s_metrics_cell::verified(direction d, proof p, dns::security s) noexcept {
  counters_->verified[index(d)][index(p)][index(s)].add();
}
void s2s_metrics_cell::verification_failed(direction d, cause c, dns::security s) noexcept {
  counters_->failed[index(d)][index(c)][index(s)].add();
}
void s2s_metrics_cell::discovered(dns::endpoint_source s) noexcept {
  counters_->discovered[index(s)].add();
}
void s2s_metrics_cell::bounced(cause c) noexcept {
  counters_->bounced[index(c)].add();
}
void s2s_metrics_cell::pending(std::size_t before, std::size_t now) noexcept {
  counters_->pending.subtract(before);
  counters_->pending.add(now);
}

struct s2s_metrics::state final : prometheus::Collectable {
  explicit state(std::size_t count) : cells(count) {}

  template <typename Pick>
  [[nodiscard]] std::uint64_t sum(Pick pick) const {
    std::uint64_t n = 0;
    for (const auto& c : cells) {
      n += pick(*c.counters_).value();
    }
    return n;
  }

  void collect_verifications(std::vector<prometheus::MetricFamily>& out) const {
    metric_family done{"comity_s2s_verifications_total", "Servers proven, by proof.", prometheus::MetricType::Counter};
    metric_family failed{"comity_s2s_verification_failures_total", "Servers that were not proven, by cause.",
                         prometheus::MetricType::Counter};
    for (std::size_t d = 0; d < direction_count; ++d) {
      for (std::size_t s = 0; s < dns::security_count; ++s) {
        const auto direction_name = to_string(static_cast<direction>(d));
        const auto security_name = to_string(static_cast<dns::security>(s));
        for (const auto p : proofs) {
          done.add({{"direction", direction_name}, {"proof", to_string(p)}, {"dns_security", security_name}},
                   sum([=](const auto& c) -> auto& { return c.verified[d][index(p)][s]; }));
        }
        for (std::size_t i = 0; i < cause_count; ++i) {
          const auto why = static_cast<cause>(i);
          const auto n = sum([=](const auto& c) -> auto& { return c.failed[d][i][s]; });
          if (n != 0 || expected(why)) {
            failed.add({{"direction", direction_name}, {"cause", to_string(why)}, {"dns_security", security_name}}, n);
          }
        }
      }
    }
    out.push_back(done.take());
    out.push_back(failed.take());
  }

  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> out;
    collect_verifications(out);
    metric_family discoveries{"comity_s2s_discoveries_total",
                              "Streams established to servers, by what led to their endpoint.",
                              prometheus::MetricType::Counter};
    for (std::size_t i = 0; i < dns::endpoint_source_count; ++i) {
      discoveries.add({{"source", to_string(static_cast<dns::endpoint_source>(i))}},
                      sum([i](const auto& c) -> auto& { return c.discovered[i]; }));
    }
    metric_family pending{"comity_s2s_pending_stanzas", "Stanzas that wait for a stream to their server.",
                          prometheus::MetricType::Gauge};
    pending.add({}, sum([](const auto& c) -> auto& { return c.pending; }));
    metric_family bounced{"comity_s2s_bounced_stanzas_total",
                          "Stanzas returned to their senders as undeliverable, by cause.",
                          prometheus::MetricType::Counter};
    for (std::size_t i = 0; i < cause_count; ++i) {
      bounced.add({{"cause", to_string(static_cast<cause>(i))}},
                  sum([i](const auto& c) -> auto& { return c.bounced[i]; }));
    }
    for (auto* f : {&discoveries, &pending, &bounced}) {
      out.push_back(f->take());
    }
    return out;
  }

  std::vector<s2s_metrics_cell> cells;
};

s2s_metrics::s2s_metrics(std::size_t cells) : state_{std::make_shared<state>(cells)} {
}

s2s_metrics::~s2s_metrics() = default;

s2s_metrics_cell& s2s_metrics::cell(std::size_t loop) noexcept {
  return state_->cells[loop];
}

std::shared_ptr<prometheus::Collectable> s2s_metrics::collectable() const {
  return state_;
}

}  // namespace comity::connection
