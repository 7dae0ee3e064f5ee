// The families of connections as a scrape sees them: names, labels and zeros as the manual lists them.
#include <gmock/gmock.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <thread>

#include "connection/connection_metrics.hpp"

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsSupersetOf;
using ::testing::Key;
using ::testing::Not;

constexpr route starttls{scope::c2s, direction::inbound, method::starttls};
constexpr route direct{scope::c2s, direction::inbound, method::direct_tls};

class ConnectionMetrics : public ::testing::Test {
protected:
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer{}.Serialize(metrics_.collectable()->Collect());
  }
  /// Every sample by its name and labels.
  [[nodiscard]] std::map<std::string, double> samples() const {
    std::map<std::string, double> all;
    std::istringstream in{text()};
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with('#')) {
        continue;
      }
      const auto space = line.rfind(' ');
      EXPECT_TRUE(all.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second) << line;
    }
    return all;
  }
  /// What changed between two scrapes.
  static std::map<std::string, double> changes(const std::map<std::string, double>& before,
                                               const std::map<std::string, double>& after) {
    std::map<std::string, double> moved;
    for (const auto& [name, value] : after) {
      const auto was = before.find(name);
      const double delta = value - (was == before.end() ? 0 : was->second);
      if (delta != 0) {
        moved.emplace(name, delta);
      }
    }
    return moved;
  }
  /// What one event changes.
  template <typename Event>
  std::map<std::string, double> after(Event event) {
    const auto before = samples();
    event(metrics_.cell(0));
    return changes(before, samples());
  }
  /// The values of a label in a family.
  [[nodiscard]] std::set<std::string> values(const std::string& family, const std::string& label) const {
    std::set<std::string> found;
    for (const auto& f : metrics_.collectable()->Collect()) {
      for (const auto& m : f.metric) {
        for (const auto& l : m.label) {
          if (f.name == family && l.name == label) {
            found.insert(l.value);
          }
        }
      }
    }
    return found;
  }

  connection_metrics metrics_{2, {starttls, direct}};
};

using moved = std::map<std::string, double>;

TEST_F(ConnectionMetrics, HaveTheNamesTypesAndLabelsOfTheManual) {
  using enum prometheus::MetricType;
  const std::map<std::string, std::pair<prometheus::MetricType, std::vector<std::string>>> manual{
      {"comity_connections", {Gauge, {"scope", "direction", "method"}}},
      {"comity_connection_attempts_total", {Counter, {"scope", "direction", "method"}}},
      {"comity_connections_established_total", {Counter, {"scope", "direction", "method"}}},
      {"comity_connection_failures_total", {Counter, {"scope", "direction", "method", "phase", "cause"}}},
      {"comity_connection_closes_total", {Counter, {"scope", "direction", "method", "cause"}}},
      {"comity_connections_rejected_total", {Counter, {"scope", "cause"}}},
      {"comity_connection_phase_seconds", {Histogram, {"scope", "direction", "method", "phase"}}},
      {"comity_connection_setup_seconds", {Histogram, {"scope", "direction", "method"}}},
      {"comity_tls_handshakes_total", {Counter, {"scope", "direction", "method", "version", "resumed"}}},
      {"comity_alpn_total", {Counter, {"offered", "routed"}}},
      {"comity_auth_attempts_total", {Counter, {"scope", "direction", "mechanism"}}},
      {"comity_auth_failures_total", {Counter, {"scope", "direction", "mechanism", "cause"}}},
      {"comity_stanzas_received_total", {Counter, {"scope", "direction", "method", "stanza"}}},
      {"comity_stanzas_sent_total", {Counter, {"scope", "direction", "method", "stanza"}}},
      {"comity_received_bytes_total", {Counter, {"scope", "direction", "method"}}},
      {"comity_sent_bytes_total", {Counter, {"scope", "direction", "method"}}},
      {"comity_stanza_errors_sent_total", {Counter, {"scope", "condition"}}},
      {"comity_stream_errors_sent_total", {Counter, {"scope", "direction", "condition"}}},
      {"comity_stream_errors_received_total", {Counter, {"scope", "direction", "condition"}}},
      {"comity_send_queue_overflows_total", {Counter, {"scope", "direction", "method"}}},
      {"comity_event_loop_lag_seconds", {Histogram, {}}},
  };
  std::set<std::string> seen;
  for (const auto& f : metrics_.collectable()->Collect()) {
    SCOPED_TRACE(f.name);
    EXPECT_TRUE(seen.insert(f.name).second);
    ASSERT_THAT(manual, Contains(Key(f.name)));
    EXPECT_EQ(manual.at(f.name).first, f.type);
    EXPECT_NE("", f.help);
    EXPECT_FALSE(f.metric.empty());
    for (const auto& m : f.metric) {
      std::vector<std::string> names;
      for (const auto& l : m.label) {
        names.push_back(l.name);
      }
      EXPECT_EQ(manual.at(f.name).second, names);
    }
  }
  EXPECT_EQ(manual.size(), seen.size());
}

