// A host looked at over a resolver and real sockets, and what is kept of it for the metrics.
#include "server/check/inspection.hpp"

#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <asio.hpp>
#include <future>
#include <thread>

#include "fakes/certificate_builder.hpp"
#include "fakes/folder.hpp"
#include "fakes/recording_log.hpp"
#include "fakes/zone_resolver.hpp"
#include "server/check/check_run.hpp"
#include "server/check/check_service.hpp"
#include "server/check/own_records_metrics.hpp"
#include "tls/context.hpp"
#include "tls/crypto.hpp"
#include "tls/dane.hpp"
#include "tls/peer_certificate.hpp"

namespace {

using namespace comity;
using namespace comity::check;

/// One host with a certificate of a root that is trusted, on one loop.
class Inspection : public ::testing::Test {
protected:
  Inspection() {
    const auto root = fakes::issue({.domain = "root", .authority = true});
    const auto leaf = fakes::issue({.domain = "a.example", .until = 86400L * 90, .purposes = "serverAuth"}, &root);
    served_ = fakes::presented(leaf);
    trust_ = *tls::trust_store::load(
        {.authorities = fakes::write(folder_.path(), "roots", fakes::pem({root})), .revocations = {}});
    pool_.start();
  }
  ~Inspection() override { pool_.stop(); }

  [[nodiscard]] std::string key() const { return tls::hex(tls::association_data(served_, 1, 1)); }

  [[nodiscard]] inspected_host host(bool dial) const {
    auto keys = std::make_shared<std::vector<own_key>>(
        std::vector<own_key>{{.domain = "a.example", .sha256 = key()},
                             {.domain = "a.example", .sha256 = std::string(64, 'b'), .next = true},
                             {.domain = "b.example", .sha256 = std::string(64, 'c')}});
    running_host r{.domain = "a.example",
                   .target = "a.example",
                   .ports = {{.port = 5269, .address = "[::]:5269", .servers = true, .starttls = true}},
                   .keys = {(*keys)[0], (*keys)[1]},
                   .issuer = {},
                   .urls = {}};
    return {
        .running = std::move(r), .unicode = "a.example", .served = served_, .all_keys = std::move(keys), .dial = dial};
  }

  /// "KIND" of each finding.
  static std::vector<std::string> kinds(const std::vector<finding>& all) {
    std::vector<std::string> words;
    for (const auto& f : all) {
      words.emplace_back(to_string(f.kind));
    }
    return words;
  }

  std::vector<finding> run(const std::string& zone, bool dial) {
    control_.restart();
    const auto work = asio::make_work_guard(control_);
    std::vector<inspected_host> hosts;
    hosts.push_back(host(dial));
    std::vector<host_findings> got;
    check_run running{
        {.control = control_, .loops = pool_, .tls = client_},
        {.hosts = std::move(hosts), .dns = std::make_unique<fakes::zone_resolver>(zone), .authorities = trust_},
        [&](std::vector<host_findings> found) {
          got = std::move(found);
          control_.stop();
        }};
    control_.run();
    EXPECT_EQ(got.at(0).domain, "a.example");
    return got.at(0).findings;
  }

  asio::io_context control_;  // outlives the loops, whose threads may not be out of post() when its work is done
  fakes::folder folder_;
  tls::peer_credentials served_;
  std::shared_ptr<const tls::trust_store> trust_;
  tls::server_context context_;
  tls::client_context client_{context_};
  connection::connection_metrics metrics_{1, {}};
  server::loop_pool pool_{1, metrics_};
};

const std::string secure = R"(
!secure a.example
_xmpp-server._tcp.a.example SRV 5 0 5269 x.a.example
x.a.example A 127.0.0.1
)";
const std::string tlsa = "_5269._tcp.x.a.example TLSA ";

TEST_F(Inspection, IsSilentOnWhatIsRight) {
  EXPECT_EQ(kinds(run(secure + tlsa + "3 1 1 " + key() + "\n" + tlsa + "3 1 1 " + std::string(64, 'b') + "\n" + tlsa +
                          "3 1 1 " + std::string(64, 'c') + "\n",
                      false)),
            std::vector<std::string>{});
}

