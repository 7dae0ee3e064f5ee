// How servers prove themselves by DNS and POSH, both ways, and what does not do.
#include "connection/s2s/our_end.hpp"
#include "tls/dane.hpp"

namespace comity::connection {
namespace {

class Proofs : public testing::TestWithParam<method> {
protected:
  static void SetUpTestSuite() { authority_ = std::make_unique<test_authority>(); }
  static void TearDownTestSuite() { authority_.reset(); }

  std::unique_ptr<our_end> end(const std::string& domain, const fakes::issued& certificate, required_trust trust) {
    return std::make_unique<our_end>(*authority_, dns,
                                     our_end::plan{.domain = domain, .certificate = certificate, .trust = trust});
  }
  /// A TLSA record for that end's listener on `host`.
  [[nodiscard]] std::string tlsa(const our_end& e, const std::string& host, const fakes::issued& certificate,
                                 const std::string& kind = "3 1 1") const {
    const auto data =
        tls::association_data(fakes::presented(certificate), kind[2] == '1' ? 1 : 0, kind[4] == '1' ? 1 : 0);
    return "_" + std::to_string(e.port(GetParam())) + "._tcp." + host + " TLSA " + kind + " " + tls::hex(data) + "\n";
  }
  void run(const std::string& zone) {
    dns.zone(zone);
    far->run();
    near->run();
  }
  void delivers() {
    near->send("juliet@far.example", "1");
    ASSERT_EQ(far->got.wait(1).size(), 1U) << near->log.line({"s2s.failed"});
  }
  void bounces(stanza_condition condition, cause why) {
    near->send("juliet@far.example", "1");
    const auto errors = near->errors.wait(1);
    ASSERT_EQ(errors.size(), 1U);
    EXPECT_EQ(errors[0]->own_error(), condition);
    EXPECT_EQ(near->metric("comity_s2s_bounced_stanzas_total", {{"cause", std::string{to_string(why)}}}), 1);
    EXPECT_TRUE(far->got.now().empty());
  }

  static inline std::unique_ptr<test_authority> authority_;
  fakes::zone_resolver dns{""};
  std::unique_ptr<our_end> near, far;
};

TEST_P(Proofs, DaneProvesBothEndsWhateverTheirCertificatesSay) {  // B08, B13, E5; inbound by its own SRV and TLSA
  // Neither name nor authority is right: DANE-EE looks at neither.
  const auto ours = fakes::issue({.domain = "one.invalid", .from = -7200, .until = 86400});
  const auto theirs = fakes::issue({.domain = "other.invalid"});
  near = end("near.example", ours, required_trust::dane);
  far = end("far.example", theirs, required_trust::dane);
  run("!secure near.example\n!secure far.example\nxmpp.near.example A 127.0.0.1\nxmpp.far.example A 127.0.0.1\n" +
      near->srv(GetParam(), "xmpp.near.example") + far->srv(GetParam(), "xmpp.far.example") +
      tlsa(*near, "xmpp.near.example", ours) + tlsa(*far, "xmpp.far.example", theirs));
  delivers();
  EXPECT_EQ(near->metric("comity_s2s_verifications_total",
                         {{"direction", "outbound"}, {"proof", "dane"}, {"dns_security", "secure"}}),
            1);
  EXPECT_EQ(far->metric("comity_s2s_verifications_total",
                        {{"direction", "inbound"}, {"proof", "dane"}, {"dns_security", "secure"}}),
            1);
}

TEST_P(Proofs, AMismatchIsFinalWhateverElseIsRight) {  // E5: no retreat to PKIX, POSH or dialback
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::dialback);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::dialback);
  near->posh_answers["far.example"] = posh_answer::matched;
  run("!secure far.example\nxmpp.far.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example") +
      tlsa(*far, "xmpp.far.example", fakes::issue({.domain = "far.example"})));
  bounces(stanza_condition::remote_server_not_found, cause::dane_mismatch);
  EXPECT_TRUE(near->posh_asked.now().empty());
}

