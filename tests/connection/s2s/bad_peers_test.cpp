// Servers that fail in each phase of being reached: the next endpoint is tried, and the cause is kept.
#include <gmock/gmock.h>

#include "connection/s2s/our_end.hpp"
#include "connection/s2s/scripted_peer.hpp"

namespace comity::connection {
namespace {

class BadPeers : public testing::Test {
protected:
  static void SetUpTestSuite() { authority_ = std::make_unique<test_authority>(); }
  static void TearDownTestSuite() { authority_.reset(); }

  void SetUp() override {
    near = std::make_unique<our_end>(
        *authority_, dns,
        our_end::plan{.domain = "near.example", .certificate = authority_->issue({.domain = "near.example"})});
  }
  static std::string first(const scripted_peer& peer, bool direct = false) {
    return std::string{direct ? "_xmpps" : "_xmpp"} + "-server._tcp.far.example SRV 0 0 " + peer.port() +
           " bad.far.example\nbad.far.example A 127.0.0.1\n";
  }
  /// far.example itself, as the second endpoint.
  std::string second() {
    far = std::make_unique<our_end>(
        *authority_, dns,
        our_end::plan{.domain = "far.example", .certificate = authority_->issue({.domain = "far.example"})});
    return far->srv(method::starttls, "xmpp.far.example", 1) + "xmpp.far.example A 127.0.0.1\n";
  }
  void run(const std::string& zone) {
    dns.zone(zone);
    if (far) {
      far->run();
    }
    near->run();
  }

  static inline std::unique_ptr<test_authority> authority_;
  fakes::zone_resolver dns{""};
  std::unique_ptr<our_end> near, far;
};

struct misdeed {
  std::string name;
  std::function<void(scripted_line&, const test_authority&)> script;
  connection::phase phase;
  connection::cause cause;
  bool direct = false;
  std::chrono::milliseconds patience = 10s;  // ours; short where the peer is silent
};
void PrintTo(const misdeed& m, std::ostream* out) {
  *out << m.name;
}

struct in_each_phase : BadPeers, testing::WithParamInterface<misdeed> {};

TEST_P(in_each_phase, IsPassedOverAndItsCauseKept) {  // issue: a failure in any phase goes on; E2, B2, B3, F02
  const auto& bad = GetParam();
  near->changing.connect_timeout = bad.patience;
  scripted_peer peer{[&](scripted_line& line) { bad.script(line, *authority_); }};
  run(first(peer, bad.direct) + second());
  near->send("juliet@far.example", "1");
  EXPECT_EQ(far->got.wait(1).size(), 1U);
  EXPECT_EQ(peer.connections(), 1);
  EXPECT_TRUE(near->errors.now().empty());
  EXPECT_EQ(near->metric("comity_connection_failures_total", {{"direction", "outbound"},
                                                              {"method", bad.direct ? "direct_tls" : "starttls"},
                                                              {"phase", std::string{to_string(bad.phase)}},
                                                              {"cause", std::string{to_string(bad.cause)}}}),
            1)
      << near->log.line({"s2s.failed"});
  EXPECT_EQ(near->metric("comity_connection_failures_total"), 1);
}

std::vector<misdeed> misdeeds() {
  const auto nothing = [](scripted_line& line) { line.until_closed(); };
  const auto with_name = [](const std::string& name) {
    return [name](scripted_line& line, const test_authority& a) {
      line.starttls(a.issue({.domain = name}));
      line.until_closed();
    };
  };
  return {
      {"closes_at_once", [](scripted_line&, const test_authority&) {}, phase::stream, cause::peer_closed},
      {"resets",
       [](scripted_line& l, const test_authority&) {
         l.expects("<stream:stream");
         l.breaks();
       },
       phase::stream, cause::peer_closed},
      {"is_silent", [=](scripted_line& l, const test_authority&) { nothing(l); }, phase::stream, cause::stream_timeout,
       false, 500ms},
      {"speaks_http",
       [](scripted_line& l, const test_authority&) {
         l.sends("HTTP/1.1 400 Bad Request\r\n\r\n");
         l.until_closed();
       },
       phase::stream, cause::stream_error},
      {"does_not_know_the_host",
       [](scripted_line& l, const test_authority&) {
         l.header();
         l.sends(
             "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
             "</stream:stream>");
         l.until_closed();
       },
       phase::stream, cause::host_unknown},
      {"refuses_starttls",
       [](scripted_line& l, const test_authority&) {
         l.header();
         l.features("");
         l.expects("<starttls");
         l.sends("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>");
         l.until_closed();
       },
       phase::tls, cause::tls_not_offered},
      {"injects_behind_proceed",  // THREATS B2
       [](scripted_line& l, const test_authority&) {
         l.header();
         l.features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
         l.expects("<starttls");
         l.sends("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:features/>");
         l.until_closed();
       },
       phase::tls, cause::tls_alert},
      {"is_silent_behind_proceed",
       [](scripted_line& l, const test_authority&) {
         l.header();
         l.features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
         l.expects("<starttls");
         l.sends("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
         l.until_closed();
       },
       phase::tls, cause::tls_timeout, false, 1s},
      {"speaks_no_tls",
       [](scripted_line& l, const test_authority&) {
         l.sends("<stream:stream>");
         l.until_closed();
       },
       phase::tls, cause::tls_alert, true},
      {"is_silent_on_direct_tls", [=](scripted_line& l, const test_authority&) { nothing(l); }, phase::tls,
       cause::tls_timeout, true, 500ms},
      {"closes_on_direct_tls", [](scripted_line&, const test_authority&) {}, phase::tls, cause::peer_closed, true},
      {"has_anothers_certificate", with_name("other.example"), phase::tls, cause::cert_name_mismatch},
      {"has_only_its_targets_certificate", with_name("bad.far.example"), phase::tls, cause::cert_name_mismatch},  // K04
      {"has_an_expired_certificate",
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example", .from = -7200, .until = -3600}));
         l.until_closed();
       },
       phase::tls, cause::cert_expired},
      {"does_not_know_the_host_under_tls",
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example"}));
         l.header("other.example");
         l.sends(
             "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
             "</stream:stream>");
         l.until_closed();
       },
       phase::stream, cause::host_unknown},
      {"answers_as_another",  // G11
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example"}));
         l.header("other.example");
         l.features(scripted_line::external);
         l.until_closed();
       },
       phase::stream, cause::host_unknown},
      {"offers_nothing",
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example"}));
         l.expects("<stream:stream");
         l.sends(
             "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
             "from='far.example' to='near.example' id='s1'>");
         l.features("");
         l.until_closed();
       },
       phase::stream, cause::auth_no_common_mechanism},
      {"refuses_external",
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example"}));
         l.header();
         l.features(scripted_line::external);
         l.expects("</auth>");
         l.sends("<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure></stream:stream>");
         l.until_closed();
       },
       phase::authentication, cause::auth_rejected},
      {"says_invalid",  // J01
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example"}));
         l.header();
         l.features("<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>");
         l.expects("</db:result>");
         l.sends("<db:result from='far.example' to='near.example' type='invalid'/></stream:stream>");
         l.until_closed();
       },
       phase::authentication, cause::dialback_invalid},
      {"is_silent_when_asked",
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example"}));
         l.header();
         l.features(scripted_line::external);
         l.until_closed();
       },
       phase::authentication, cause::auth_timeout, false, 2s},
      {"sends_a_stanza_before_anything",  // H07
       [](scripted_line& l, const test_authority& a) {
         l.starttls(a.issue({.domain = "far.example"}));
         l.header();
         l.features("<dialback xmlns='urn:xmpp:features:dialback'/>");
         l.sends("<message from='juliet@far.example' to='romeo@near.example'/>");
         l.until_closed();
       },
       phase::authentication, cause::policy},
  };
}

