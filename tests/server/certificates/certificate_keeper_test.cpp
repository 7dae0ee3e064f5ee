// Certificates that change while they are served: on real files, with the clock of the test for their dates.
#include "server/certificates/certificate_keeper.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <asio.hpp>
#include <fstream>

#include "fakes/certificate_builder.hpp"
#include "fakes/folder.hpp"
#include "fakes/recording_log.hpp"
#include "server/config/certificate_files.hpp"
#include "server/config/config.hpp"

namespace comity::server {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Keeper : public testing::Test {
protected:
  /// Writes a pair that was just issued, the certificate first, and gives its fingerprint.
  std::string place(const fs::path& certificate, const fs::path& key, const fakes::issued& pair) {
    fs::create_directories((root_ / certificate).parent_path());
    fakes::write((root_ / certificate).parent_path(), certificate.filename(), fakes::pem({pair}));
    place_key(key, pair);
    return sha256(pair);
  }
  void place_key(const fs::path& key, const fakes::issued& pair) {
    const auto made = fakes::write_certificate(scratch_.path(), "scratch", pair);
    fs::copy_file(made.private_key_file, root_ / key, fs::copy_options::overwrite_existing);
  }
  static std::string sha256(const fakes::issued& pair) { return tls::summary(fakes::presented(pair)).sha256; }
  static fakes::issued fresh(const std::string& domain = "a.example", long until = 86400L * 60) {
    return fakes::issue({.domain = domain, .from = -86400L * 30, .until = until});
  }

  /// Serves these hosts out of the directory.
  void serve(const std::vector<std::string>& domains) {
    settings_.tls.certificate_directory = root_;
    settings_.s2s.enabled = true;
    for (const auto& domain : domains) {
      settings_.hosts.push_back({.domain = domain, .certificate = {}, .private_key = {}});
    }
    auto table = config::check_certificates(settings_);
    ASSERT_TRUE(table) << to_string(table.error().front());
    tls_.swap(*table);
    keeper_.keep(settings_);
  }
  [[nodiscard]] std::string served(std::size_t host = 0) const {
    return tls::certificates(*tls_.current()).at(host).sha256;
  }
  /// Runs until that holds; the time it took.
  std::chrono::milliseconds until(const std::function<bool()>& holds) {
    const auto start = std::chrono::steady_clock::now();
    while (!holds() && std::chrono::steady_clock::now() < start + 10s) {
      control_.run_one_for(100ms);
    }
    EXPECT_TRUE(holds()) << testing::PrintToString(log_.lines());
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
  }
  [[nodiscard]] std::vector<std::string> lines(std::string_view event) const {
    auto all = log_.lines();
    std::erase_if(all, [&](const auto& l) { return !l.starts_with(std::string{event} + " "); });
    return all;
  }

