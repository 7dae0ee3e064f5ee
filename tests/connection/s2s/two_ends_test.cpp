// Two servers of ours, near.example and far.example, over loopback sockets: every method, proof and mechanism.
#include <filesystem>

#include "connection/s2s/our_end.hpp"
#include "tls/dane.hpp"

namespace comity::connection {
namespace {

class TwoEnds : public testing::Test {
protected:
  static void SetUpTestSuite() { authority_ = std::make_unique<test_authority>(); }
  static void TearDownTestSuite() { authority_.reset(); }

  /// The usual two, both proven by the test authority.
  void both(required_trust trust = required_trust::certificate) {
    make_near(trust, authority_->issue({.domain = "near.example"}));
    make_far(trust, authority_->issue({.domain = "far.example"}));
  }
  void make_near(required_trust trust, const fakes::issued& certificate) {
    near = std::make_unique<our_end>(
        *authority_, dns, our_end::plan{.domain = "near.example", .certificate = certificate, .trust = trust});
  }
  void make_far(required_trust trust, const fakes::issued& certificate) {
    far = std::make_unique<our_end>(*authority_, dns,
                                    our_end::plan{.domain = "far.example", .certificate = certificate, .trust = trust});
  }
  /// Both can be found by that method.
  [[nodiscard]] std::string usual_zone(method m) const {
    return near->srv(m, "xmpp.near.example") + far->srv(m, "xmpp.far.example") +
           "xmpp.near.example A 127.0.0.1\nxmpp.far.example A 127.0.0.1\n";
  }
  void run(const std::string& zone) {
    dns.zone(zone);
    far->run();
    near->run();
  }
  void near_says(const std::string& id) {
    const auto before = far->got.now().size();
    near->send("juliet@far.example/balcony", id);
    const auto got = far->got.wait(before + 1);
    ASSERT_GT(got.size(), before);
    EXPECT_EQ(got.back()->id(), id);
    EXPECT_EQ(got.back()->from().text(), "romeo@near.example/orchard");
    EXPECT_EQ(got.back()->to().text(), "juliet@far.example/balcony");
  }
  void far_says(const std::string& id) {
    const auto before = near->got.now().size();
    far->send("romeo@near.example", id);
    const auto got = near->got.wait(before + 1);
    ASSERT_GT(got.size(), before);
    EXPECT_EQ(got.back()->id(), id);
  }