TEST_F(Inspection, TellsWhoseKeysArePublished) {  // B20
  EXPECT_EQ(kinds(run(secure + tlsa + "3 1 1 " + key() + "\n" + tlsa + "3 1 1 " + std::string(64, 'd') + "\n", false)),
            (std::vector<std::string>{"tlsa_stale", "tlsa_next_missing"}));
  EXPECT_EQ(kinds(run(secure + tlsa + "3 1 1 " + std::string(64, 'd') + "\n", false)),
            std::vector<std::string>{"tlsa_mismatch"});
  EXPECT_EQ(kinds(run(secure + tlsa + "9 1 1 " + key() + "\n", false)), std::vector<std::string>{"tlsa_unusable"});
  EXPECT_EQ(kinds(run(secure + tlsa + "3 0 2 " + tls::hex(tls::association_data(served_, 0, 2)) + "\n" + tlsa +
                          "3 1 1 " + std::string(64, 'b') + "\n",
                      false)),
            std::vector<std::string>{})
      << "of the certificate, in another form";
}

/// A port that nothing listens on, held so that nobody else takes it.
class closed_port {
public:
  closed_port() : socket_{context_, asio::ip::tcp::endpoint{asio::ip::address_v4::loopback(), 0}} {}
  [[nodiscard]] std::string number() const { return std::to_string(socket_.local_endpoint().port()); }

private:
  asio::io_context context_;
  asio::ip::tcp::socket socket_;  // bound, and not listening
};

TEST_F(Inspection, DialsWhatIsAdvertisedEvenOnLoopback) {
  const closed_port port;
  const auto found =
      run("_xmpp-server._tcp.a.example SRV 5 0 " + port.number() + " x.a.example\nx.a.example A 127.0.0.1\n", true);
  ASSERT_EQ(kinds(found), (std::vector<std::string>{"zone_unsigned", "port_closed"}));
  EXPECT_EQ(found[1].text, "x.a.example:" + port.number() +
                               " (127.0.0.1), where _xmpp-server._tcp.a.example leads, refuses connections; see that a "
                               "listener is open there, or remove the record");
}

TEST_F(Inspection, DialsTheDomainItselfForWantOfRecords) {  // A10
  const auto found = run("a.example A 127.0.0.1\n", true);
  // Nothing listens on 5269 of this machine, or whatever does is not this host.
  ASSERT_GE(found.size(), 2U);
  EXPECT_EQ(found[1].kind, finding_kind::srv_missing);
  EXPECT_EQ(found[1].severity, severity::warning);
}

TEST_F(Inspection, AsksTheWebServerOfADomainWithWebSockets) {  // XEP-0156
  fakes::zone_resolver zone{"_xmpp-server._tcp.a.example SRV 0 0 0 .\na.example A 192.0.2.80\n"};
  std::string asked;
  std::jthread other_thread;
  const auto web = [&](const std::string& url, const std::vector<dns::address>& at, auto done) {
    asked = url + " at " + at.at(0).text();
    other_thread = std::jthread{[done = std::move(done)]() mutable { done({.status = 404, .body = {}, .error = {}}); }};
  };
  auto looked_at = host(true);
  looked_at.running.ports.clear();
  looked_at.running.urls = {"wss://a.example/xmpp-websocket"};
  std::promise<std::vector<finding>> told;
  inspection looked{{.loop = pool_.loop(0), .dns = zone, .tls = client_, .authorities = trust_, .web = web},
                    std::move(looked_at),
                    [&](std::vector<finding> found) { told.set_value(std::move(found)); }};
  pool_.loop(0).post([&] { looked.begin(); });
  const auto found = kinds(told.get_future().get());
  EXPECT_EQ(asked, "https://a.example/.well-known/host-meta.json at 192.0.2.80");
  EXPECT_EQ(found, (std::vector<std::string>{"zone_unsigned", "host_meta_missing"}));
}