  fakes::folder folder_, scratch_;
  fs::path root_ = folder_.path();
  asio::io_context control_;
  fakes::recording_log log_;
  tls::server_context tls_;
  config::settings settings_;
  std::chrono::seconds ahead_{};  // of the real time
  std::vector<std::shared_ptr<const tls::trust_store>> trusted_;
  certificate_keeper keeper_{{.control = control_,
                              .tls = tls_,
                              .log = log_,
                              .now = [this] { return std::chrono::system_clock::now() + ahead_; },
                              .trust = [this](auto store) { trusted_.push_back(std::move(store)); },
                              .pace = {.quiet = 30ms, .longest = 90ms, .doubt = 300ms}}};
};

TEST_F(Keeper, FindsEachLayoutAndPrefersThemInOrder) {
  const auto flat = place("a.example.crt", "a.example.key", fresh());
  serve({"a.example"});
  EXPECT_EQ(served(), flat);
  const auto caddy = place("a.example/a.example.crt", "a.example/a.example.key", fresh());
  until([&] { return served() == caddy; });
  const auto certbot = place("a.example/fullchain.pem", "a.example/privkey.pem", fresh());
  until([&] { return served() == certbot; });
}

TEST_F(Keeper, TakesARenewedPairWithinASecondAndSaysSo) {
  (void)place("a.example.crt", "a.example.key", fresh());
  (void)place("b.example.crt", "b.example.key", fresh("b.example"));
  serve({"a.example", "b.example"});
  EXPECT_EQ(lines("tls.certificate").size(), 2U);
  const auto before = served(1);
  const auto renewed = place("a.example.crt", "a.example.key", fresh());
  EXPECT_LT(until([&] { return served() == renewed; }), 1s);
  EXPECT_EQ(served(1), before);
  ASSERT_EQ(lines("tls.certificate").size(), 3U) << "of the one that changed";
  EXPECT_THAT(lines("tls.certificate")[2], HasSubstr("host=a.example"));
  EXPECT_THAT(lines("tls.refused"), IsEmpty());
}

TEST_F(Keeper, WaitsForTheKeyThatComesLater) {
  (void)place("a.example.crt", "a.example.key", fresh());
  serve({"a.example"});
  const auto before = served();
  const auto renewed = fresh();
  fakes::write(root_, "a.example.crt", fakes::pem({renewed}));
  control_.run_for(120ms);  // it has looked meanwhile, and was not satisfied
  EXPECT_EQ(served(), before);
  place_key("a.example.key", renewed);
  EXPECT_LT(until([&] { return served() == sha256(renewed); }), 1s);
  control_.run_for(400ms);
  EXPECT_THAT(lines("tls.refused"), IsEmpty());
}

TEST_F(Keeper, RefusesWhatIsBadInOneLineAndKeepsWhatItHad) {
  (void)place("a.example.crt", "a.example.key", fresh());
  (void)place("b.example.crt", "b.example.key", fresh("b.example"));
  serve({"a.example", "b.example"});
  const auto before = served();
  const auto refused = [&](const std::string& why) {
    const auto lines_before = lines("tls.refused").size();
    until([&] { return lines("tls.refused").size() > lines_before; });
    EXPECT_THAT(lines("tls.refused").back(), HasSubstr(why));
    EXPECT_EQ(lines("tls.refused").size(), lines_before + 1);
    EXPECT_EQ(served(), before);
  };
  // Each at once with a good one of another host, which is not held up by it.
  fakes::write(root_, "a.example.crt", fakes::pem({fresh()}));
  const auto other = place("b.example.crt", "b.example.key", fresh("b.example"));
  refused("does not belong to the certificate");
  EXPECT_EQ(served(1), other);
  (void)place("a.example.crt", "a.example.key", fakes::issue({.domain = "a.example", .from = -7200, .until = -3600}));
  refused("expired");
  fakes::write(root_, "a.example.crt", "-----BEGIN CERTIFICATE-----\nno\n");
  refused("holds no certificate");
  fs::remove(root_ / "a.example.crt");
  refused("has no certificate with its key for a.example");
  const auto good = place("a.example.crt", "a.example.key", fresh());
  until([&] { return served() == good; });
}

TEST_F(Keeper, TakesAKeyThatIsNotReadableByOthersAnyMore) {
  (void)place("a.example.crt", "a.example.key", fresh());
  serve({"a.example"});
  const auto before = served();
  const auto renewed = fresh();
  place_key("a.example.key", renewed);
  ::chmod((root_ / "a.example.key").c_str(), 0644);
  fakes::write(root_, "a.example.crt", fakes::pem({renewed}));
  control_.run_for(120ms);
  EXPECT_EQ(served(), before);
  ::chmod((root_ / "a.example.key").c_str(), 0600);
  until([&] { return served() == sha256(renewed); });
}

TEST_F(Keeper, WarnsOfACertificateThatDoesNotNameItsHost) {
  (void)place("a.example.crt", "a.example.key", fresh("provider.example"));
  serve({"a.example"});
  EXPECT_THAT(lines("tls.certificate_name"), ElementsAre(HasSubstr("host=a.example")));
}

TEST_F(Keeper, WarnsOfOneThatExpires) {
  (void)place("a.example.crt", "a.example.key", fresh("a.example", 86400L * 5));
  serve({"a.example"});
  EXPECT_THAT(lines("tls.certificate_expires"), ElementsAre(HasSubstr("host=a.example days_left=4 ")));
  keeper_.keep(settings_);
  EXPECT_EQ(lines("tls.certificate_expires").size(), 1U) << "a reload is no reason to say it again";
  ahead_ = std::chrono::days{4};
  keeper_.keep(settings_);
  EXPECT_EQ(lines("tls.certificate_expires").size(), 2U);
}

TEST_F(Keeper, ReadsRevocationListsAnew) {  // G02
  (void)place("a.example.crt", "a.example.key", fresh());
  const auto root = fakes::issue({.domain = "Root", .authority = true});
  const auto peer = fakes::issue({.domain = "far.example"}, &root);
  settings_.tls.ca_file = fakes::write(root_, "roots.pem", fakes::pem({root}));
  settings_.tls.crl_file = fakes::write(root_, "lists.pem", fakes::revocation_list(root, {}));
  serve({"a.example"});
  const auto judged = [&] { return tls::judge_chain(fakes::presented(peer), *trusted_.back(), {}).problem; };
  fakes::write(root_, "lists.pem", fakes::revocation_list(root, {peer}));
  until([&] { return trusted_.size() == 1; });
  EXPECT_EQ(judged(), tls::chain_problem::revoked);
  fakes::write(root_, "lists.pem", "nothing of the kind");
  until([&] { return !lines("tls.refused").empty(); });
  EXPECT_THAT(lines("tls.refused"), ElementsAre(HasSubstr("tls.crl_file")));
  EXPECT_EQ(trusted_.size(), 1U);
  fakes::write(root_, "lists.pem", fakes::revocation_list(root, {}));
  until([&] { return trusted_.size() == 2; });
  EXPECT_EQ(judged(), tls::chain_problem::none);
  // A certificate that changes is no reason to read them again.
  const auto renewed = place("a.example.crt", "a.example.key", fresh());
  until([&] { return served() == renewed; });
  EXPECT_EQ(trusted_.size(), 2U);
}

TEST(CertificatePlaces, AreThoseOfTheProgramsThatFetchCertificates) {
  EXPECT_THAT(config::certificate_places("/c", "a.example"),
              ElementsAre(config::certificate_pair{"/c/a.example/fullchain.pem", "/c/a.example/privkey.pem"},
                          config::certificate_pair{"/c/a.example/a.example.crt", "/c/a.example/a.example.key"},
                          config::certificate_pair{"/c/a.example.crt", "/c/a.example.key"}));
}

TEST_F(Keeper, ServesAHostOfAnotherScriptByItsALabels) {
  (void)place("xn--bcher-kva.example.crt", "xn--bcher-kva.example.key", fresh("xn--bcher-kva.example"));
  serve({"bücher.example"});
  EXPECT_THAT(lines("tls.certificate"), Contains(HasSubstr("host=xn--bcher-kva.example")));
  EXPECT_THAT(lines("tls.certificate_name"), IsEmpty());
}

}  // namespace
}  // namespace comity::server
