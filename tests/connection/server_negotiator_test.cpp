// The negotiator as a dialogue, for the receiving side of streams between servers.
#include <gtest/gtest.h>

#include "connection/negotiation/dialback_key.hpp"
#include "tests/fakes/server_scripts.hpp"

namespace comity::connection {
namespace {

using fakes::our_secret;
using fakes::peer_to_us;
using fakes::proven;
using fakes::receiving_script;
using fakes::takes_dialback;
using fakes::unproven;

constexpr auto starttls_element = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
constexpr auto external_element =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>cGVlci5leGFtcGxl</auth>";
constexpr auto dialback_request = "<db:result from='peer.example' to='example.org'>key</db:result>";

receiving_script secured(const trust::verdict& v, method by = method::direct_tls) {
  receiving_script s{by};
  s.secures(v);
  return s;
}

// --- the ways through ------------------------------------------------------------------------------------------------

TEST(ServerNegotiator, TakesAServerByItsCertificate) {  // E01, E05, I01, I04, I05: the same by STARTTLS and direct TLS
  for (const auto by : {method::starttls, method::direct_tls}) {
    auto s = secured(proven(), by);
    s.authenticates().survives_failure_at_every_step();
    const auto machine = s.run();
    EXPECT_EQ(machine.facts().flows, domain_flows{peer_to_us});
    EXPECT_EQ(machine.facts().authenticated->text(), "peer.example");
    EXPECT_EQ(machine.facts().authenticated_by, mechanism::external);
    EXPECT_EQ(machine.phase(), phase::authentication);
  }
}

TEST(ServerNegotiator, TakesAServerByDialback) {  // J02, J09, XEP-0220 §2.2.1
  for (const auto by : {method::starttls, method::direct_tls}) {
    auto s = secured(takes_dialback(), by);
    s.dials_back().survives_failure_at_every_step();
    EXPECT_EQ(s.run().facts().flows, domain_flows{peer_to_us});
  }
}

TEST(ServerNegotiator, OffersOnlyStarttlsInClear) {  // E01, RFC 6120 §5.3.1, §5.4.1; J13, L01
  receiving_script s;
  s.feeds_header().expects(
      {"send <?xml version='1.0'?><stream:stream xmlns='jabber:server' "
       "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' "
       "version='1.0' xml:lang='en' id='id' from='example.org' to='peer.example'>",
       "send <stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/>"
       "</starttls></stream:features>"});
  s.run();
}

TEST(ServerNegotiator, OffersAllToAProvenPeerUnderTls) {  // I01, I04, J05, L01, L03; D04: no STARTTLS
  for (const auto by : {method::starttls, method::direct_tls}) {
    auto s = secured(proven(), by);
    s.expects(
        {"send <stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL"
         "</mechanism></mechanisms><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
         "<bidi xmlns='urn:xmpp:features:bidi'/><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288"
         "</max-bytes><idle-seconds>600</idle-seconds></limits></stream:features>"});
    s.run();
  }
}

TEST(ServerNegotiator, OffersNoExternalWithoutProof) {  // I01, G03, G11
  for (const auto& v :
       {takes_dialback(), unproven(cause::cert_name_mismatch), trust::verdict{trust::needs_posh{}, "unfinished"}}) {
    auto s = secured(v);
    s.expects({"send <stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback><bidi"});
    s.run();
  }
}

TEST(ServerNegotiator, OffersDialbackButNotBidiAfterAuthentication) {  // J05, J09, L01
  auto s = secured(proven());
  s.authenticates().expects({"send <?xml",
                             "send <stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
                             "<limits xmlns='urn:xmpp:stream-limits:0'>",
                             "authorised"});
  s.run();
}

TEST(ServerNegotiator, JudgesEachFlowOfAPeerThatNamesNoDomainOfItsOwn) {  // I01, J09; RFC 6120 §4.7.1
  receiving_script s{method::direct_tls};
  s.feeds_tls()
      .expects({"restart"})
      .feeds_header("")
      .expects({"send <?xml", "send <stream:features><dialback"})
      .feeds_element(dialback_request)
      .expects({"ask proof of peer.example to example.org"})
      .feeds_proof(proven(proof::posh))
      .expects({"send <db:result from='example.org' to='peer.example' type='valid'/>",
                "authorised peer.example to example.org by posh dialback"})
      .survives_failure_at_every_step();
  s.run();
}

TEST(ServerNegotiator, LetsNothingElseHappenWhileThePeerIsBeingProven) {
  receiving_script s{method::direct_tls};
  s.feeds_tls().expects({"restart"}).feeds_header().expects({"send <?xml", "ask proof"});
  auto machine = s.run();
  EXPECT_TRUE(machine.paused());
  const auto other =
      machine.on(event::answered{peer_proof{{.sender = "other.example", .target = "example.org"}, proven()}});
  EXPECT_EQ(fakes::describe(other.back()), "finish authentication internal internal-server-error");
}

TEST(ServerNegotiator, SaysNothingMoreOnceTlsFailed) {  // E06, RFC 6120 §5.4.3.2
  receiving_script s{method::direct_tls};
  s.feeds_event(event::tls_failed{cause::alpn_mismatch, "no overlap"}).expects({"finish tls alpn_mismatch abrupt"});
  s.run();
}

TEST(ServerNegotiator, RefusesStarttlsOnAnEncryptedStream) {  // D04, XEP-0368 §4
  for (const auto by : {method::starttls, method::direct_tls}) {
    auto s = secured(proven(), by);
    s.feeds_element(starttls_element)
        .expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "send </stream:stream>",
                  "finish authentication policy"});
    s.run();
  }
}