TEST_F(Inspection, DialsNobodyForWhatIsNeitherPublishedNorServed) {
  auto looked_at = host(true);
  looked_at.running.ports.clear();
  fakes::zone_resolver zone{"a.example A 127.0.0.1\n"};  // of the domain's web server
  std::promise<std::vector<finding>> told;
  inspection looked{{.loop = pool_.loop(0), .dns = zone, .tls = client_, .authorities = trust_, .web = {}},
                    std::move(looked_at),
                    [&](std::vector<finding> found) { told.set_value(std::move(found)); }};
  pool_.loop(0).post([&] { looked.begin(); });
  EXPECT_EQ(kinds(told.get_future().get()), std::vector<std::string>{"zone_unsigned"});
}

TEST_F(Inspection, EndsInTimeThoughTheDnsIsSilent) {
  fakes::zone_resolver silent{"!silent _xmpp-server._tcp.a.example SRV\n"};
  std::promise<std::vector<finding>> told;
  inspection looked{{.loop = pool_.loop(0), .dns = silent, .tls = client_, .authorities = trust_},
                    host(true),
                    [&](std::vector<finding> found) { told.set_value(std::move(found)); },
                    {.whole = std::chrono::milliseconds{20}}};
  pool_.loop(0).post([&] { looked.begin(); });
  const auto found = told.get_future().get();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].text,
            "the DNS has not answered in time; see that the name servers of a.example answer, and [dns]");
}

class CheckService : public ::testing::Test {
protected:
  explicit CheckService(const std::string& domain = "a.test") {
    certificates_.swap(*tls::server_context::load({fakes::write_certificate(folder_.path(), {.domain = domain})},
                                                  tls::protocol_version::tls_1_2));
    config::host_settings host;
    host.domain = domain;
    host.private_key = folder_.path() / "key";
    settings_.hosts = {host};
    settings_.tls.ca_file =
        fakes::write(folder_.path(), "roots", fakes::pem({fakes::issue({.domain = "root", .authority = true})}));
    pool_.start();
  }
  ~CheckService() override { pool_.stop(); }

  [[nodiscard]] check_service::collaborators with() {
    return {.control = control_,
            .loops = pool_,
            .tls = certificates_,
            .log = log_,
            .settings = settings_,
            .ports = [] { return std::vector<config::listen_settings>{}; },
            .start_resolver =
                [this](const dns::settings& asked) -> std::expected<std::unique_ptr<dns::resolver>, std::string> {
              resolver_settings_ = asked;
              if (!resolver_error_.empty()) {
                return std::unexpected{resolver_error_};
              }
              return std::make_unique<fakes::zone_resolver>(zone_);
            }};
  }

  asio::io_context control_;
  fakes::folder folder_;
  tls::server_context certificates_;
  config::settings settings_;
  std::string zone_;
  std::string resolver_error_;
  dns::settings resolver_settings_;
  fakes::recording_log log_;
  connection::connection_metrics metrics_{1, {}};
  server::loop_pool pool_{1, metrics_};
};

TEST_F(CheckService, LooksAtTheRecordsByItself) {
  settings_.dns.stubs["a.test"] = {"127.0.0.1@1"};
  for (const auto* const service : {"_xmpp-client", "_xmpps-client", "_xmpp-server", "_xmpps-server"}) {
    zone_ += std::string{"!servfail "} + service + "._tcp.a.test\n";
  }
  check_service service{with(), std::chrono::seconds{0}};
  const auto text = [&] { return prometheus::TextSerializer{}.Serialize(service.collectable()->Collect()); };
  EXPECT_FALSE(text().contains("a.test"));
  while (!text().contains("a.test") && control_.run_one() != 0) {
  }
  EXPECT_TRUE(text().contains("{host=\"a.test\",record=\"srv\",severity=\"error\"} 4\n")) << text();
  EXPECT_EQ(resolver_settings_.stubs, settings_.dns.stubs);
}

