// The families of servers as a scrape sees them: every series at 0 from the start, and one that moves for each event.
#include "connection/s2s/s2s_metrics.hpp"

#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <map>
#include <set>
#include <string>

namespace comity::connection {
namespace {

using samples = std::map<std::string, double>;

samples scrape(const s2s_metrics& metrics) {
  samples all;
  for (const auto& family : metrics.collectable()->Collect()) {
    for (const auto& m : family.metric) {
      auto name = family.name;
      for (const auto& l : m.label) {
        name += " " + l.name + "=" + l.value;
      }
      EXPECT_TRUE(all.emplace(name, m.counter.value + m.gauge.value).second) << name;
    }
  }
  return all;
}

samples changed(const samples& before, const samples& after) {
  samples moved;
  for (const auto& [name, value] : after) {
    const auto was = before.find(name);
    if (const auto by = value - (was == before.end() ? 0 : was->second); by != 0) {
      moved.emplace(name, by);
    }
  }
  return moved;
}

TEST(S2sMetrics, StandAtZeroFromTheStart) {
  const s2s_metrics metrics{2};
  std::map<std::string, int> series;
  for (const auto& [name, value] : scrape(metrics)) {
    ++series[name.substr(0, name.find(' '))];
    EXPECT_EQ(value, 0) << name;
  }
  EXPECT_EQ(series, (std::map<std::string, int>{{"comity_s2s_verifications_total", 2 * 4 * 4},
                                                {"comity_s2s_verification_failures_total", 2 * 12 * 4},
                                                {"comity_s2s_discoveries_total", 4},
                                                {"comity_s2s_pending_stanzas", 1},
                                                {"comity_s2s_bounced_stanzas_total", static_cast<int>(cause_count)}}));
}

TEST(S2sMetrics, CountEachEventInItsOwnSeriesOverAllLoops) {
  s2s_metrics metrics{2};
  const auto before = scrape(metrics);
  metrics.cell(0).verified(direction::outbound, proof::dane, dns::security::secure);
  metrics.cell(1).verified(direction::outbound, proof::dane, dns::security::secure);
  metrics.cell(1).verified(direction::inbound, proof::dialback, dns::security::none);
  metrics.cell(0).verification_failed(direction::inbound, cause::cert_untrusted, dns::security::insecure);
  metrics.cell(0).verification_failed(direction::outbound, cause::internal, dns::security::none);  // no usual one
  metrics.cell(1).discovered(dns::endpoint_source::srv_xmpps);
  metrics.cell(0).bounced(cause::limit);
  metrics.cell(0).pending(0, 5);
  metrics.cell(1).pending(0, 3);
  metrics.cell(0).pending(5, 1);
  EXPECT_EQ(
      changed(before, scrape(metrics)),
      (samples{
          {"comity_s2s_verifications_total direction=outbound proof=dane dns_security=secure", 2},
          {"comity_s2s_verifications_total direction=inbound proof=dialback dns_security=none", 1},
          {"comity_s2s_verification_failures_total direction=inbound cause=cert_untrusted dns_security=insecure", 1},
          {"comity_s2s_verification_failures_total direction=outbound cause=internal dns_security=none", 1},
          {"comity_s2s_discoveries_total source=srv_xmpps", 1},
          {"comity_s2s_bounced_stanzas_total cause=limit", 1},
          {"comity_s2s_pending_stanzas", 4}}));
}

}  // namespace
}  // namespace comity::connection