// --- headers ---------------------------------------------------------------------------------------------------------

struct bad_header {
  const char* name;
  void (*spoil)(xml::stream_header&);
  const char* condition;
};
class ServerNegotiatorHeader : public testing::TestWithParam<bad_header> {};

TEST_P(ServerNegotiatorHeader, IsRefusedInsideAnOpenedStream) {  // H02, H03, RFC 6120 §4.9.1.3; THREATS A9
  for (const bool encrypted : {false, true}) {
    auto event = fakes::server_header("peer.example", "example.org");
    GetParam().spoil(event.stream);
    receiving_script s{encrypted ? method::direct_tls : method::starttls};
    if (encrypted) {
      s.feeds_tls().expects({"restart"});
    }
    s.feeds_event(event).expects({"send <?xml", std::string{"send <stream:error><"} + GetParam().condition,
                                  "send </stream:stream>", "finish stream"});
    s.run();
  }
}

INSTANTIATE_TEST_SUITE_P(
    A9, ServerNegotiatorHeader,
    testing::Values(
        bad_header{"OfAClient", [](xml::stream_header& h) { h.content_ns = "jabber:client"; },
                   "invalid-namespace"},  // D07
        bad_header{"ToNobody", [](xml::stream_header& h) { h.has_to = false; }, "improper-addressing"},
        bad_header{"ToAnUnknownHost", [](xml::stream_header& h) { h.to = "example.com"; }, "host-unknown"},
        bad_header{"WithoutVersion", [](xml::stream_header& h) { h.has_version = false; },
                   "unsupported-version"},  // H08
        bad_header{"FromAUser", [](xml::stream_header& h) { h.from = "u@peer.example"; }, "invalid-from"},
        bad_header{"FromAResource", [](xml::stream_header& h) { h.from = "peer.example/r"; }, "invalid-from"},
        bad_header{"FromNoJid", [](xml::stream_header& h) { h.from = "@"; }, "invalid-from"},
        bad_header{"FromOurselves", [](xml::stream_header& h) { h.from = "example.net"; },
                   "not-authorized"},  // THREATS D4
        bad_header{"FromAForbiddenPeer", [](xml::stream_header& h) { h.from = "enemy.example"; }, "policy-violation"}),
    [](const auto& info) { return info.param.name; });

TEST(ServerNegotiator, AnswersTheHeaderOfADomainInAnyForm) {  // H02: enforced addresses
  receiving_script s;
  s.feeds_header("PEER.example.", "Example.ORG")
      .expects({"send <?xml version='1.0'?><stream:stream xmlns='jabber:server' "
                "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' version='1.0' "
                "xml:lang='en' id='id' from='example.org' to='peer.example'>",
                "send <stream:features>"});
  s.run();
}

TEST(ServerNegotiator, KeepsThePeerAndTheHostOfTheAuthentication) {  // THREATS C5, RFC 6120 §6.4.6
  for (const auto& [from, to, condition] : {std::tuple{"other.example", "example.org", "improper-addressing"},
                                            std::tuple{"peer.example", "example.net", "not-authorized"}}) {
    auto s = secured(proven());
    s.feeds_element(external_element)
        .expects({"send <success", "authenticated peer.example", "restart"})
        .feeds_header(from, to)
        .expects({"send <?xml", std::string{"send <stream:error><"} + condition, "send </stream:stream>",
                  "finish authentication policy"});
    EXPECT_TRUE(s.run().facts().flows.empty());
  }
}

TEST(ServerNegotiator, TakesANewHeaderThatDoesNotRepeatWhoItIs) {  // RFC 6120 §4.7.1: liberal
  auto s = secured(proven());
  s.feeds_element(external_element)
      .expects({"send <success", "authenticated", "restart"})
      .feeds_header("")
      .expects({"send <?xml", "send <stream:features>", "authorised peer.example to example.org by pkix EXTERNAL"});
  s.run();
}

// --- EXTERNAL --------------------------------------------------------------------------------------------------------

struct identity {
  const char* name;
  const char* text;
  const char* answer;
};
class ServerNegotiatorIdentity : public testing::TestWithParam<identity> {};

