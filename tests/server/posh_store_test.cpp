// The store of POSH documents: what is asked for, what is believed and how long it is kept (RFC 7711).
#include "server/posh_store.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <optional>

#include "fakes/certificate_builder.hpp"
#include "fakes/tls_dialogue.hpp"
#include "tls/context.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::server {
namespace {

using namespace std::chrono_literals;
using connection::posh_answer;

/// Answers at once what it was told, and runs posted work when the test says so.
class scripted_fetcher final : public http::fetcher {
public:
  void get(http::https_url what, std::vector<dns::address> at, completion done) override {
    asked.push_back(what.text);
    last_addresses = std::move(at);
    const auto found = answers.find(what.text);
    post([done = std::move(done), f = found == answers.end() ? http::fetched{.status = 404} : found->second]() mutable {
      done(std::move(f));
    });
  }
  void post(std::move_only_function<void()> work) override { work_.push_back(std::move(work)); }
  void run() {
    while (!work_.empty()) {
      auto next = std::move(work_.front());
      work_.pop_front();
      next();
    }
  }

  std::map<std::string, http::fetched> answers;
  std::vector<std::string> asked;
  std::vector<dns::address> last_addresses;

private:
  std::deque<std::move_only_function<void()>> work_;
};

/// Every name has the one address, but for those that are not there.
class one_address final : public dns::resolver {
public:
  dns::ticket lookup(std::string name, dns::record_type type, dns::executor run_on, completion done) override {
    dns::answer a;
    a.type = type;
    a.canonical_name = name;
    a.result = type == dns::record_type::a && name != "absent.example" ? dns::outcome::records : dns::outcome::nodata;
    if (a.result == dns::outcome::records) {
      a.addresses.push_back(*dns::address::parse(address));
    }
    run_on([a, done = std::move(done)]() mutable { done(a); });
    return nullptr;
  }
  std::string address = "192.0.2.80";
};

class silent final : public log::sink {
public:
  [[nodiscard]] bool enabled(log::level) const noexcept override { return false; }
  void write(log::level, std::string_view, std::initializer_list<log::field>) noexcept override {}
};

class PoshStore : public testing::Test {
protected:
  PoshStore() {
    for (const auto* const name : {"certificate", "another"}) {
      const auto written = fakes::write_certificate(folder_.path(), {.domain = name});
      const auto table = tls::server_context::load({written}, tls::protocol_version::tls_1_2);
      credentials_.emplace(name, tls::served_credentials(**table, name));
    }
  }
  std::optional<posh_answer> check(const std::string& domain, const std::string& certificate = "certificate") {
    std::optional<posh_answer> got;
    store_.check(domain, credentials_.at(certificate), [&](posh_answer a) { got = a; });
    fetcher_.run();
    return got;
  }
  void publish(const std::string& url, const std::string& body) {
    fetcher_.answers[url] = {.status = 200, .body = body};
  }
  std::string naming(const std::string& certificate, int expires = 600) {
    return R"({"fingerprints":[{"sha-256":")" +
           tls::base64_encode(tls::fingerprint(credentials_.at(certificate), tls::hash::sha256)) + R"("}],"expires":)" +
           std::to_string(expires) + "}";
  }
  static std::string referring(const std::string& url, int expires = 600) {
    return R"({"url":")" + url + R"(","expires":)" + std::to_string(expires) + "}";
  }

  fakes::folder folder_;
  std::map<std::string, tls::peer_credentials> credentials_;
  const std::string url_ = "https://a.example/.well-known/posh/xmpp-server.json";
  std::chrono::steady_clock::time_point now_{};
  scripted_fetcher fetcher_;
  one_address resolver_;
  silent log_;
  posh_store store_{{.resolver = resolver_,
                     .fetcher = fetcher_,
                     .log = log_,
                     .may_dial = [](const dns::address& a) { return a.text() != "127.0.0.1"; },
                     .now = [this] { return now_; }}};
};

// K05
TEST_F(PoshStore, AsksTheDomainAtTheAddressThatOurResolverGives) {
  publish(url_, naming("certificate"));
  EXPECT_EQ(check("a.example"), posh_answer::matched);
  EXPECT_EQ(fetcher_.asked, std::vector{url_});
  ASSERT_EQ(fetcher_.last_addresses.size(), 1U);
  EXPECT_EQ(fetcher_.last_addresses[0].text(), "192.0.2.80");
}

// K07: a document that names others is not the same as none.
TEST_F(PoshStore, TellsAMismatchFromAnAbsence) {
  EXPECT_EQ(check("a.example"), posh_answer::none);
  now_ += posh_store::absence_kept;
  publish(url_, naming("another"));
  EXPECT_EQ(check("a.example"), posh_answer::mismatched);
}

TEST_F(PoshStore, AsksInALabels) {
  publish("https://xn--bcher-kva.example/.well-known/posh/xmpp-server.json", naming("certificate"));
  EXPECT_EQ(check("bücher.example"), posh_answer::matched);
}