TEST_P(Proofs, ARevokedCertificateProvesNothing) {  // G02, whichever end connects
  for (const bool they_call : {false, true}) {
    const auto theirs = authority_->issue({.domain = "far.example"});
    near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
    far = end("far.example", theirs, required_trust::certificate);
    near->posh_answers["far.example"] = posh_answer::matched;  // it is no way around it
    near->authorities(authority_->store_without({theirs}));
    run("xmpp.far.example A 127.0.0.1\nxmpp.near.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example") +
        near->srv(GetParam(), "xmpp.near.example"));
    auto& caller = they_call ? far : near;
    caller->send(they_call ? "juliet@near.example" : "juliet@far.example", "1");
    EXPECT_EQ(caller->errors.wait(1).size(), 1U);
    const auto line = near->log.line({"s2s.unproven", "cert_untrusted", "revoked"});
    EXPECT_TRUE(line.contains("far.example")) << line;
    EXPECT_TRUE((they_call ? near : far)->got.now().empty());
  }
}

TEST_P(Proofs, InsecureRecordsAreAsIfThereWereNone) {  // B03, B10, E5
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::certificate);
  run("xmpp.far.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example") +
      tlsa(*far, "xmpp.far.example", fakes::issue({.domain = "far.example"})));
  delivers();
}

TEST_P(Proofs, UnusableRecordsLeavePkix) {  // B12, B16, E5
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::certificate);
  run("!secure far.example\nxmpp.far.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example") + "_" +
      std::to_string(far->port(GetParam())) + "._tcp.xmpp.far.example TLSA 255 1 1 00\n");
  delivers();
  EXPECT_EQ(near->metric("comity_s2s_verifications_total", {{"proof", "pkix"}, {"dns_security", "secure"}}), 1);
}

TEST_P(Proofs, RecordsThatCannotBeHadKeepTheEndpointFromUse) {  // B09, E5
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::certificate);
  run("!secure far.example\nxmpp.far.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example") + "!servfail _" +
      std::to_string(far->port(GetParam())) + "._tcp.xmpp.far.example TLSA\n");
  bounces(stanza_condition::remote_server_timeout, cause::dns_servfail);
  EXPECT_EQ(far->metric("comity_connection_attempts_total"), 0);
}

TEST_P(Proofs, ASecureDelegationMayNameAnotherHostsCertificate) {  // B12, K04, RFC 7673 §4.1
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "hosting.example"}), required_trust::certificate);
  run("!secure far.example\nhosting.example A 127.0.0.1\n" + far->srv(GetParam(), "hosting.example"));
  delivers();
}

TEST_P(Proofs, AnInsecureDelegationMayNot) {  // B11, K04
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "hosting.example"}), required_trust::certificate);
  run("hosting.example A 127.0.0.1\n" + far->srv(GetParam(), "hosting.example"));
  bounces(stanza_condition::remote_server_not_found, cause::cert_name_mismatch);
}

TEST_P(Proofs, ASecureDelegationProvesAnInboundPeerToo) {  // K04, the other direction
  near = end("near.example", authority_->issue({.domain = "hosting.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::certificate);
  run("!secure near.example\nhosting.example A 127.0.0.1\nxmpp.far.example A 127.0.0.1\n" +
      near->srv(GetParam(), "hosting.example") + far->srv(GetParam(), "xmpp.far.example"));
  delivers();
  EXPECT_EQ(far->metric("comity_s2s_verifications_total", {{"proof", "pkix"}, {"dns_security", "secure"}}), 1);
}

TEST_P(Proofs, PoshProvesWhatPkixDoesNot) {  // K05, K07
  near = end("near.example", fakes::issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", fakes::issue({.domain = "far.example"}), required_trust::certificate);
  near->posh_answers["far.example"] = posh_answer::matched;
  far->posh_answers["near.example"] = posh_answer::matched;
  run("xmpp.far.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example"));
  delivers();
  EXPECT_EQ(near->metric("comity_s2s_verifications_total", {{"direction", "outbound"}, {"proof", "posh"}}), 1);
  EXPECT_EQ(far->metric("comity_s2s_verifications_total", {{"direction", "inbound"}, {"proof", "posh"}}), 1);
}

TEST_P(Proofs, APoshDocumentThatNamesOthersIsNoProof) {  // K07
  near = end("near.example", fakes::issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", fakes::issue({.domain = "far.example"}), required_trust::certificate);
  near->posh_answers["far.example"] = posh_answer::mismatched;
  run("xmpp.far.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example"));
  bounces(stanza_condition::remote_server_not_found, cause::posh_mismatch);
}

TEST_P(Proofs, APolicyOfDaneTakesNothingElse) {
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::dane);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::certificate);
  run("xmpp.far.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example"));
  bounces(stanza_condition::remote_server_not_found, cause::policy);
}