TEST(ServerNegotiator, KnowsAPeerByItsULabelsHoweverItNamesItself) {  // RFC 7622 §3.2.1, XEP-0178 §3 (11)
  const auto* const u_label = "b\u00fccher.example";
  // Its stream's `from`, and what it may say to EXTERNAL: nothing, the A-label, the U-label.
  for (const auto* from : {"xn--bcher-kva.example", u_label}) {
    for (const auto* identity : {"=", "eG4tLWJjaGVyLWt2YS5leGFtcGxl", "YsO8Y2hlci5leGFtcGxl"}) {
      receiving_script s{method::direct_tls};
      s.feeds_tls()
          .expects({"restart"})
          .feeds_header(from)
          .expects({"send <?xml", "ask proof of " + std::string{u_label} + " to example.org"});
      s.feeds_proof(proven(), {.sender = u_label, .target = "example.org"}).expects({"send <stream:features>"});
      s.feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>" + std::string{identity} +
                      "</auth>")
          .expects({"send <success", "authenticated " + std::string{u_label}, "restart"});
      s.run();
    }
  }
}

TEST_P(ServerNegotiatorIdentity, IsTheStreamsOwnOrNone) {  // I02, I03, XEP-0178 §3 (10), (11); THREATS C1
  auto s = secured(proven());
  s.feeds_element(std::string{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>"} +
                  GetParam().text + "</auth>");
  const std::string answer = GetParam().answer;
  if (answer == "success") {
    s.expects({"send <success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "authenticated peer.example", "restart"});
  } else {
    s.expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><" + answer + "/></failure>",
               "refused EXTERNAL " + answer});
  }
  EXPECT_EQ(s.run().ended(), false);
}

INSTANTIATE_TEST_SUITE_P(I02, ServerNegotiatorIdentity,
                         testing::Values(identity{"None", "=", "success"},
                                         identity{"Own", "cGVlci5leGFtcGxl", "success"},
                                         identity{"OwnInCapitals", "UEVFUi5leGFtcGxl", "success"},
                                         identity{"Another", "b3RoZXIuZXhhbXBsZQ==", "invalid-authzid"},
                                         identity{"AUser", "dUBwZWVyLmV4YW1wbGU=", "invalid-authzid"},
                                         identity{"NoJid", "QA==", "invalid-authzid"},
                                         identity{"NoBase64", "!", "incorrect-encoding"}),
                         [](const auto& info) { return info.param.name; });

TEST(ServerNegotiator, AsksForTheIdentityThatDidNotComeWithTheRequest) {  // RFC 4422 §5.1
  auto s = secured(proven());
  s.feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>")
      .expects({"send <challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"})
      .feeds_element("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>")
      .expects({"send <success", "authenticated peer.example", "restart"})
      .survives_failure_at_every_step();
  s.run();
}

TEST(ServerNegotiator, RefusesSaslOutOfTurn) {
  for (const auto& [element, answer] :
       {std::pair{"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>", "malformed-request"},
        std::pair{"<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", "aborted"}}) {
    auto s = secured(proven());
    s.feeds_element(element).expects({std::string{"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><"} + answer,
                                      std::string{"refused unknown "} + answer});
    s.run();
  }
}

TEST(ServerNegotiator, AcceptsExactlyTheMechanismThatItOffers) {  // THREATS C4, B8; I01
  auto s = secured(proven());
  for (const auto* name : {"PLAIN", "external", "SCRAM-SHA-1", "ANONYMOUS"}) {
    s.feeds_element(std::string{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='"} + name + "'>=</auth>")
        .expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>", "refused"});
  }
  s.run();
  for (const auto& v : {takes_dialback(), unproven()}) {
    auto t = secured(v);
    t.feeds_element(external_element)
        .expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>",
                  "refused EXTERNAL not-authorized"});
    t.run();
  }
}

TEST(ServerNegotiator, RefusesExternalInClear) {  // E07, RFC 6120 §6.5.4; THREATS B3
  receiving_script s;
  s.feeds_header()
      .expects({"send", "send"})
      .feeds_element(external_element)
      .expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><encryption-required/></failure>", "refused"});
  s.run();
}

TEST(ServerNegotiator, RefusesExternalFromAPeerThatNamedNoDomain) {  // I01
  receiving_script s{method::direct_tls};
  s.feeds_tls()
      .expects({"restart"})
      .feeds_header("")
      .expects({"send", "send"})
      .feeds_element(external_element)
      .expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>", "refused"});
  s.run();
}

TEST(ServerNegotiator, EndsAtTheSixthRefusal) {  // RFC 6120 §6.4.5: L-1, L, L+1
  auto s = secured(takes_dialback());
  for (unsigned i = 1; i <= 6; ++i) {
    s.feeds_element(external_element);
    if (i <= 5) {
      s.expects({"send <failure", "refused EXTERNAL"});
    } else {
      s.expects({"send <failure", "send <stream:error><policy-violation", "send </stream:stream>",
                 "finish authentication auth_rejected"});
    }
  }
  s.run();
}

TEST(ServerNegotiator, LetsAPeerWhoseIdentityWasRefusedDialBack) {  // I03, XEP-0178 §3 (11)
  auto s = secured(takes_dialback());
  s.feeds_element(external_element).expects({"send <failure", "refused"}).dials_back();
  s.survives_failure_at_every_step().run();
}

TEST(ServerNegotiator, AuthenticatesOnce) {  // RFC 6120 §6.4.6
  auto s = secured(proven());
  s.authenticates().feeds_element(external_element).expects({"send <stream:error><not-authorized", "send", "finish"});
  s.run();
}

TEST(ServerNegotiator, SaysWhyARefusedPeerLeft) {
  auto s = secured(unproven());
  s.feeds_element(external_element).expects({"send", "refused"});
  s.feeds_event(event::gone{}).expects({"finish authentication auth_rejected abrupt"});
  s.run();
}

// --- dialback, as receiving server -----------------------------------------------------------------------------------

TEST(ServerNegotiator, AsksNobodyAboutAFlowThatTheCertificateCovers) {  // K03, J12, RFC 7712 §4.4.1
  auto s = secured(proven(proof::dane));
  s.feeds_element(dialback_request)
      .expects({"send <db:result from='example.org' to='peer.example' type='valid'/>",
                "authorised peer.example to example.org by dane dialback"})
      .feeds_element(dialback_request)
      .expects({"send <db:result from='example.org' to='peer.example' type='valid'/>"});  // J12
  s.run();
}

TEST(ServerNegotiator, AuthorisesSeveralFlowsOnOneStream) {  // J09, K03: each on its own, in any order of answers
  const domain_flow rooms{.sender = "rooms.peer.example", .target = "example.org"};
  const domain_flow to_net{.sender = "peer.example", .target = "example.net"};
  auto s = secured(proven());
  s.authenticates()
      .feeds_element("<db:result from='rooms.peer.example' to='example.org'>k1</db:result>")
      .expects({"ask proof of rooms.peer.example to example.org"})
      .feeds_element("<db:result from='peer.example' to='example.net'>k2</db:result>")
      .expects({"send <db:result from='example.net' to='peer.example' type='valid'/>", "authorised"})
      .feeds_proof(takes_dialback(), rooms)
      .expects({"ask key of rooms.peer.example to example.org id id key k1"})
      .feeds_element("<message from='u@peer.example' to='v@example.net'/>")
      .expects({"received u@peer.example to v@example.net"})  // J06, J09: the stream goes on meanwhile
      .feeds_verdict(true, rooms)
      .expects({"send <db:result from='example.org' to='rooms.peer.example' type='valid'/>",
                "authorised rooms.peer.example to example.org by dialback dialback"})
      .survives_failure_at_every_step();
  EXPECT_EQ(s.run().facts().flows, (domain_flows{peer_to_us, rooms, to_net}));
}

TEST(ServerNegotiator, KnowsNoOtherHosts) {  // J06, XEP-0220 §2.2.1: the stream stays
  auto s = secured(proven());
  s.feeds_element("<db:result from='peer.example' to='example.com'>key</db:result>")
      .expects({"send <db:result from='example.com' to='peer.example' type='error'><error type='cancel'>"
                "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
                "refused dialback to example.com"})
      .authenticates();
  s.run();
}

TEST(ServerNegotiator, TellsWhyTheSendersOwnServerCouldNotBeAsked) {  // J07, J08, XEP-0220 §2.4
  for (const auto why : {stanza_condition::remote_server_not_found, stanza_condition::remote_server_timeout}) {
    auto s = secured(takes_dialback());
    s.feeds_element(dialback_request)
        .expects({"ask key"})
        .feeds_verdict(std::unexpected{why})
        .expects({"send <db:result from='example.org' to='peer.example' type='error'><error type='" +
                      std::string{error_type(why)} + "'><" + std::string{to_string(why)},
                  "refused its own server could not be asked"});
    EXPECT_FALSE(s.run().ended());
  }
}

TEST(ServerNegotiator, EndsAStreamWhoseOnlyFlowIsInvalid) {  // J04, XEP-0220 §2.2.1
  auto s = secured(takes_dialback());
  s.feeds_element(dialback_request)
      .expects({"ask key"})
      .feeds_verdict(false)
      .expects({"send <db:result from='example.org' to='peer.example' type='invalid'/>", "send </stream:stream>",
                "finish authentication dialback_invalid"});
  s.run();
}

TEST(ServerNegotiator, KeepsAStreamWhoseOtherFlowsAreValid) {  // J04, J06, XEP-0220 §2.2.1
  const domain_flow rooms{.sender = "rooms.peer.example", .target = "example.org"};
  auto s = secured(proven());
  s.authenticates()
      .feeds_element("<db:result from='rooms.peer.example' to='example.org'>key</db:result>")
      .expects({"ask proof of rooms"})
      .feeds_proof(takes_dialback(), rooms)
      .expects({"ask key of rooms"})
      .feeds_verdict(false, rooms)
      .expects({"send <db:result from='example.org' to='rooms.peer.example' type='error'><error type='auth'><forbidden",
                "refused its own server knows nothing of the stream"});
  s.feeds_element("<message from='rooms.peer.example' to='example.org'/>")
      .expects({"send <stream:error><invalid-from", "send", "finish"});  // H05
  EXPECT_EQ(s.run().facts().flows, domain_flows{peer_to_us});
}

TEST(ServerNegotiator, TakesNoKeyWhereACertificateIsWanted) {  // THREATS D3, XEP-0220 §2.4.2
  for (const auto why : {cause::cert_untrusted, cause::cert_expired, cause::dane_mismatch, cause::policy}) {
    auto s = secured(unproven(why));
    s.feeds_element(dialback_request)
        .expects({"send <db:result from='example.org' to='peer.example' type='error'><error type='auth'>"
                  "<not-authorized",
                  "send <stream:error><policy-violation", "send </stream:stream>",
                  "finish authentication " + std::string{to_string(why)}});
    EXPECT_TRUE(s.run().facts().flows.empty());
  }
}

TEST(ServerNegotiator, TakesNoFlowFromADomainOfOurs) {  // THREATS D4
  auto s = secured(proven());
  s.authenticates()
      .feeds_element("<db:result from='example.net' to='example.org'>key</db:result>")
      .expects({"send <db:result from='example.org' to='example.net' type='error'><error type='auth'><not-authorized",
                "refused a domain of ours"});
  s.run();
}

TEST(ServerNegotiator, TakesNoFlowFromAForbiddenPeer) {
  auto s = secured(proven());
  s.feeds_element("<db:result from='enemy.example' to='example.org'>key</db:result>")
      .expects({"send <db:result from='example.org' to='enemy.example' type='error'><error type='modify'>"
                "<policy-violation",
                "send <stream:error><policy-violation", "send </stream:stream>", "finish authentication policy"});
  s.run();
}

TEST(ServerNegotiator, TakesNoDialbackInClear) {  // J13, E10, B08, XEP-0220 §2.4.2
  receiving_script s;
  s.feeds_header()
      .expects({"send", "send"})
      .feeds_element(dialback_request)
      .expects({"send <db:result from='example.org' to='peer.example' type='error'><error type='modify'>"
                "<policy-violation",
                "refused dialback without TLS"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='x'>" +
                     dialback_key(our_secret, {.sender = "example.org", .target = "peer.example"}, "x") +
                     "</db:verify>")
      .expects({"send <db:verify from='example.org' to='peer.example' id='x' type='error'><error type='modify'>"
                "<policy-violation",
                "refused dialback without TLS"})
      .feeds_element(starttls_element)
      .expects({"start_tls"});
  s.run();
}

TEST(ServerNegotiator, IgnoresAnswersToNothing) {  // THREATS D1: CVE-2012-3525, -4669, -4672; J03
  auto s = secured(takes_dialback());
  s.feeds_element(dialback_request).expects({"ask key"});
  for (const auto* element : {"<db:verify from='peer.example' to='example.org' id='id' type='valid'/>",
                              "<db:verify from='bank.example' to='example.org' id='x' type='valid'/>",
                              "<db:result from='peer.example' to='example.org' type='valid'/>",
                              "<db:result from='example.org' to='peer.example' type='valid'/>",
                              "<db:result from='peer.example' to='example.org' type='invalid'/>",
                              "<db:result from='peer.example' to='example.org' type='error'/>",
                              "<db:result from='peer.example' to='example.org' type='anything'>key</db:result>"}) {
    s.feeds_element(element).expects({"ignored an unsolicited dialback answer"});
  }
  EXPECT_TRUE(s.run().facts().flows.empty());
}

TEST(ServerNegotiator, TakesNoVerdictOnAnotherStreamOrFlow) {  // J03, J04
  auto s = secured(takes_dialback());
  s.feeds_element(dialback_request)
      .expects({"ask key"})
      .feeds_verdict(true, peer_to_us, "another")
      .expects({"ignored"})
      .feeds_verdict(true, reversed(peer_to_us))
      .expects({"ignored"})
      .feeds_proof(proven())  // that question has been answered
      .expects({"ignored"});
  EXPECT_TRUE(s.run().facts().flows.empty());
}

TEST(ServerNegotiator, LooksIntoAFlowOnceAtATime) {
  auto s = secured(takes_dialback());
  s.feeds_element(dialback_request)
      .expects({"ask key"})
      .feeds_element("<db:result from='peer.example' to='example.org'>other</db:result>")
      .expects({"ignored a dialback request that is under way already"});
  s.run();
}

TEST(ServerNegotiator, LooksInto32FlowsAStream) {  // THREATS D5: L-1, L, L+1; XEP-0220 §2.4.2
  auto s = secured(proven());
  s.authenticates();
  for (int i = 1; i <= 38; ++i) {  // and of those behind them an operator is told of two
    const auto n = std::to_string(i);
    s.feeds_element("<db:result from='d" + n + ".evil.example' to='example.org'>key</db:result>");
    if (i <= 32) {
      s.expects({"ask proof of d" + n + ".evil.example to example.org"});
    } else {
      s.expects({"send <db:result from='example.org' to='d" + n +
                     ".evil.example' type='error'><error type='wait'><resource-constraint",
                 i <= 34 ? "refused too many flows on one stream" : "ignored too many flows on one stream"});
    }
  }
  // Answers make no room: each flow looked into may have cost a lookup and a connection.
  s.feeds_proof(proven(), {.sender = "d1.evil.example", .target = "example.org"})
      .expects({"send <db:result from='example.org' to='d1.evil.example' type='valid'/>", "authorised"})
      .feeds_element("<db:result from='d39.evil.example' to='example.org'>key</db:result>")
      .expects({"send <db:result from='example.org' to='d39.evil.example' type='error'", "ignored too many"})
      .feeds_element("<message from='u@peer.example' to='v@example.org'/>")
      .expects({"received u@peer.example"});
  s.run();
}

TEST(ServerNegotiator, KeepsNoKeyBeyondMeasure) {  // THREATS D5: L-1, L, L+1; what waits is held in memory
  for (const std::size_t size : {1023U, 1024U, 1025U}) {
    auto s = secured(takes_dialback());
    s.feeds_element("<db:result from='peer.example' to='example.org'>" + std::string(size, 'a') + "</db:result>");
    if (size <= 1024) {
      s.expects({"ask key"});
    } else {
      s.expects(
          {"send <db:result from='example.org' to='peer.example' type='error'><error type='modify'>"
           "<not-acceptable",
           "refused a key beyond measure"});
    }
    s.run();
  }
}

TEST(ServerNegotiator, DropsWhatWasUnderWayWhenTheStreamRestarts) {  // RFC 6120 §4.3.3; J04
  const domain_flow rooms{.sender = "rooms.peer.example", .target = "example.org"};
  auto s = secured(proven());
  s.feeds_element("<db:result from='rooms.peer.example' to='example.org'>key</db:result>")
      .expects({"ask proof of rooms"})
      .feeds_element(external_element)
      .expects({"send <success", "authenticated", "restart"})
      .feeds_proof(proven(), rooms)
      .expects({"ignored"})
      .feeds_header()
      .expects({"send", "send", "authorised peer.example"})
      .feeds_proof(proven(), rooms)
      .expects({"ignored"});
  EXPECT_EQ(s.run().facts().flows, domain_flows{peer_to_us});
}

class ServerNegotiatorDialback : public testing::TestWithParam<const char*> {};
TEST_P(ServerNegotiatorDialback, NeedsAddressesThatAreDomains) {  // J02, H04
  auto s = secured(proven());
  s.feeds_element(GetParam())
      .expects(
          {"send <stream:error><improper-addressing", "send </stream:stream>", "finish authentication stream_error"});
  s.run();
}
INSTANTIATE_TEST_SUITE_P(J02, ServerNegotiatorDialback,
                         testing::Values("<db:result to='example.org'>k</db:result>",
                                         "<db:result from='peer.example'>k</db:result>",
                                         "<db:result from='u@peer.example' to='example.org'>k</db:result>",
                                         "<db:result from='peer.example' to='example.org/r'>k</db:result>",
                                         "<db:result from='' to='example.org'>k</db:result>",
                                         "<db:verify from='peer.example' to='example.org'>k</db:verify>"));

// --- dialback, as authoritative server -------------------------------------------------------------------------------

TEST(ServerNegotiator, KnowsItsOwnKeys) {  // J04, XEP-0220 §2.2.2; THREATS D2
  const domain_flow ours{.sender = "example.org", .target = "peer.example"};
  const auto key = dialback_key(our_secret, ours, "x");
  const auto verify = [&](const std::string& from, const std::string& to, const std::string& id) {
    return "<db:verify from='" + from + "' to='" + to + "' id='" + id + "'>" + key + "</db:verify>";
  };
  auto s = secured(unproven());  // who asks does not matter
  s.feeds_element(verify("peer.example", "example.org", "x"))
      .expects({"send <db:verify from='example.org' to='peer.example' id='x' type='valid'/>"})
      .feeds_element(verify("peer.example", "example.org", "y"))
      .expects({"send <db:verify from='example.org' to='peer.example' id='y' type='invalid'/>"})
      .feeds_element(verify("other.example", "example.org", "x"))
      .expects({"send <db:verify from='example.org' to='other.example' id='x' type='invalid'/>"})
      .feeds_element(verify("peer.example", "example.net", "x"))
      .expects({"send <db:verify from='example.net' to='peer.example' id='x' type='invalid'/>"})
      .feeds_element(verify("example.org", "peer.example", "x"))
      .expects({"send <db:verify from='peer.example' to='example.org' id='x' type='error'><error type='cancel'>"
                "<item-not-found"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='&lt;&amp;&apos;'/>")
      .expects({"send <db:verify from='example.org' to='peer.example' id='&lt;&amp;&apos;' type='invalid'/>"});
  EXPECT_FALSE(s.run().ended());
}

TEST(ServerNegotiator, AnswersForItsKeysOnAnAuthenticatedStreamToo) {  // J11, J12
  auto s = secured(proven());
  s.authenticates()
      .feeds_element("<db:verify from='peer.example' to='example.org' id='x'>k</db:verify>")
      .expects({"send <db:verify from='example.org' to='peer.example' id='x' type='invalid'/>"})
      .feeds_element("<message from='peer.example' to='example.org'/>")
      .expects({"received peer.example to example.org"});
  s.run();
}

// --- stanzas ---------------------------------------------------------------------------------------------------------

struct stanza_case {
  const char* name;
  const char* stanza;
  std::vector<std::string> outcome;
};
class ServerNegotiatorStanza : public testing::TestWithParam<stanza_case> {};

TEST_P(ServerNegotiatorStanza,
       IsHeldAgainstTheAuthorisedFlows) {  // H04, H05, H06; THREATS D4; RFC 6120 §8.1.1.2, §8.1.2.2
  auto s = secured(proven());
  s.authenticates().feeds_element(GetParam().stanza).expects(GetParam().outcome);
  s.run();
}

std::vector<std::string> ends_with(const std::string& condition) {
  return {"send <stream:error><" + condition, "send </stream:stream>", "finish authentication policy " + condition};
}

INSTANTIATE_TEST_SUITE_P(
    H04, ServerNegotiatorStanza,
    testing::Values(
        stanza_case{"OfTheFlow",
                    "<message from='u@peer.example/r' to='v@example.org'/>",
                    {"received u@peer.example/r to v@example.org"}},
        stanza_case{"OfTheDomainsThemselves",
                    "<iq type='get' id='1' from='peer.example' to='example.org'><q xmlns='u'/></iq>",
                    {"received peer.example to example.org"}},
        stanza_case{"InAnotherSpelling",
                    "<presence from='U@PEER.example' to='v@EXAMPLE.org.'/>",
                    {"received u@peer.example to v@example.org"}},
        stanza_case{"WithoutTo", "<message from='u@peer.example'/>", ends_with("improper-addressing")},  // H04
        stanza_case{"WithoutFrom", "<message to='v@example.org'/>", ends_with("improper-addressing")},   // H04
        stanza_case{"WithEmptyTo", "<message from='u@peer.example' to=''/>", ends_with("improper-addressing")},
        stanza_case{"FromAnother", "<message from='u@other.example' to='v@example.org'/>",
                    ends_with("invalid-from")},  // H05
        stanza_case{"FromOurselves", "<message from='u@example.org' to='v@example.org'/>",
                    ends_with("invalid-from")},  // THREATS D4
        stanza_case{"FromASubdomain", "<message from='u@x.peer.example' to='v@example.org'/>",
                    ends_with("invalid-from")},
        stanza_case{"FromNothing", "<message from='@' to='v@example.org'/>", ends_with("invalid-from")},
        stanza_case{"ToAnUnknownHost", "<message from='u@peer.example' to='v@example.com'/>",
                    ends_with("host-unknown")},  // H06
        stanza_case{"ToAHostOfAnotherFlow", "<message from='u@peer.example' to='v@example.net'/>",
                    ends_with("host-unknown")},  // H06: hosted, but not validated
        stanza_case{"ToABadResource",
                    "<message from='u@peer.example' to='v@example.org/&#x85;'/>",
                    {"received u@peer.example to  but jid-malformed"}},
        stanza_case{"ToABadUser",
                    "<message from='u@peer.example' to='v v@example.org'/>",
                    {"received u@peer.example to  but jid-malformed"}},
        stanza_case{"FromABadUser",
                    "<message from='u u@peer.example' to='v@example.org'/>",
                    {"ignored a stanza whose sender is no address"}},
        stanza_case{"FromABadUserElsewhere", "<message from='u u@other.example' to='v@example.org'/>",
                    ends_with("invalid-from")},
        stanza_case{"FromABadUserToAnUnknownHost", "<message from='u u@peer.example' to='v@example.com'/>",
                    ends_with("host-unknown")}),
    [](const auto& info) { return info.param.name; });

TEST(ServerNegotiator, TakesNoStanzaBeforeAFlowIsAuthorised) {  // H07, RFC 6120 §13.12, §4.9.3.12; THREATS C7
  for (const auto* stanza :
       {"<message from='u@peer.example' to='v@example.org'/>", "<presence/>", "<iq type='get' id='1'/>"}) {
    auto s = secured(takes_dialback());
    s.feeds_element(dialback_request)
        .expects({"ask key"})
        .feeds_element(stanza)
        .expects({"send <stream:error><not-authorized", "send </stream:stream>", "finish authentication policy"});
    s.run();
    receiving_script clear;
    clear.feeds_header()
        .expects({"send", "send"})
        .feeds_element(stanza)
        .expects({"send <stream:error><not-authorized", "send </stream:stream>", "finish stream policy"});
    clear.run();
  }
}

TEST(ServerNegotiator, AnswersWhatItDoesNotKnow) {  // THREATS A8
  for (const auto& [element, condition] :
       {std::pair{"<foo xmlns='jabber:server'/>", "unsupported-stanza-type"},
        std::pair{"<message xmlns='jabber:client'/>", "unsupported-stanza-type"},
        std::pair{"<db:foo from='peer.example' to='example.org'/>", "unsupported-stanza-type"},
        std::pair{"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>", "bad-format"}}) {
    auto s = secured(proven());
    s.authenticates().feeds_element(element).expects({std::string{"send <stream:error><"} + condition,
                                                      "send </stream:stream>", "finish authentication stream_error"});
    s.run();
  }
}

TEST(ServerNegotiator, EndsWithoutAnErrorWhereNoneIsMeant) {  // an idle stream
  auto s = secured(proven());
  s.authenticates()
      .feeds_event(event::dismissed{.condition = {}, .cause = cause::shutdown, .text = "idle"})
      .expects({"send </stream:stream>", "finish authentication shutdown"});
  s.run();
}

// --- bidi and limits -------------------------------------------------------------------------------------------------

TEST(ServerNegotiator, LearnsThatStanzasGoBothWays) {  // L01, L02, XEP-0288 §2.2; XEP-0478 §4.2
  auto s = secured(proven());
  s.feeds_element(
       "<bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes> 10000 </max-bytes>"
       "<idle-seconds>x</idle-seconds></limits></bidi>")
      .expects({})
      .authenticates()
      .survives_failure_at_every_step();
  const auto machine = s.run();
  EXPECT_TRUE(machine.facts().bidi);
  EXPECT_EQ(machine.facts().peer_limits, (stream_limits{.max_bytes = 10000, .idle_seconds = {}}));
  // Nothing may be sent back before the features behind SASL: flow_authorised comes with them (L01).
  EXPECT_TRUE(s.run_until(s.size() - 1).facts().flows.empty());
}

TEST(ServerNegotiator, RefusesBidiOutOfTurn) {  // L01
  receiving_script clear;
  clear.feeds_header()
      .expects({"send", "send"})
      .feeds_element("<bidi xmlns='urn:xmpp:bidi'/>")
      .expects({"send <stream:error><policy-violation", "send", "finish stream policy"});
  EXPECT_FALSE(clear.run().facts().bidi);
  for (const bool by_certificate : {false, true}) {
    auto s = secured(by_certificate ? proven() : takes_dialback());
    by_certificate ? s.authenticates() : s.dials_back();
    s.feeds_element("<bidi xmlns='urn:xmpp:bidi'/>")
        .expects({"send <stream:error><policy-violation", "send", "finish authentication policy"});
    EXPECT_FALSE(s.run().facts().bidi);
  }
  auto twice = secured(proven());
  twice.feeds_element("<bidi xmlns='urn:xmpp:bidi'/>")
      .expects({})
      .feeds_element("<bidi xmlns='urn:xmpp:bidi'/>")
      .expects({"send <stream:error><policy-violation", "send", "finish"});
  twice.run();
}

TEST(ServerNegotiator, NamesTheErrorThatThePeerSent) {
  auto s = secured(proven());
  s.feeds_element(
       "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
       "<reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
      .expects({"send </stream:stream>", "finish authentication stream_error"});
  s.run();
}

// --- everything with everything --------------------------------------------------------------------------------------

TEST(ServerNegotiator, HasAnAnswerForEveryEventInEveryState) {  // STYLE: state × event
  auto by_external = secured(proven(), method::starttls);
  by_external.feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'/>")
      .expects({"send <challenge"})
      .feeds_element("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>")
      .expects({"send <success", "authenticated", "restart"})
      .feeds_header()
      .expects({"send", "send", "authorised"});
  auto by_dialback = secured(takes_dialback(), method::starttls);
  by_dialback.dials_back();
  const fakes::parsed message{"<message/>", xml::ns_server};
  const std::vector<std::function<negotiation_event()>> events{
      [] { return negotiation_event{fakes::server_header("peer.example", "example.org")}; },
      [&] { return negotiation_event{event::element{message.document.root()}}; },
      [] { return negotiation_event{event::peer_closed{}}; },
      [] { return negotiation_event{event::broken{}}; },
      [] { return negotiation_event{event::tls_done{}}; },
      [] { return negotiation_event{event::tls_failed{}}; },
      [] { return negotiation_event{event::tls_refused{}}; },
      [] { return negotiation_event{event::answered{peer_proof{peer_to_us, proven()}}}; },
      [] { return negotiation_event{event::answered{key_verdict{peer_to_us, "id", true}}}; },
      [] { return negotiation_event{event::answered{bind_answer{jid{}}}}; },
      [] { return negotiation_event{event::timed_out{}}; },
      [] { return negotiation_event{event::dismissed{}}; },
      [] { return negotiation_event{event::gone{}}; }};
  for (auto* whole : {&by_external, &by_dialback}) {
    for (std::size_t at = 0; at <= whole->size(); ++at) {
      for (std::size_t e = 0; e < events.size(); ++e) {
        SCOPED_TRACE("step " + std::to_string(at) + ", event " + std::to_string(e));
        auto machine = whole->run_until(at);
        const auto actions = machine.on(events[e]());
        EXPECT_FALSE(actions.empty());  // never silence
        // No event but the two that may authorise does; and what is authorised is what was asked.
        for (const auto& f : machine.facts().flows) {
          EXPECT_EQ(f, peer_to_us);
        }
        if (machine.ended()) {
          EXPECT_TRUE(std::holds_alternative<action::finish>(actions.back()));
        }
      }
    }
  }
}

}  // namespace
}  // namespace comity::connection