TEST_F(ConnectionMetrics, StandAtZeroFromTheStart) {
  const auto all = samples();
  for (const auto& [name, value] : all) {
    EXPECT_EQ(0, value) << name;
  }
  for (const auto* method : {"starttls", "direct_tls"}) {
    const auto labels = std::string{R"({scope="c2s",direction="inbound",method=")"} + method + "\"";
    for (const auto* family :
         {"comity_connections", "comity_connection_attempts_total", "comity_connections_established_total",
          "comity_received_bytes_total", "comity_sent_bytes_total", "comity_send_queue_overflows_total",
          "comity_connection_setup_seconds_count"}) {
      EXPECT_THAT(all, Contains(Key(family + labels + "}")));
    }
    EXPECT_THAT(all, Contains(Key("comity_connection_failures_total" + labels + R"(,phase="tls",cause="tls_alert"})")));
    EXPECT_THAT(all, Contains(Key("comity_connection_closes_total" + labels + R"(,cause="peer_closed"})")));
  }
  EXPECT_THAT(values("comity_connections_rejected_total", "cause"),
              ElementsAre("draining", "global_limit", "per_ip_limit"));
  EXPECT_THAT(values("comity_alpn_total", "offered"),
              ElementsAre("http", "none", "other", "xmpp_client", "xmpp_server"));
  EXPECT_THAT(values("comity_alpn_total", "routed"), ElementsAre("c2s", "forward", "http", "refused", "s2s"));
  EXPECT_THAT(values("comity_tls_handshakes_total", "version"), ElementsAre("1.2", "1.3"));
  EXPECT_THAT(values("comity_auth_attempts_total", "mechanism"),
              ElementsAre("EXTERNAL", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS",
                          "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "unknown"));
  EXPECT_THAT(values("comity_stanza_errors_sent_total", "condition"),
              IsSupersetOf({"service-unavailable", "forbidden", "resource-constraint"}));
  EXPECT_THAT(values("comity_connection_phase_seconds", "phase"),
              ElementsAre("authentication", "bind", "stream", "tls"));
}

TEST_F(ConnectionMetrics, OnlyWhatIsAllowedIsThereAndAReloadMayAllowMore) {
  constexpr route websocket{scope::c2s, direction::inbound, method::websocket};
  EXPECT_THAT(values("comity_connections", "method"), ElementsAre("direct_tls", "starttls"));
  metrics_.allow({websocket, starttls});
  EXPECT_THAT(values("comity_connections", "method"), ElementsAre("direct_tls", "starttls", "websocket"));
  metrics_.allow({});
  EXPECT_THAT(values("comity_connections", "method"), ElementsAre("direct_tls", "starttls", "websocket"));
  (void)samples();  // which proves that no series is there twice
}

TEST_F(ConnectionMetrics, GaugeFollowsEstablishedAndClosed) {
  const std::string labels = R"({scope="c2s",direction="inbound",method="starttls"})";
  EXPECT_EQ((moved{{"comity_connections" + labels, 1}, {"comity_connections_established_total" + labels, 1}}),
            after([](auto& c) { c.established(starttls); }));
  EXPECT_EQ(
      (moved{
          {"comity_connections" + labels, -1},
          {R"(comity_connection_closes_total{scope="c2s",direction="inbound",method="starttls",cause="policy"})", 1}}),
      after([](auto& c) { c.closed(starttls, cause::policy); }));
}

TEST_F(ConnectionMetrics, EachEventMovesItsOwnSeriesAlone) {
  const std::string d = R"({scope="c2s",direction="inbound",method="direct_tls")";
  const std::string pair = R"({scope="c2s",direction="inbound")";
  const auto one = [](const std::string& name) { return moved{{name, 1}}; };
  EXPECT_EQ(one("comity_connection_attempts_total" + d + "}"), after([](auto& c) { c.attempted(direct); }));
  EXPECT_EQ(one("comity_connection_failures_total" + d + R"(,phase="tls",cause="alpn_mismatch"})"),
            after([](auto& c) { c.failed(direct, phase::tls, cause::alpn_mismatch); }));
  EXPECT_EQ(one(R"(comity_connections_rejected_total{scope="c2s",cause="per_ip_limit"})"),
            after([](auto& c) { c.rejected(scope::c2s, rejection::per_ip_limit); }));
  EXPECT_EQ(one("comity_tls_handshakes_total" + d + R"(,version="1.3",resumed="true"})"),
            after([](auto& c) { c.tls_handshake(direct, tls_version::tls_1_3, true); }));
  EXPECT_EQ(one("comity_tls_handshakes_total" + d + R"(,version="1.2",resumed="false"})"),
            after([](auto& c) { c.tls_handshake(direct, tls_version::tls_1_2, false); }));
  EXPECT_EQ(one(R"(comity_alpn_total{offered="none",routed="c2s"})"),
            after([](auto& c) { c.alpn(alpn_offer::none, alpn_routed::c2s); }));
  EXPECT_EQ(one("comity_auth_attempts_total" + pair + R"(,mechanism="SCRAM-SHA-1-PLUS"})"),
            after([](auto& c) { c.authentication_attempted(direct, mechanism::scram_sha_1_plus); }));
  EXPECT_EQ(one("comity_auth_failures_total" + pair + R"(,mechanism="PLAIN",cause="not-authorized"})"),
            after([](auto& c) { c.authentication_failed(direct, mechanism::plain, sasl_condition::not_authorized); }));
  EXPECT_EQ(one("comity_stanzas_received_total" + d + R"(,stanza="iq"})"),
            after([](auto& c) { c.stanza_received(direct, stanza_kind::iq); }));
  EXPECT_EQ(one("comity_stanzas_sent_total" + d + R"(,stanza="message"})"),
            after([](auto& c) { c.stanza_sent(direct, stanza_kind::message); }));
  EXPECT_EQ((moved{{"comity_received_bytes_total" + d + "}", 512}}),
            after([](auto& c) { c.bytes_received(direct, 512); }));
  EXPECT_EQ((moved{{"comity_sent_bytes_total" + d + "}", 1024}}), after([](auto& c) { c.bytes_sent(direct, 1024); }));
  EXPECT_EQ(one(R"(comity_stanza_errors_sent_total{scope="c2s",condition="forbidden"})"),
            after([](auto& c) { c.stanza_error_sent(scope::c2s, stanza_condition::forbidden); }));
  EXPECT_EQ(one("comity_stream_errors_sent_total" + pair + R"(,condition="policy-violation"})"),
            after([](auto& c) { c.stream_error_sent(direct, stream_condition::policy_violation); }));
  EXPECT_EQ(one("comity_stream_errors_received_total" + pair + R"(,condition="reset"})"),
            after([](auto& c) { c.stream_error_received(direct, stream_condition::reset); }));
  EXPECT_EQ(one("comity_send_queue_overflows_total" + d + "}"),
            after([](auto& c) { c.send_queue_overflowed(direct); }));
}

TEST_F(ConnectionMetrics, MethodsAreOneSumWhereTheFamilyDoesNotTellThemApart) {
  EXPECT_EQ((moved{{R"(comity_auth_attempts_total{scope="c2s",direction="inbound",mechanism="PLAIN"})", 2}}),
            after([](auto& c) {
              c.authentication_attempted(direct, mechanism::plain);
              c.authentication_attempted(starttls, mechanism::plain);
            }));
}

TEST_F(ConnectionMetrics, APairThatIsNotExpectedGetsItsSeriesWhenItHappens) {
  const auto series =
      R"(comity_connection_failures_total{scope="c2s",direction="inbound",method="starttls",phase="bind",cause="dialback_invalid"})";
  EXPECT_THAT(samples(), Not(Contains(Key(series))));
  EXPECT_EQ((moved{{series, 1}}), after([](auto& c) { c.failed(starttls, phase::bind, cause::dialback_invalid); }));
}

TEST_F(ConnectionMetrics, TimesGoIntoTheBucketThatHoldsThem) {
  const std::string bucket =
      R"(comity_connection_phase_seconds_bucket{scope="c2s",direction="inbound",method="starttls",phase="tls",le=")";
  const auto at = [&](std::chrono::nanoseconds took) {
    std::set<std::string> counted;
    for (const auto& [name, delta] : after([&](auto& c) { c.phase_took(starttls, phase::tls, took); })) {
      if (name.starts_with(bucket)) {
        EXPECT_EQ(1, delta);
        counted.insert(name.substr(bucket.size(), name.size() - bucket.size() - 2));
      }
    }
    return counted;
  };
  EXPECT_EQ(13U, at(0ns).size());
  EXPECT_EQ(13U, at(500us).size());  // a bound belongs to its own bucket
  EXPECT_EQ(12U, at(500'001ns).size());
  EXPECT_THAT(at(30s), ElementsAre("+Inf", "30"));
  EXPECT_THAT(at(30'000'000'001ns), ElementsAre("+Inf"));
  EXPECT_THAT(at(-1s).size(), 13U);  // a clock that was moved
  const auto all = samples();
  EXPECT_EQ(
      6,
      all.at(
          R"(comity_connection_phase_seconds_count{scope="c2s",direction="inbound",method="starttls",phase="tls"})"));
  EXPECT_NEAR(
      60.001,
      all.at(R"(comity_connection_phase_seconds_sum{scope="c2s",direction="inbound",method="starttls",phase="tls"})"),
      0.001);
}

TEST_F(ConnectionMetrics, LoopsAreSummed) {
  const auto before = samples();
  metrics_.cell(0).attempted(starttls);
  metrics_.cell(1).attempted(starttls);
  metrics_.cell(0).loop_lagged(2ms);
  metrics_.cell(1).loop_lagged(2ms);
  metrics_.cell(1).setup_took(starttls, 20ms);
  const auto now = changes(before, samples());
  EXPECT_EQ(2, now.at(R"(comity_connection_attempts_total{scope="c2s",direction="inbound",method="starttls"})"));
  EXPECT_EQ(2, now.at("comity_event_loop_lag_seconds_count"));
  EXPECT_EQ(2, now.at(R"(comity_event_loop_lag_seconds_bucket{le="0.0025"})"));
  EXPECT_EQ(1, now.at(R"(comity_connection_setup_seconds_count{scope="c2s",direction="inbound",method="starttls"})"));
}

TEST_F(ConnectionMetrics, AreBoundedWhateverHappens) {  // THREATS G6
  auto& c = metrics_.cell(0);
  for (const auto r : {starttls, direct}) {
    for (std::size_t m = 0; m < mechanism_count; ++m) {
      for (std::size_t i = 0; i < sasl_condition_count; ++i) {
        c.authentication_failed(r, static_cast<mechanism>(m), static_cast<sasl_condition>(i));
      }
    }
  }
  EXPECT_LT(samples().size(), 2000U);
}

TEST_F(ConnectionMetrics, PleasePromtool) {
  if (::access("/usr/bin/promtool", X_OK) != 0) {
    GTEST_SKIP() << "no promtool here";
  }
  metrics_.cell(0).established(starttls);
  metrics_.cell(0).phase_took(starttls, phase::tls, 3ms);
  const auto file = std::filesystem::path{::testing::TempDir()} / ("comity-metrics-" + std::to_string(::getpid()));
  auto* promtool = ::popen(("/usr/bin/promtool check metrics > " + file.string() + " 2>&1").c_str(), "w");
  ASSERT_NE(nullptr, promtool);
  const auto all = text();
  EXPECT_EQ(all.size(), std::fwrite(all.data(), 1, all.size(), promtool));
  const int verdict = ::pclose(promtool);
  std::FILE* said = std::fopen(file.c_str(), "r");
  std::array<char, 4096> words{};
  const auto size = std::fread(words.data(), 1, words.size(), said);
  std::fclose(said);
  std::filesystem::remove(file);
  EXPECT_EQ(0, verdict);
  EXPECT_EQ("", (std::string{words.data(), size}));
}

TEST_F(ConnectionMetrics, CanBeScrapedWhileLoopsCount) {
  std::atomic<bool> over{false};
  const auto loop = [&](std::size_t cell) {
    auto& c = metrics_.cell(cell);
    while (!over) {
      c.attempted(starttls);
      c.established(starttls);
      c.stanza_received(starttls, stanza_kind::message);
      c.phase_took(starttls, phase::tls, 1ms);
      c.closed(starttls, cause::peer_closed);
    }
  };
  std::thread first{loop, 0}, second{loop, 1};
  double last = 0;
  for (int i = 0; i < 30; ++i) {
    const double now =
        samples().at(R"(comity_connection_attempts_total{scope="c2s",direction="inbound",method="starttls"})");
    EXPECT_GE(now, last);  // a counter never goes back
    last = now;
    if (i == 15) {
      metrics_.allow({{scope::c2s, direction::inbound, method::websocket}});
    }
  }
  over = true;
  first.join();
  second.join();
  const auto all = samples();
  EXPECT_EQ(0, all.at(R"(comity_connections{scope="c2s",direction="inbound",method="starttls"})"));
  EXPECT_EQ(
      all.at(R"(comity_connection_attempts_total{scope="c2s",direction="inbound",method="starttls"})"),
      all.at(
          R"(comity_connection_closes_total{scope="c2s",direction="inbound",method="starttls",cause="peer_closed"})"));
}

}  // namespace
}  // namespace comity::connection
