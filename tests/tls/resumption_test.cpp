// Sessions between servers: what resumes, what it proves, and how sessions are kept.
#include <openssl/ssl.h>

#include "tls/two_servers.hpp"

namespace comity::tls {
namespace {

using namespace std::chrono_literals;
using fakes::tls_pair;

class Resumption : public TwoServers, public ::testing::WithParamInterface<protocol_version> {
protected:
  void SetUp() override {
    TwoServers::SetUp();
    hold_back();
  }
  /// Ours speak TLS 1.3 to each other; for TLS 1.2 the far end is held back.
  void hold_back() {
    if (GetParam() == protocol_version::tls_1_2) {
      for (const auto& context : far_server_.current()->contexts) {
        SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
      }
    }
  }
  std::shared_ptr<const session> first(client_certificate certificate = client_certificate::requested) {
    tls_pair talk;
    EXPECT_TRUE(talk.connect(client_, to_far(), far_server_, certificate));
    EXPECT_EQ(GetParam() == protocol_version::tls_1_2 ? "TLSv1.2" : "TLSv1.3", talk.client.facts().version);
    EXPECT_FALSE(talk.client.facts().resumed);
    auto given = talk.client.take_session();
    EXPECT_EQ(nullptr, talk.client.take_session());
    return given;
  }
  /// Whether a second connection resumes; both ends say the same.
  bool resumes(std::shared_ptr<const session> given, client_certificate certificate = client_certificate::requested) {
    tls_pair talk;
    EXPECT_TRUE(talk.connect(client_, to_far(std::move(given)), far_server_, certificate));
    EXPECT_EQ(talk.client.facts().resumed, talk.server.facts().resumed);
    return talk.client.facts().resumed;
  }
};

TEST_P(Resumption, KnowsThePeerStill) {  // F07: a resumed connection is judged as the first one was
  auto given = first();
  ASSERT_NE(nullptr, given);
  EXPECT_EQ(GetParam() == protocol_version::tls_1_3, given->single_use());
  for (int i = 0; i < 3; ++i) {  // and so is one resumed from that one
    tls_pair talk;
    ASSERT_TRUE(talk.connect(client_, to_far(given), far_server_));
    EXPECT_TRUE(talk.client.facts().resumed);
    EXPECT_TRUE(talk.server.facts().resumed);
    const auto near = chain_of(served_credentials(*near_server_.current(), "near.example"));
    EXPECT_EQ(2U, near.size());
    EXPECT_EQ(near, chain_of(talk.server.peer()));
    EXPECT_EQ(chain_of(served_credentials(*far_server_.current(), "far.example")), chain_of(talk.client.peer()));
    EXPECT_EQ("CN=near.example", talk.server.facts().peer->subject);
    EXPECT_EQ("xmpp-server", talk.client.facts().alpn);
    if (auto next = talk.client.take_session()) {
      given = std::move(next);
    }
  }
}

TEST_P(Resumption, OutlivesAnEndWithoutCloseNotify) {
  std::shared_ptr<const session> given;
  {
    tls_pair talk;
    ASSERT_TRUE(talk.connect(client_, to_far(), far_server_));
    given = talk.client.take_session();
  }
  EXPECT_TRUE(resumes(given));
}

TEST_P(Resumption, DoesNotCarryACertificateToWhereNoneIsAskedFor) {  // E09
  const auto with = first(client_certificate::requested);
  EXPECT_FALSE(resumes(with, client_certificate::not_requested));
  const auto without = first(client_certificate::not_requested);
  EXPECT_FALSE(resumes(without, client_certificate::requested));
  EXPECT_TRUE(resumes(without, client_certificate::not_requested));
}

TEST_P(Resumption, IsForTheHostItWasMadeAt) {
  auto options = to_far(first());
  options.server_name = "other.example";
  ASSERT_TRUE(talk_.connect(client_, options, far_server_));
  EXPECT_FALSE(talk_.client.facts().resumed);
  EXPECT_EQ("CN=other.example", talk_.client.facts().peer->subject);
}

TEST_P(Resumption, WorksAcrossASwapOfTheServersCertificates) {
  const auto given = first();
  far_server_.swap(server_context::load(far_, protocol_version::tls_1_2).value());
  hold_back();
  EXPECT_TRUE(resumes(given));
}

TEST_P(Resumption, ChecksTheSelectedProtocolAgain) {  // D09
  const auto given = first();
  static constexpr std::array<std::string_view, 1> h2{"h2"};
  auto options = to_far(given);
  options.alpn = h2;
  EXPECT_FALSE(talk_.connect(client_, options, far_server_));
  EXPECT_EQ(tls_failure::kind::no_application_protocol, talk_.client.failure().what);
}

TEST_P(Resumption, IsLeftOutWhereTheCertificatesFillATicket) {  // THREATS B6
  std::vector<std::string> names;
  for (int i = 0; i < 250; ++i) {
    names.push_back("DNS:" + std::string(60, 'x') + '.' + std::to_string(i) + ".example");
  }
  const auto large = fakes::issue({.domain = "near.example", .names = names});
  ASSERT_LT(std::size_t{16} * 1024, large.der().size());
  near_server_.swap(server_context::load({fakes::write_certificate(directory_->path(), "near.example", large)},
                                         protocol_version::tls_1_2)
                        .value());
  ASSERT_TRUE(talk_.connect(client_, to_far(), far_server_));
  EXPECT_TRUE(talk_.server.peer());
  const auto given = talk_.client.take_session();
  EXPECT_TRUE(given == nullptr || !resumes(given));
  near_ = {fakes::write_certificate(directory_->path(), {.domain = "near.example", .by_authority = true})};
}

INSTANTIATE_TEST_SUITE_P(Versions, Resumption, ::testing::Values(protocol_version::tls_1_2, protocol_version::tls_1_3),
                         [](const auto& v) {
                           return std::string{v.param == protocol_version::tls_1_2 ? "Tls12" : "Tls13"};
                         });

// ---- the cache ----

class SessionCache : public TwoServers {
protected:
  void SetUp() override {
    TwoServers::SetUp();
    ASSERT_TRUE(talk_.connect(client_, to_far(), far_server_));
    once_ = talk_.client.take_session();
    ASSERT_NE(nullptr, once_);
    for (const auto& context : far_server_.current()->contexts) {
      SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
    }
    tls_pair talk;
    ASSERT_TRUE(talk.connect(client_, to_far(), far_server_));
    often_ = talk.client.take_session();
    ASSERT_NE(nullptr, often_);
  }
  static session_cache::key at(std::uint16_t port) {
    return {"near.example", "far.example", "x.far.example", port, true};
  }