  static inline std::unique_ptr<test_authority> authority_;
  fakes::zone_resolver dns{""};
  std::unique_ptr<our_end> near, far;
};

struct by_method : TwoEnds, testing::WithParamInterface<method> {};

TEST_P(by_method, DeliversOverAStreamProvenByCertificatesAndExternal) {  // I01–I05, D01–D05, G03, J12
  both();
  run(usual_zone(GetParam()));
  near_says("1");
  near_says("2");
  const std::string name{to_string(GetParam())};
  EXPECT_EQ(near->metric("comity_connections_established_total", {{"direction", "outbound"}, {"method", name}}), 1);
  EXPECT_EQ(far->metric("comity_connections_established_total", {{"direction", "inbound"}, {"method", name}}), 1);
  EXPECT_EQ(near->metric("comity_s2s_verifications_total", {{"direction", "outbound"}, {"proof", "pkix"}}), 1);
  EXPECT_EQ(far->metric("comity_s2s_verifications_total", {{"direction", "inbound"}, {"proof", "pkix"}}), 1);
  EXPECT_EQ(near->metric("comity_s2s_pending_stanzas"), 0);
  EXPECT_TRUE(near->errors.now().empty());
  const auto line = near->log.line({"s2s.established", "direction=outbound"});
  EXPECT_TRUE(line.contains("mechanism=EXTERNAL proof=pkix")) << line;
  const auto theirs = far->connections();
  ASSERT_EQ(theirs.size(), 1U);
  EXPECT_EQ(theirs[0].alpn, GetParam() == method::direct_tls ? "xmpp-server" : "");  // D02
}

TEST_P(by_method, AnswersOverTheSameStreamWhereItGoesBothWays) {  // L01, L02, XEP-0288
  both();
  run(usual_zone(GetParam()));
  near_says("1");
  far_says("2");
  near_says("3");
  EXPECT_EQ(near->metric("comity_connection_attempts_total", {{"direction", "inbound"}}), 0);
  EXPECT_EQ(far->metric("comity_connection_attempts_total", {{"direction", "outbound"}}), 0);
}

TEST_P(by_method, SaysWhyItEndsWhereThereIsNoMemory) {  // THREATS X13
  both();
  run(usual_zone(GetParam()));
  near_says("1");
  const auto stream = far->connections().at(0).ref;
  far->on_loop(stream.loop,
               [&](loop_connections& all) { all.on(stream.id, [](live_connection&) { throw std::bad_alloc{}; }); });
  EXPECT_TRUE(eventually([&] {
    return near->metric("comity_stream_errors_received_total", {{"condition", "resource-constraint"}}) == 1;
  }));
}

TEST_P(by_method, FallsBackToDialbackWhereThePolicyTakesIt) {                     // J01–J05, J11, J12, K03
  make_near(required_trust::dialback, fakes::issue({.domain = "near.example"}));  // nobody's certificate
  make_far(required_trust::dialback, fakes::issue({.domain = "far.example"}));
  run(usual_zone(GetParam()));
  near_says("1");
  const auto line = far->log.line({"s2s.established", "direction=inbound"});
  EXPECT_TRUE(line.contains("mechanism=dialback proof=dialback")) << line;
  EXPECT_EQ(far->metric("comity_s2s_verifications_total", {{"direction", "inbound"}, {"proof", "dialback"}}), 1);
  // J11: what far opened to ask near about the key is closed after use.
  EXPECT_TRUE(eventually([&] {
    return std::ranges::none_of(far->connections(),
                                [](const auto& c) { return c.route.direction == direction::outbound; });
  }));
  EXPECT_EQ(far->metric("comity_connections_established_total", {{"direction", "outbound"}}), 0);
}

TEST_P(by_method, RefusesAPeerWithoutProofUnderAStricterPolicy) {  // D3, J13, L13, RFC 6120 §13.7.2
  make_near(required_trust::certificate, authority_->issue({.domain = "near.example"}));
  make_far(required_trust::certificate, fakes::issue({.domain = "far.example"}));
  run(usual_zone(GetParam()));
  near->send("juliet@far.example", "1");
  const auto errors = near->errors.wait(1);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0]->own_error(), stanza_condition::remote_server_not_found);  // B8
  EXPECT_EQ(errors[0]->to().text(), "romeo@near.example/orchard");
  EXPECT_EQ(errors[0]->from().text(), "juliet@far.example");
  EXPECT_EQ(near->metric("comity_s2s_verification_failures_total", {{"cause", "cert_untrusted"}}), 1);
  EXPECT_EQ(near->metric("comity_s2s_bounced_stanzas_total", {{"cause", "cert_untrusted"}}), 1);
  EXPECT_EQ(near->metric("comity_connection_failures_total", {{"phase", "tls"}, {"cause", "cert_untrusted"}}), 1);
  EXPECT_TRUE(far->got.now().empty());
}

TEST_P(by_method, RefusesAnInboundPeerWithoutProof) {  // D3: the other direction
  make_near(required_trust::dialback, fakes::issue({.domain = "near.example"}));
  make_far(required_trust::certificate, authority_->issue({.domain = "far.example"}));
  run(usual_zone(GetParam()));
  near->send("juliet@far.example", "1");
  ASSERT_EQ(near->errors.wait(1).size(), 1U);
  EXPECT_TRUE(far->got.now().empty());
  EXPECT_EQ(
      far->metric("comity_s2s_verification_failures_total", {{"direction", "inbound"}, {"cause", "cert_untrusted"}}),
      1);
  EXPECT_EQ(far->metric("comity_connections_established_total"), 0);
}