// K06: kept as long as it says and not a second longer.
TEST_F(PoshStore, KeepsADocumentUntilItExpires) {
  publish(url_, naming("certificate", 600));
  EXPECT_EQ(check("a.example"), posh_answer::matched);
  now_ += 599s;
  EXPECT_EQ(check("a.example", "another"), posh_answer::mismatched);
  EXPECT_EQ(fetcher_.asked.size(), 1U);
  now_ += 1s;
  publish(url_, naming("another"));
  EXPECT_EQ(check("a.example", "another"), posh_answer::matched);
  EXPECT_EQ(fetcher_.asked.size(), 2U);
}

// K06, RFC 7711 §3.2, §6
TEST_F(PoshStore, FollowsOneReferenceAndKeepsTheLowerExpiry) {
  publish(url_, referring("https://b.example/p.json", 100));
  publish("https://b.example/p.json", naming("certificate", 600));
  EXPECT_EQ(check("a.example"), posh_answer::matched);
  EXPECT_EQ(fetcher_.asked.size(), 2U);
  now_ += 99s;
  EXPECT_EQ(check("a.example"), posh_answer::matched);
  EXPECT_EQ(fetcher_.asked.size(), 2U);
  now_ += 1s;
  EXPECT_EQ(check("a.example"), posh_answer::matched);
  EXPECT_EQ(fetcher_.asked.size(), 4U);  // from the source domain on
}

// K06
TEST_F(PoshStore, FollowsNoSecondReference) {
  publish(url_, referring("https://b.example/p.json"));
  publish("https://b.example/p.json", referring("https://c.example/p.json"));
  publish("https://c.example/p.json", naming("certificate"));
  EXPECT_EQ(check("a.example"), posh_answer::none);
  EXPECT_EQ(fetcher_.asked.size(), 2U);
}

TEST_F(PoshStore, RefersToHttpsAlone) {
  publish(url_, referring("http://b.example/p.json"));
  EXPECT_EQ(check("a.example"), posh_answer::none);
  EXPECT_EQ(fetcher_.asked.size(), 1U);
}

// RFC 7711 §10
TEST_F(PoshStore, FollowsAFewRedirects) {
  const auto redirect = [&](const std::string& from, const std::string& to) {
    fetcher_.answers[from] = {.status = 302, .location = to};
  };
  redirect(url_, "https://b.example/1");
  redirect("https://b.example/1", "https://b.example/2");
  redirect("https://b.example/2", "https://b.example/3");
  publish("https://b.example/3", naming("certificate"));
  EXPECT_EQ(check("a.example"), posh_answer::matched);
  now_ += 600s;
  redirect("https://b.example/3", "https://b.example/4");
  publish("https://b.example/4", naming("certificate"));
  EXPECT_EQ(check("a.example"), posh_answer::none);
}

// THREATS E1
TEST_F(PoshStore, ConnectsNowhereThatMayNotBeDialled) {
  resolver_.address = "127.0.0.1";
  publish(url_, naming("certificate"));
  EXPECT_EQ(check("a.example"), posh_answer::none);
  EXPECT_TRUE(fetcher_.asked.empty());
  publish("https://b.example/p.json", naming("certificate"));
  EXPECT_EQ(check("absent.example"), posh_answer::none);
  EXPECT_TRUE(fetcher_.asked.empty());
  // A literal address, by way of a reference.
  now_ += posh_store::absence_kept;
  resolver_.address = "192.0.2.80";
  publish(url_, referring("https://127.0.0.1/p.json"));
  EXPECT_EQ(check("a.example"), posh_answer::none);
  EXPECT_EQ(fetcher_.asked, std::vector{url_});
}

TEST_F(PoshStore, AsksOnceForAllWhoAskAtTheSameTime) {
  publish(url_, naming("certificate"));
  std::vector<posh_answer> got;
  for (const auto* const certificate : {"certificate", "another", "certificate"}) {
    store_.check("a.example", credentials_.at(certificate), [&](posh_answer a) { got.push_back(a); });
  }
  fetcher_.run();
  EXPECT_EQ(got, (std::vector{posh_answer::matched, posh_answer::mismatched, posh_answer::matched}));
  EXPECT_EQ(fetcher_.asked.size(), 1U);
}

TEST_F(PoshStore, RemembersAnAbsenceForAWhile) {
  EXPECT_EQ(check("a.example"), posh_answer::none);
  now_ += posh_store::absence_kept - 1s;
  EXPECT_EQ(check("a.example"), posh_answer::none);
  EXPECT_EQ(fetcher_.asked.size(), 1U);
  now_ += 1s;
  EXPECT_EQ(check("a.example"), posh_answer::none);
  EXPECT_EQ(fetcher_.asked.size(), 2U);
}

TEST_F(PoshStore, KeepsABoundedNumberOfDomains) {
  publish(url_, naming("certificate", 600));
  EXPECT_EQ(check("a.example"), posh_answer::matched);
  for (std::size_t i = 1; i < posh_store::domains_kept; ++i) {
    check("d" + std::to_string(i) + ".example");
  }
  check("d1.example");
  EXPECT_EQ(fetcher_.asked.size(), posh_store::domains_kept);
  check("one-more.example");  // takes the place of one that would have ended first
  check("a.example");
  EXPECT_EQ(fetcher_.asked.size(), posh_store::domains_kept + 1);
}

}  // namespace
}  // namespace comity::server