INSTANTIATE_TEST_SUITE_P(BadPeers, in_each_phase, testing::ValuesIn(misdeeds()),
                         [](const auto& info) { return info.param.name; });

TEST_F(BadPeers, ASilentOneIsToldWhyAndADeadOneNothing) {  // L12, RFC 6120 §4.6, §4.9.3.4
  near->changing.connect_timeout = 2s;                     // enough for TLS on a busy machine
  awaited<std::string> told;
  const auto certificate = authority_->issue({.domain = "far.example"});
  scripted_peer peer{[&](scripted_line& line) {
    line.starttls(certificate);
    line.header();
    told.put(line.until_closed());
  }};
  run(first(peer));
  near->send("juliet@far.example", "1");
  const auto words = told.wait(1);
  ASSERT_EQ(words.size(), 1U);
  EXPECT_TRUE(words[0].contains("<connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>")) << words[0];
  EXPECT_TRUE(words[0].ends_with("</stream:stream>")) << words[0];
  EXPECT_FALSE(words[0].contains("> ")) << "no white space is sent while a stream is negotiated";
}

TEST_F(BadPeers, ARefusedPortIsPassedOver) {
  std::string zone;
  {
    const scripted_peer gone{[](scripted_line&) {}};
    zone = first(gone);
  }
  run(zone + second());
  near->send("juliet@far.example", "1");
  EXPECT_EQ(far->got.wait(1).size(), 1U);
  EXPECT_EQ(near->metric("comity_connection_failures_total", {{"phase", "tcp"}, {"cause", "tcp_refused"}}), 1);
}

TEST_F(BadPeers, AForbiddenAddressIsNotEvenTried) {  // THREATS E1: judged is the address to be connected to
  near->changing.addresses = address_rules::make({"special"}, {}).value();
  const scripted_peer peer{[](scripted_line&) {}};
  run(first(peer));
  near->send("juliet@far.example", "1");
  const auto errors = near->errors.wait(1);
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_EQ(errors[0]->own_error(), stanza_condition::remote_server_not_found);
  EXPECT_EQ(peer.connections(), 0);
  EXPECT_EQ(near->metric("comity_connection_attempts_total"), 0);
  EXPECT_EQ(near->metric("comity_connection_failures_total", {{"phase", "tcp"}, {"cause", "address_forbidden"}}), 1);
}

}  // namespace
}  // namespace comity::connection