TEST_P(Proofs, ADomainThatIsNotAllowedHasNoStreamEitherWay) {
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::certificate);
  far->policy("near.example", {.trust = required_trust::certificate, .allow = false, .endpoint = {}});
  run("xmpp.far.example A 127.0.0.1\nxmpp.near.example A 127.0.0.1\n" + far->srv(GetParam(), "xmpp.far.example") +
      near->srv(GetParam(), "xmpp.near.example"));
  near->send("juliet@far.example", "1");
  far->send("romeo@near.example", "2");
  EXPECT_EQ(near->errors.wait(1).size(), 1U);
  EXPECT_EQ(far->errors.wait(1).size(), 1U);
  EXPECT_TRUE(near->got.now().empty());
  EXPECT_TRUE(far->got.now().empty());
  EXPECT_EQ(near->metric("comity_connection_attempts_total", {{"direction", "inbound"}}), 0);
}

TEST_P(Proofs, AnEndpointFromTheConfigurationWinsOverSrv) {  // A13, RFC 6120 §3.2.3
  near = end("near.example", authority_->issue({.domain = "near.example"}), required_trust::certificate);
  far = end("far.example", authority_->issue({.domain = "far.example"}), required_trust::certificate);
  near->policy("far.example", {.trust = required_trust::certificate,
                               .allow = true,
                               .endpoint = fixed_endpoint{"127.0.0.1", far->port(GetParam()), GetParam()}});
  run("_xmpp-server._tcp.far.example SRV 0 0 0 .\n");
  delivers();
  EXPECT_EQ(near->metric("comity_s2s_discoveries_total", {{"source", "override"}}), 1);
}

INSTANTIATE_TEST_SUITE_P(Proofs, Proofs, testing::Values(method::starttls, method::direct_tls),
                         [](const auto& info) { return std::string{to_string(info.param)}; });

struct unresolved {
  std::string name;
  std::string zone;
  stanza_condition condition;
  connection::cause cause;
};
void PrintTo(const unresolved& u, std::ostream* out) {
  *out << u.name;
}
class Undiscovered : public testing::TestWithParam<unresolved> {};

TEST_P(Undiscovered, IsToldToTheSenderWithItsCause) {  // E3, E4, A05–A08, A11, B02, B06: no connection on any of these
  const auto& u = GetParam();
  const test_authority authority;
  fakes::zone_resolver dns{u.zone};
  our_end near{authority, dns, {.domain = "near.example", .certificate = authority.issue({.domain = "near.example"})}};
  near.run();
  near.send("juliet@far.example", "1");
  const auto errors = near.errors.wait(1);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0]->own_error(), u.condition);
  EXPECT_EQ(near.metric("comity_connection_attempts_total"), 0);
  EXPECT_EQ(
      near.metric("comity_connection_failures_total", {{"phase", "dns"}, {"cause", std::string{to_string(u.cause)}}}),
      1);
  EXPECT_EQ(near.metric("comity_s2s_bounced_stanzas_total", {{"cause", std::string{to_string(u.cause)}}}), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Discovery, Undiscovered,
    testing::Values(unresolved{"no_such_domain", "", stanza_condition::remote_server_not_found, cause::dns_nxdomain},
                    unresolved{"servfail", "!servfail _xmpp-server._tcp.far.example\nfar.example A 127.0.0.1\n",
                               stanza_condition::remote_server_timeout, cause::dns_servfail},
                    unresolved{"timeout", "!timeout _xmpps-server._tcp.far.example\nfar.example A 127.0.0.1\n",
                               stanza_condition::remote_server_timeout, cause::dns_timeout},
                    unresolved{"bogus_srv", "!bogus _xmpp-server._tcp.far.example SRV\nfar.example A 127.0.0.1\n",
                               stanza_condition::remote_server_not_found, cause::dns_bogus},
                    unresolved{"not_offered", "_xmpp-server._tcp.far.example SRV 0 0 0 .\nfar.example A 127.0.0.1\n",
                               stanza_condition::remote_server_not_found, cause::srv_unavailable},
                    unresolved{"bogus_address",
                               "_xmpp-server._tcp.far.example SRV 0 0 5269 x.far.example\n!bogus x.far.example A\n",
                               stanza_condition::remote_server_not_found, cause::dns_bogus}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace comity::connection