TEST_F(TwoEnds, TakeTheMethodThatTheMergedPrioritiesPrefer) {  // D12, A02, A03
  for (const auto preferred : {method::starttls, method::direct_tls}) {
    both();
    const bool direct = preferred == method::direct_tls;
    run(far->srv(method::starttls, "xmpp.far.example", direct ? 2 : 1) +
        far->srv(method::direct_tls, "xmpp.far.example", direct ? 1 : 2) + "xmpp.far.example A 127.0.0.1\n");
    near_says("1");
    EXPECT_EQ(near->metric("comity_connections_established_total", {{"method", std::string{to_string(preferred)}}}), 1);
    EXPECT_EQ(near->metric("comity_connection_attempts_total"), 1);
    EXPECT_EQ(near->metric("comity_s2s_discoveries_total", {{"source", direct ? "srv_xmpps" : "srv_xmpp"}}), 1);
  }
}

TEST_F(TwoEnds, HoldTwoHundredPairsOfDomainsAtOnceAndLetThemGo) {
  constexpr int pairs = 200;
  std::vector<std::string> ours, theirs;
  std::string zone = "xmpp.example A 127.0.0.1\n";
  for (int i = 0; i < pairs; ++i) {
    ours.push_back("n" + std::to_string(i) + ".example");
    theirs.push_back("f" + std::to_string(i) + ".example");
  }
  const auto make = [&](const std::string& domain, const std::vector<std::string>& more) {
    return std::make_unique<our_end>(
        *authority_, dns,
        our_end::plan{.domain = domain,
                      .certificate = authority_->issue({.domain = domain, .more_names = more}),
                      .more_domains = more});
  };
  near = make("near.example", ours);
  far = make("far.example", theirs);
  for (int i = 0; i < pairs; ++i) {
    for (const auto& [name, end] :
         {std::pair{ours[static_cast<std::size_t>(i)], near.get()}, {theirs[static_cast<std::size_t>(i)], far.get()}}) {
      const bool direct = i % 2 == 0;
      zone += std::string{direct ? "_xmpps" : "_xmpp"} + "-server._tcp." + name + " SRV 0 0 " +
              std::to_string(end->port(direct ? method::direct_tls : method::starttls)) + " xmpp.example\n";
    }
  }
  run(zone);
  const auto say = [&](our_end& from, const std::string& sender, const std::string& recipient) {
    stanza_builder b{stanza_kind::message, stanza_type::chat, *jid::parse("a@" + sender), *jid::parse("b@" + recipient),
                     sender};
    from.federation().send(b.finish());
  };
  const auto descriptors = [] {
    return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, std::filesystem::directory_iterator{});
  };
  const auto before = descriptors();
  for (std::size_t i = 0; i < pairs; ++i) {
    say(*near, ours[i], theirs[i]);
  }
  EXPECT_EQ(far->got.wait(pairs).size(), static_cast<std::size_t>(pairs));
  EXPECT_EQ(near->metric("comity_connections", {{"direction", "outbound"}}), pairs);
  EXPECT_EQ(far->metric("comity_connections", {{"direction", "inbound"}}), pairs);
  EXPECT_EQ(descriptors() - before, 2 * pairs);
  for (std::size_t i = 0; i < pairs; ++i) {
    say(*far, theirs[i], ours[i]);  // the same streams, the other way
  }
  EXPECT_EQ(near->got.wait(pairs).size(), static_cast<std::size_t>(pairs));
  EXPECT_EQ(near->metric("comity_connection_attempts_total"), pairs);

  near->federation().stop();
  EXPECT_TRUE(eventually([&] { return near->connections().empty() && far->connections().empty(); }));
  EXPECT_EQ(near->metric("comity_connections"), 0);
  EXPECT_EQ(far->metric("comity_connections"), 0);
  EXPECT_TRUE(eventually([&] { return descriptors() == before; }));
  EXPECT_TRUE(near->errors.now().empty());
  EXPECT_TRUE(far->errors.now().empty());
}

INSTANTIATE_TEST_SUITE_P(TwoEnds, by_method, testing::Values(method::starttls, method::direct_tls),
                         [](const auto& info) { return std::string{to_string(info.param)}; });

}  // namespace
}  // namespace comity::connection