TEST_F(CheckService, SaysWhyThereIsNoResolver) {
  resolver_error_ = "no process";
  check_service service{with()};
  EXPECT_EQ(service.check("a.test", [](const auto&) {}).error(), "no process");
}

TEST_F(CheckService, LeavesNamesAloneThatAreNobodys) {
  check_service service{with(), std::chrono::seconds{0}};
  EXPECT_EQ(control_.run_one(), 1U) << "the time has come";
  EXPECT_EQ(control_.poll(), 0U) << "and nothing was begun";
}

TEST_F(CheckService, RefusesWhatItDoesNotServe) {
  check_service service{with()};
  EXPECT_EQ(service.check("b.test", [](const auto&) {}).error(),
            "'b.test' is not served here; use a domain of a [[host]] in the configuration");
  settings_.tls.ca_file = "/none";
  EXPECT_TRUE(service.check("a.test", [](const auto&) {}).error().starts_with("/none cannot be read"));
}

TEST(OwnRecordsMetrics, HaveEverySeriesOfEachHostThatWasLookedAt) {
  own_records_metrics metrics;
  const auto text = [&] { return prometheus::TextSerializer{}.Serialize(metrics.collectable()->Collect()); };
  const auto at = std::chrono::system_clock::time_point{std::chrono::seconds{1'000}};
  metrics.looked_at("a.example",
                    std::vector<finding>{{severity::error, finding_kind::target_alias, "one"},
                                         {severity::error, finding_kind::target_missing, "two"},
                                         {severity::warning, finding_kind::tlsa_missing, "three"},
                                         {severity::error, finding_kind::port_closed, "not about records"}},
                    at);
  EXPECT_EQ(text(),
            "# HELP comity_own_records_findings What is wrong with the DNS records that a host publishes.\n"
            "# TYPE comity_own_records_findings gauge\n"
            "comity_own_records_findings{host=\"a.example\",record=\"srv\",severity=\"error\"} 0\n"
            "comity_own_records_findings{host=\"a.example\",record=\"srv\",severity=\"warning\"} 0\n"
            "comity_own_records_findings{host=\"a.example\",record=\"address\",severity=\"error\"} 2\n"
            "comity_own_records_findings{host=\"a.example\",record=\"address\",severity=\"warning\"} 0\n"
            "comity_own_records_findings{host=\"a.example\",record=\"dnssec\",severity=\"error\"} 0\n"
            "comity_own_records_findings{host=\"a.example\",record=\"dnssec\",severity=\"warning\"} 0\n"
            "comity_own_records_findings{host=\"a.example\",record=\"tlsa\",severity=\"error\"} 0\n"
            "comity_own_records_findings{host=\"a.example\",record=\"tlsa\",severity=\"warning\"} 1\n"
            "# HELP comity_own_records_checked_timestamp_seconds When a host's DNS records were looked at last, in "
            "seconds since the epoch.\n"
            "# TYPE comity_own_records_checked_timestamp_seconds gauge\n"
            "comity_own_records_checked_timestamp_seconds{host=\"a.example\"} 1000\n");
  metrics.looked_at("a.example", {}, at);
  EXPECT_FALSE(text().contains("\"} 2\n")) << "what is right now is no longer wrong";
  metrics.keep(std::vector<std::string>{"b.example"});
  EXPECT_FALSE(text().contains("a.example"));
}

TEST(Resolvable, AreNamesThatTheDnsKnowsOf) {  // RFC 6761
  config::dns_settings dns;
  EXPECT_TRUE(resolvable("a.org", dns));
  EXPECT_TRUE(resolvable("mylocal", dns));
  EXPECT_FALSE(resolvable("localhost", dns));
  EXPECT_FALSE(resolvable("chat.localhost", dns));
  EXPECT_FALSE(resolvable("a.test", dns));
  dns.stubs["a.test"] = {"127.0.0.1@5353"};
  EXPECT_TRUE(resolvable("a.test", dns));
  EXPECT_FALSE(resolvable("b.test", dns));
  dns.special_zones = {"test"};
  EXPECT_TRUE(resolvable("b.test", dns));
}

}  // namespace
