// The DNS families: what is counted under which labels, and that every series is there from the start.
#include "connection/dns_metrics.hpp"

#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <map>

namespace comity::connection {
namespace {

using namespace std::chrono_literals;

/// "name{label=value,…}" to its value; histograms by their count.
std::map<std::string, double> scraped(const dns_metrics& metrics) {
  std::map<std::string, double> all;
  for (const auto& family : metrics.collectable()->Collect()) {
    EXPECT_FALSE(family.help.empty()) << family.name;
    for (const auto& m : family.metric) {
      std::string series = family.name;
      for (const auto& l : m.label) {
        series += "," + l.name + "=" + l.value;
      }
      all[series] = family.type == prometheus::MetricType::Histogram ? static_cast<double>(m.histogram.sample_count)
                                                                     : m.counter.value;
    }
  }
  return all;
}

TEST(DnsMetrics, ExportsEverySeriesAtZero) {
  const dns_metrics metrics;
  const auto all = scraped(metrics);
  EXPECT_EQ(all.size(), 4U * 4U + 4U * 3U + 4U + 1U);
  for (const auto& [series, value] : all) {
    EXPECT_EQ(value, 0) << series;
  }
}

TEST(DnsMetrics, CountsAnswersByWhatDnssecSays) {
  dns_metrics metrics;
  metrics.observed({dns::record_type::srv, dns::outcome::records, dns::security::secure, 3ms});
  metrics.observed({dns::record_type::srv, dns::outcome::nxdomain, dns::security::secure, 3ms});
  metrics.observed({dns::record_type::tlsa, dns::outcome::nodata, dns::security::insecure, 3ms});
  auto all = scraped(metrics);
  EXPECT_EQ(all["comity_dns_queries_total,rrtype=SRV,dns_security=secure"], 2);
  EXPECT_EQ(all["comity_dns_queries_total,rrtype=TLSA,dns_security=insecure"], 1);
  EXPECT_EQ(all["comity_dns_query_seconds,rrtype=SRV"], 2);
  for (const auto* const type : {"A", "AAAA", "SRV", "TLSA"}) {
    for (const auto* const why : {"dns_servfail", "dns_bogus", "dns_timeout"}) {
      const auto series = std::string{"comity_dns_query_failures_total,rrtype="} + type + ",cause=" + why;
      EXPECT_EQ(all.at(series), 0) << series;
    }
  }
}

TEST(DnsMetrics, CountsResolverProcessesThatHadToBeStartedAnew) {  // THREATS E6
  dns_metrics metrics;
  metrics.resolver_restarted();
  EXPECT_EQ(scraped(metrics)["comity_dns_resolver_restarts_total"], 1);
}

// THREATS E4: bogus is counted as itself.
TEST(DnsMetrics, CountsEachFailureUnderItsCause) {
  dns_metrics metrics;
  metrics.observed({dns::record_type::a, dns::outcome::bogus, dns::security::bogus, 3ms});
  metrics.observed({dns::record_type::a, dns::outcome::servfail, dns::security::none, 3ms});
  metrics.observed({dns::record_type::a, dns::outcome::timeout, dns::security::none, 5s});
  metrics.observed({dns::record_type::a, dns::outcome::cancelled, dns::security::none, 1s});
  auto all = scraped(metrics);
  EXPECT_EQ(all["comity_dns_query_failures_total,rrtype=A,cause=dns_bogus"], 1);
  EXPECT_EQ(all["comity_dns_query_failures_total,rrtype=A,cause=dns_servfail"], 1);
  EXPECT_EQ(all["comity_dns_query_failures_total,rrtype=A,cause=dns_timeout"], 1);
  EXPECT_EQ(all["comity_dns_queries_total,rrtype=A,dns_security=bogus"], 1);
  EXPECT_EQ(all["comity_dns_queries_total,rrtype=A,dns_security=none"], 3);
}

}  // namespace
}  // namespace comity::connection