  std::shared_ptr<const session> once_, often_;
  std::chrono::system_clock::time_point now_ = std::chrono::system_clock::now();
  session_cache cache_{3, 1h, [this] { return now_; }};
};

TEST_F(SessionCache, GivesATicketOfTls13Once) {  // F07, RFC 8446 §C.4
  cache_.put(at(1), once_);
  EXPECT_EQ(once_, cache_.take(at(1)));
  EXPECT_EQ(nullptr, cache_.take(at(1)));
  EXPECT_EQ(0U, cache_.size());
  cache_.put(at(1), often_);
  EXPECT_EQ(often_, cache_.take(at(1)));
  EXPECT_EQ(often_, cache_.take(at(1)));
}

TEST_F(SessionCache, IsForExactlyTheSameTwoAndTheSameWay) {  // F07
  const session_cache::key k{"near.example", "far.example", "x.far.example", 5269, true};
  cache_.put(k, often_);
  auto other = k;
  other.local_domain = "second.example";
  EXPECT_EQ(nullptr, cache_.take(other));
  other = k;
  other.remote_domain = "other.example";
  EXPECT_EQ(nullptr, cache_.take(other));
  other = k;
  other.host = "y.far.example";
  EXPECT_EQ(nullptr, cache_.take(other));
  other = k;
  other.port = 5270;
  EXPECT_EQ(nullptr, cache_.take(other));
  other = k;
  other.direct = false;
  EXPECT_EQ(nullptr, cache_.take(other));
  EXPECT_EQ(often_, cache_.take(k));
}

TEST_F(SessionCache, KeepsTheLatest) {  // THREATS B6
  for (std::uint16_t port = 1; port <= 3; ++port) {
    cache_.put(at(port), often_);
  }
  cache_.put(at(1), often_);  // now 2 is the oldest
  EXPECT_EQ(3U, cache_.size());
  cache_.put(at(4), often_);
  EXPECT_EQ(3U, cache_.size());
  EXPECT_EQ(nullptr, cache_.take(at(2)));
  for (const auto port : std::array<std::uint16_t, 3>{1, 3, 4}) {
    EXPECT_EQ(often_, cache_.take(at(port)));
  }
}

TEST_F(SessionCache, KeepsNoneForLong) {  // F06, RFC 9325 §3.4
  cache_.put(at(1), often_);
  now_ += 1h - 1ns;
  EXPECT_EQ(often_, cache_.take(at(1)));
  now_ += 1ns;
  EXPECT_EQ(nullptr, cache_.take(at(1)));
  EXPECT_EQ(0U, cache_.size());
}

TEST_F(SessionCache, KeepsNoneForLongerThanTheServerSaid) {
  session_cache patient{3, std::chrono::hours{24 * 365}, [this] { return now_; }};
  patient.put(at(1), once_);
  now_ += std::chrono::hours{24 * 30};
  EXPECT_EQ(nullptr, patient.take(at(1)));
  patient.put(at(1), once_);
  EXPECT_EQ(0U, patient.size());
}

TEST_F(SessionCache, ForgetsWhoFailsAndAllOnDemand) {  // F07: dropped where a proof fails
  cache_.put(at(1), often_);
  cache_.put(at(2), often_);
  cache_.put(at(3), nullptr);
  EXPECT_EQ(2U, cache_.size());
  cache_.drop(at(1));
  cache_.drop(at(1));
  EXPECT_EQ(nullptr, cache_.take(at(1)));
  EXPECT_EQ(often_, cache_.take(at(2)));
  cache_.clear();
  EXPECT_EQ(nullptr, cache_.take(at(2)));
}

}  // namespace
}  // namespace comity::tls
