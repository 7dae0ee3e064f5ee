// The initiating entity's machine as a dialogue: streams to other servers.
#include "connection/negotiation/initiator.hpp"

#include <gtest/gtest.h>

#include "tests/fakes/server_scripts.hpp"

namespace comity::connection {
namespace {

using fakes::initiating_script;
using fakes::our_secret;
using fakes::peer_to_us;
using fakes::proven;
using fakes::takes_dialback;
using fakes::unproven;
using fakes::us_to_peer;

constexpr auto external = initiating_script::external;
constexpr auto dialback_errors = initiating_script::dialback_errors;
constexpr auto bidi_offer = initiating_script::bidi;
constexpr auto proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
constexpr auto success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
constexpr auto failure = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>";
constexpr auto valid_result = "<db:result from='peer.example' to='example.org' type='valid'/>";

initiating_script secured(const trust::verdict& v = proven(), method by = method::direct_tls) {
  initiating_script s{by};
  s.secures(v);
  return s;
}

std::string stream_error(const std::string& condition) {
  return "<stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
}

/// A header without the namespace of dialback.
event::header plain_header(const std::string& id = "theirs") {
  auto h = fakes::server_header("peer.example", "example.org", id);
  h.stream.namespaces.pop_back();
  return h;
}

// --- the ways through ------------------------------------------------------------------------------------------------

TEST(Initiator, GoesByExternal) {  // E02, E04, H01, I02, I05; D05: the same by STARTTLS and direct TLS
  for (const auto by : {method::starttls, method::direct_tls}) {
    auto s = secured(proven(), by);
    s.authenticates().survives_failure_at_every_step();
    const auto machine = s.run();
    EXPECT_EQ(machine.authorised(), domain_flows{us_to_peer});
    EXPECT_TRUE(machine.facts().flows.empty());
    EXPECT_EQ(machine.phase(), phase::authentication);
  }
}

TEST(Initiator, GoesByDialback) {  // J01, J02, XEP-0220 §2.1.1
  for (const auto by : {method::starttls, method::direct_tls}) {
    for (const bool accepted : {true, false}) {
      auto s = secured(accepted ? proven(proof::dane) : takes_dialback(), by);
      s.dials_back(dialback_errors, accepted ? "dane" : "dialback").survives_failure_at_every_step();
      EXPECT_EQ(s.run().authorised(), domain_flows{us_to_peer});
    }
  }
}

TEST(Initiator, OpensTheStreamWithBothDomainsAndNoId) {  // H01, RFC 6120 §4.7.1–4.7.5; J02: "db" is declared
  const auto header =
      "send <?xml version='1.0'?><stream:stream xmlns='jabber:server' "
      "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' version='1.0' xml:lang='en' "
      "from='example.org' to='peer.example'>";
  metrics_cell metrics;
  initiator machine{{.flow = us_to_peer,
                     .dialback_secret = our_secret,
                     .domains = fakes::our_rules(),
                     .metrics = metrics,
                     .limits = {}},
                    {scope::s2s, direction::outbound, method::starttls}};
  const auto first = machine.start();
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(fakes::describe(first[0]), header);
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls().expects({"restart", "judge"}).feeds_judgment(proven()).expects({header});
  s.run();
}

TEST(Initiator, AsksForTlsWhetherItIsOfferedOrNot) {  // E08, RFC 7590 §3.1; THREATS B3
  for (const auto* features : {"", "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", external, dialback_errors}) {
    initiating_script s;
    s.feeds_header("clear").expects({}).feeds_features(features).expects(
        {"send <starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"});
    s.run();
  }
  auto old = fakes::server_header("peer.example", "example.org", "clear");
  old.stream.has_version = false;
  initiating_script s;
  s.feeds_event(old).expects({"send <starttls"});  // RFC 6120 §4.7.5 (H08): no features will come
  s.run();
}

TEST(Initiator, NeverAsksForTlsOnDirectTls) {  // D05, XEP-0368 §4: even where it is offered
  auto s = secured();
  s.authenticates(std::string{"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"} + external);
  s.run();
}

TEST(Initiator, GivesUpWhereTlsIsRefused) {  // B3, E10, J13
  for (const auto& [answer, outcome] :
       {std::pair{std::string{"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}, "finish tls tls_not_offered"},
        std::pair{stream_error("unsupported-stanza-type"), "finish tls tls_not_offered"},
        std::pair{stream_error("host-unknown"), "finish tls host_unknown"}}) {
    initiating_script s;
    s.feeds_header("clear")
        .expects({})
        .feeds_features("")
        .expects({"send <starttls"})
        .feeds_element(answer)
        .expects({"send </stream:stream>", outcome});
    s.run();
  }
}

TEST(Initiator, TakesNothingButProceed) {  // THREATS B2
  for (const auto* element : {"<stream:features/>", "<message from='a@peer.example' to='b@example.org'/>", success,
                              valid_result, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"}) {
    initiating_script s;
    s.feeds_header("clear").expects({}).feeds_features("").expects({"send <starttls"});
    s.feeds_element(element);
    auto machine = s.run_until(s.size() - 1);
    const fakes::parsed parsed{element, xml::ns_server};
    const auto actions = machine.on(event::element{parsed.document.root()});
    EXPECT_TRUE(machine.ended()) << element;
    EXPECT_FALSE(machine.facts().encrypted);
  }
}

TEST(Initiator, TakesBytesBehindProceedForAnAttack) {  // E02, E03; THREATS B2
  initiating_script s;
  s.feeds_header("clear")
      .expects({})
      .feeds_features("")
      .expects({"send <starttls"})
      .feeds_element(proceed)
      .expects({"start_tls"})
      .feeds_event(event::tls_refused{})
      .expects({"finish tls tls_alert abrupt"});
  s.run();
}

TEST(Initiator, ForgetsWhatItHeardBeforeTls) {  // E04, RFC 6120 §5.4.3.3; THREATS B2
  initiating_script s;
  s.feeds_header("clear")
      .expects({})
      .feeds_features(std::string{external} + dialback_errors + bidi_offer +
                      "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>1</max-bytes></limits>")
      .expects({"send <starttls"})
      .feeds_element(proceed)
      .expects({"start_tls"})
      .feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment(proven())
      .expects({"send <?xml"});
  EXPECT_TRUE(s.run().facts().peer_limits.empty());
  EXPECT_FALSE(s.run().takes_other_targets());
  s.feeds_event(plain_header())
      .expects({})
      .feeds_features("")
      .expects({"send </stream:stream>", "finish stream auth_no_common_mechanism"});
  s.run();
}

// --- trust -----------------------------------------------------------------------------------------------------------

TEST(Initiator, SaysNothingToAPeerThatIsNotProven) {  // G03, G11; THREATS B8, E5: not even a header
  for (const auto why : {cause::cert_name_mismatch, cause::cert_expired, cause::cert_untrusted, cause::dane_mismatch,
                         cause::posh_mismatch, cause::policy}) {
    auto s = initiating_script{method::direct_tls};
    s.feeds_tls()
        .expects({"restart", "judge"})
        .feeds_judgment(unproven(why))
        .expects({"finish tls " + std::string{to_string(why)} + " abrupt"});
    s.run();
  }
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment({trust::needs_posh{}, "unfinished"})
      .expects({"finish tls internal abrupt"});
  s.run();
}

TEST(Initiator, EndsAStreamThatAnswersAsAnotherDomain) {  // G11, RFC 6120 §13.7.2
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment(proven())
      .expects({"send"})
      .feeds_header("theirs", "other.example")
      .expects({});
  auto known = s;
  s.feeds_features(external).expects(
      {"send <stream:error><invalid-from", "send </stream:stream>", "finish stream host_unknown"});
  s.run();
  // RFC 6120 §4.9.1.3: a server that does not know the domain answers as another, and then says why.
  known.feeds_element(stream_error("host-unknown")).expects({"send </stream:stream>", "finish stream host_unknown"});
  known.run();
}

TEST(Initiator, TakesAHeaderThatDoesNotSayWhoIsThere) {  // RFC 6120 §4.7.1: liberal, since the certificate does
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment(proven())
      .expects({"send"})
      .feeds_header("theirs", "")
      .expects({})
      .authenticates();
  s.run();
}

struct bad_header {
  const char* name;
  void (*spoil)(xml::stream_header&);
  const char* condition;
};
class InitiatorHeader : public testing::TestWithParam<bad_header> {};
TEST_P(InitiatorHeader, EndsTheStream) {  // RFC 6120 §4.9.3
  auto h = fakes::server_header("peer.example", "example.org", "theirs");
  GetParam().spoil(h.stream);
  initiating_script s;
  s.feeds_event(h).expects(
      {std::string{"send <stream:error><"} + GetParam().condition, "send </stream:stream>", "finish stream"});
  s.run();
}
INSTANTIATE_TEST_SUITE_P(
    H02, InitiatorHeader,
    testing::Values(bad_header{"OfAClientsStream", [](xml::stream_header& h) { h.content_ns = "jabber:client"; },
                               "invalid-namespace"},
                    bad_header{"OfNoStream", [](xml::stream_header& h) { h.ns = "urn:x"; }, "invalid-namespace"},
                    bad_header{"OfAnotherName", [](xml::stream_header& h) { h.name = "strom"; }, "bad-format"},
                    bad_header{"FromNoJid", [](xml::stream_header& h) { h.from = "@"; }, "invalid-from"}),
    [](const auto& info) { return info.param.name; });

// --- authentication --------------------------------------------------------------------------------------------------

TEST(Initiator, WaitsToBeChosen) {  // C05: the first verified stream wins, and that is for the dialler to see
  auto s = secured();
  s.feeds_features(external).expects({"verified"});
  EXPECT_EQ(s.run().phase(), phase::stream);
  s.feeds_event(event::dismissed{.condition = {}, .cause = cause::shutdown, .text = "another was faster"})
      .expects({"send </stream:stream>", "finish stream shutdown"});
  s.run();
}

TEST(Initiator, DialsBackWhereExternalIsNotOffered) {  // I01, J02: the peer did not like our certificate
  auto s = secured();
  s.dials_back(dialback_errors, "pkix");
  s.run();
}

TEST(Initiator, DialsBackOnTheDeclarationAlone) {  // XEP-0220 §2.3: servers that announce no errors
  auto s = secured();
  s.dials_back("", "pkix");
  EXPECT_FALSE(s.run().takes_other_targets());
}

TEST(Initiator, HoldsAPeerThatOnlyDialbackProvesToDialback) {  // the policy asks for it, whatever else is offered
  auto s = secured(takes_dialback());
  s.dials_back(std::string{external} + dialback_errors);
  s.run();
  auto t = initiating_script{method::direct_tls};
  t.feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment(takes_dialback())
      .expects({"send"})
      .feeds_event(plain_header())
      .expects({})
      .feeds_features(external)
      .expects({"send </stream:stream>", "finish stream auth_no_common_mechanism"});
  t.run();
}

TEST(Initiator, CannotDialBackWithoutAStreamId) {  // J02; RFC 6120 §4.7.3
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls().expects({"restart", "judge"}).feeds_judgment(proven()).expects({"send"});
  s.feeds_header("")
      .expects({})
      .feeds_features(dialback_errors)
      .expects({"send </stream:stream>", "finish stream auth_no_common_mechanism"});
  s.run();
}

TEST(Initiator, FallsBackToDialbackWhereExternalIsRefused) {  // I03, XEP-0178 §3 (11)
  auto s = secured();
  s.feeds_features(std::string{external} + dialback_errors)
      .expects({"verified"})
      .chooses()
      .expects({"send <auth"})
      .feeds_element(failure)
      .expects({"refused EXTERNAL not-authorized", "send <db:result from='example.org' to='peer.example'>"})
      .feeds_element(valid_result)
      .expects({"authorised example.org to peer.example by pkix dialback"})
      .survives_failure_at_every_step();
  s.run();
}

TEST(Initiator, LeavesWhereExternalIsRefusedAndNothingElseIsThere) {  // I03
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment(proven())
      .expects({"send"})
      .feeds_event(plain_header())
      .expects({})
      .feeds_features(external)
      .expects({"verified"})
      .chooses()
      .expects({"send <auth"})
      .feeds_element(failure)
      .expects({"refused EXTERNAL not-authorized", "send </stream:stream>", "finish authentication auth_rejected"});
  s.run();
}

TEST(Initiator, SaysWhyItWasLeftAfterARefusal) {
  auto s = secured();
  s.feeds_features(std::string{external} + dialback_errors)
      .expects({"verified"})
      .chooses()
      .expects({"send <auth"})
      .feeds_element(failure)
      .expects({"refused", "send <db:result"});
  auto closed = s;
  closed.feeds_event(event::peer_closed{}).expects({"send </stream:stream>", "finish authentication auth_rejected"});
  closed.run();
  s.feeds_event(event::gone{}).expects({"finish authentication auth_rejected abrupt"});
  s.run();
}

TEST(Initiator, TakesAStreamErrorDuringAuthenticationForARefusal) {  // THREATS D3, from the other side
  auto s = secured();
  s.feeds_features(external).expects({"verified"}).chooses().expects({"send <auth"});
  s.feeds_element(stream_error("policy-violation"))
      .expects({"send </stream:stream>", "finish authentication auth_rejected"});
  s.run();
}

TEST(Initiator, BelievesNoSuccessBeforeItAsked) {  // I05; THREATS B2
  auto s = secured();
  s.feeds_features(external)
      .expects({"verified"})
      .feeds_element(success)
      .expects({"send <stream:error><unsupported-stanza-type", "send", "finish"});
  s.run();
}

TEST(Initiator, SendsNothingBetweenSuccessAndTheNewFeatures) {  // I05: the flow is authorised by then, and not before
  auto s = secured();
  s.authenticates();
  EXPECT_TRUE(s.run_until(s.size() - 1).authorised().empty());
  EXPECT_EQ(s.run().authorised(), domain_flows{us_to_peer});
}

// --- dialback answers ------------------------------------------------------------------------------------------------

initiating_script dialling(const trust::verdict& v = takes_dialback()) {
  auto s = secured(v);
  s.feeds_features(dialback_errors).expects({"verified"}).chooses().expects({"send <db:result"});
  return s;
}

TEST(Initiator, IgnoresAnswersThatItDidNotAskFor) {  // J01, J03; THREATS D1: CVE-2012-3525, -4669, -4672
  for (const bool established : {false, true}) {
    auto s = established ? secured() : dialling();
    if (established) {
      s.authenticates(external, dialback_errors);
    }
    for (const auto* element : {"<db:result from='other.example' to='example.org' type='valid'/>",
                                "<db:result from='peer.example' to='example.net' type='valid'/>",
                                "<db:result from='example.org' to='peer.example' type='valid'/>",
                                "<db:result from='other.example' to='example.org' type='invalid'/>",
                                "<db:verify from='peer.example' to='example.org' id='x' type='valid'/>",
                                "<db:verify from='bank.example' to='example.org' id='x' type='error'/>"}) {
      s.feeds_element(element).expects({"ignored an unsolicited dialback answer"});
    }
    for (const auto* element : {"<db:result from='bank.example' to='example.org'>key</db:result>",
                                "<db:verify from='peer.example' to='example.org' id='x'>key</db:verify>"}) {
      s.feeds_element(element).expects({"ignored a dialback request on a stream that goes one way"});
    }
    const auto machine = s.run();
    EXPECT_EQ(machine.authorised(), established ? domain_flows{us_to_peer} : domain_flows{});
    EXPECT_TRUE(machine.facts().flows.empty());
  }
}

TEST(Initiator, IgnoresAnAnswerGivenTwice) {  // THREATS D1
  auto s = dialling();
  s.feeds_element(valid_result)
      .expects({"authorised"})
      .feeds_element(valid_result)
      .expects({"ignored"})
      .feeds_element("<db:result from='peer.example' to='example.org' type='invalid'/>")
      .expects({"ignored"});
  s.run();
}

struct refusal {
  const char* name;
  const char* answer;
  const char* why;
  const char* bounce = "remote-server-timeout";
};
class InitiatorRefusal : public testing::TestWithParam<refusal> {};

TEST_P(InitiatorRefusal, OfTheFirstFlowEndsTheStream) {  // J01, J08: the dialler goes on to the next endpoint
  auto s = dialling();
  const std::string why = GetParam().why;
  s.feeds_element(GetParam().answer)
      .expects({"flow refused example.org to peer.example " + why + " bounce " + GetParam().bounce,
                "send </stream:stream>", "finish authentication " + why});
  EXPECT_TRUE(s.run().authorised().empty());
}

INSTANTIATE_TEST_SUITE_P(
    J08, InitiatorRefusal,
    testing::Values(
        refusal{"Invalid", "<db:result from='peer.example' to='example.org' type='invalid'/>", "dialback_invalid",
                "internal-server-error"},
        refusal{"NoSuchHost",
                "<db:result from='peer.example' to='example.org' type='error'><error type='cancel'><item-not-found "
                "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
                "host_unknown"},
        refusal{"ServerNotFound",
                "<db:result from='peer.example' to='example.org' type='error'><error type='cancel'>"
                "<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
                "auth_rejected"},
        refusal{"Timeout",
                "<db:result from='peer.example' to='example.org' type='error'><error type='wait'>"
                "<remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
                "auth_timeout"},
        refusal{"Forbidden",
                "<db:result from='peer.example' to='example.org' type='error'><error type='auth'><forbidden "
                "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
                "dialback_invalid"},
        refusal{"TooMany",
                "<db:result from='peer.example' to='example.org' type='error'><error type='wait'><resource-constraint "
                "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>",
                "limit"},
        refusal{"Unsaid", "<db:result from='peer.example' to='example.org' type='error'/>", "auth_rejected"}),
    [](const auto& info) { return info.param.name; });

// --- more flows ------------------------------------------------------------------------------------------------------

const domain_flow net_to_peer{.sender = "example.net", .target = "peer.example"};
const domain_flow us_to_rooms{.sender = "example.org", .target = "rooms.peer.example"};

initiating_script established(const std::string& later = dialback_errors) {
  auto s = secured();
  s.authenticates(std::string{external} + dialback_errors, later);
  return s;
}

TEST(Initiator, AddsSendersAndTargets) {  // J09, J10, J12, XEP-0220 §2.6
  auto s = established();
  s.wants(net_to_peer)
      .expects({"send <db:result from='example.net' to='peer.example'>" +
                dialback_key(our_secret, net_to_peer, "theirs2") + "</db:result>"})
      .wants(us_to_rooms, proof::dane)
      .expects({"send <db:result from='example.org' to='rooms.peer.example'>"})
      .wants(us_to_rooms)
      .expects({})
      .feeds_element("<db:result from='rooms.peer.example' to='example.org' type='valid'/>")
      .expects({"authorised example.org to rooms.peer.example by dane dialback"})
      .feeds_element("<db:result from='peer.example' to='example.net' type='valid'/>")
      .expects({"authorised example.net to peer.example by pkix dialback"})
      .wants(net_to_peer)
      .expects({"authorised example.net to peer.example"})
      .survives_failure_at_every_step();
  const auto machine = s.run();
  EXPECT_TRUE(machine.takes_other_targets());
  EXPECT_EQ(machine.authorised(), (domain_flows{us_to_peer, net_to_peer, us_to_rooms}));
}

TEST(Initiator, AddsNoTargetWhereErrorsAreNotAnnounced) {  // J10, K02, RFC 7712 §4.4.2
  auto s = established("<dialback xmlns='urn:xmpp:features:dialback'/>");
  s.wants(us_to_rooms)
      .expects({"flow refused example.org to rooms.peer.example auth_no_common_mechanism bounce remote-server-timeout"})
      .wants(net_to_peer)
      .expects({"send <db:result from='example.net' to='peer.example'>"});
  EXPECT_FALSE(s.run().takes_other_targets());
}

TEST(Initiator, AddsNothingWhereThePeerKnowsNoDialback) {  // J10
  auto s = secured();
  s.feeds_features(external)
      .expects({"verified"})
      .chooses()
      .expects({"send <auth"})
      .feeds_element(success)
      .expects({"restart", "send <?xml"})
      .feeds_event(plain_header("theirs2"))
      .expects({})
      .feeds_features("")
      .expects({"authorised"})
      .wants(net_to_peer)
      .expects({"flow refused example.net to peer.example auth_no_common_mechanism"});
  s.run();
}

TEST(Initiator, LosesOneFlowByAnErrorAndKeepsTheOthers) {  // J08, XEP-0220 §2.4.2
  auto s = established();
  s.wants(us_to_rooms)
      .expects({"send <db:result"})
      .feeds_element(
          "<db:result from='rooms.peer.example' to='example.org' type='error'><error type='cancel'><item-not-found "
          "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:result>")
      .expects({"flow refused example.org to rooms.peer.example host_unknown bounce remote-server-timeout"});
  const auto machine = s.run();
  EXPECT_FALSE(machine.ended());
  EXPECT_EQ(machine.authorised(), domain_flows{us_to_peer});
}

TEST(Initiator, LeavesAStreamOnWhichAFlowIsInvalid) {  // J01, XEP-0220 §2.1.1: nothing more is sent on it
  auto s = established();
  s.wants(us_to_rooms)
      .expects({"send <db:result"})
      .wants(net_to_peer)
      .expects({"send <db:result"})
      .feeds_element("<db:result from='rooms.peer.example' to='example.org' type='invalid'/>")
      .expects({"flow refused example.org to rooms.peer.example dialback_invalid bounce internal-server-error",
                "send </stream:stream>", "flow refused example.net to peer.example dialback_invalid",
                "finish authentication dialback_invalid"});
  s.run();
}

TEST(Initiator, SaysWhatBecameOfFlowsAndKeysWhenTheStreamEnds) {  // XEP-0220 §2.1.1, §2.1.2
  auto s = established();
  s.wants(us_to_rooms)
      .expects({"send <db:result"})
      .verifies(peer_to_us, "ours", "key")
      .expects({"send <db:verify"})
      .feeds_event(event::gone{})
      .expects({"flow refused example.org to rooms.peer.example peer_closed bounce remote-server-timeout",
                "key of peer.example to example.org id ours remote-server-timeout",
                "finish authentication peer_closed abrupt"});
  s.run();
}

// --- keys to verify --------------------------------------------------------------------------------------------------

TEST(Initiator, AsksTheAuthoritativeServerWithoutAuthenticating) {  // J03, J11, J12, XEP-0220 §2.1.2
  auto s = initiating_script{};
  s.verifies(peer_to_us, "ours", "key<&")
      .expects({})  // kept: nothing is asked in clear
      .secures(proven())
      .feeds_features(std::string{external} + dialback_errors)
      .expects({"verified", "send <db:verify from='example.org' to='peer.example' id='ours'>key&lt;&amp;</db:verify>"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='ours' type='valid'/>")
      .expects({"key of peer.example to example.org id ours valid"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='ours' type='valid'/>")
      .expects({"ignored"})
      .feeds_event(event::dismissed{.condition = {}, .cause = cause::shutdown, .text = "verified"})
      .expects({"send </stream:stream>", "finish stream shutdown"})
      .survives_failure_at_every_step();
  EXPECT_TRUE(s.run().authorised().empty());
}

TEST(Initiator, TellsKeysApartByFlowAndStream) {  // J03
  const domain_flow rooms{.sender = "peer.example", .target = "example.net"};
  auto s = secured();
  s.feeds_features(dialback_errors)
      .expects({"verified"})
      .verifies(peer_to_us, "1", "a")
      .expects({"send"})
      .verifies(peer_to_us, "2", "b")
      .expects({"send"})
      .verifies(rooms, "1", "c")
      .expects({"send"})
      .feeds_element("<db:verify from='peer.example' to='example.net' id='2' type='valid'/>")
      .expects({"ignored"})
      .feeds_element("<db:verify from='peer.example' to='example.net' id='1' type='invalid'/>")
      .expects({"key of peer.example to example.net id 1 invalid"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='2' type='valid'/>")
      .expects({"key of peer.example to example.org id 2 valid"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='1' type='anything'/>")
      .expects({"ignored"})
      .feeds_element(
          "<db:verify from='peer.example' to='example.org' id='1' type='error'><error type='cancel'><item-not-found "
          "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></db:verify>")
      .expects({"key of peer.example to example.org id 1 remote-server-not-found"})  // J07
      .survives_failure_at_every_step();
  s.run();
}

TEST(Initiator, KeepsKeysWhileItAuthenticates) {  // RFC 6120 §6.3.5: nothing goes between the words of SASL
  auto s = secured();
  s.feeds_features(std::string{external} + dialback_errors)
      .expects({"verified"})
      .chooses()
      .expects({"send <auth"})
      .verifies(peer_to_us, "ours", "key")
      .expects({})
      .feeds_element(success)
      .expects({"restart", "send <?xml"})
      .feeds_header("theirs2")
      .expects({})
      .feeds_features("")
      .expects({"authorised", "send <db:verify from='example.org' to='peer.example' id='ours'>key"})
      .survives_failure_at_every_step();
  s.run();
}

TEST(Initiator, KeepsKeysAskedBeforeItWasChosen) {
  auto s = secured();
  s.feeds_features(std::string{external} + dialback_errors)
      .expects({"verified"})
      .verifies(peer_to_us, "ours", "key")
      .expects({"send <db:verify"})
      .chooses()
      .expects({"send <auth"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='ours' type='valid'/>")
      .expects({"key of peer.example to example.org id ours valid"})
      .feeds_element(success)
      .expects({"restart", "send <?xml"});
  s.run();
}

TEST(Initiator, AsksNobodyWhoKnowsNoDialback) {  // J07
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment(proven())
      .expects({"send"})
      .feeds_event(plain_header())
      .expects({})
      .feeds_features(external)
      .expects({"verified"})
      .verifies(peer_to_us, "ours", "key")
      .expects({"key of peer.example to example.org id ours remote-server-not-found"});
  s.run();
}

// --- both ways -------------------------------------------------------------------------------------------------------

TEST(Initiator, AsksForBothWaysBeforeItAuthenticates) {  // L01, XEP-0288 §2.2; XEP-0478 §4.2 (L03)
  auto s = secured();
  s.feeds_features(std::string{external} + bidi_offer)
      .expects({"verified"})
      .chooses()
      .expects({"send <bidi xmlns='urn:xmpp:bidi'><limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>524288"
                "</max-bytes><idle-seconds>600</idle-seconds></limits></bidi>",
                "send <auth"})
      .survives_failure_at_every_step();
  EXPECT_TRUE(s.run().facts().bidi);
  auto unwanted = secured();
  unwanted.without_bidi()
      .feeds_features(std::string{external} + bidi_offer)
      .expects({"verified"})
      .chooses()
      .expects({"send <auth"});
  EXPECT_FALSE(unwanted.run().facts().bidi);
}

initiating_script both_ways() {
  auto s = secured();
  s.feeds_features(std::string{external} + dialback_errors + bidi_offer)
      .expects({"verified"})
      .chooses()
      .expects({"send <bidi", "send <auth"})
      .feeds_element(success)
      .expects({"restart", "send <?xml"})
      .feeds_header("theirs2")
      .expects({})
      .feeds_features(dialback_errors)
      .expects({"authorised example.org to peer.example by pkix EXTERNAL"});
  return s;
}

TEST(Initiator, TakesStanzasTheOtherWayOfItsFlows) {  // L02, H04, H05, H06; THREATS D4
  auto s = both_ways();
  s.feeds_element("<message from='v@peer.example' to='u@example.org'/>")
      .expects({"received v@peer.example to u@example.org"})
      .feeds_element("<message from='v@peer.example' to='u u@example.org'/>")
      .expects({"received v@peer.example to  but jid-malformed"})
      .feeds_element("<message from='v v@peer.example' to='u@example.org'/>")
      .expects({"ignored"})
      .survives_failure_at_every_step();
  s.run();
  for (const auto& [stanza, condition] :
       {std::pair{"<message from='v@other.example' to='u@example.org'/>", "invalid-from"},
        std::pair{"<message from='v@peer.example' to='u@example.net'/>", "host-unknown"},
        std::pair{"<message to='u@example.org'/>", "improper-addressing"},
        std::pair{"<message from='v@peer.example'/>", "improper-addressing"}}) {
    auto t = both_ways();
    t.feeds_element(stanza).expects({std::string{"send <stream:error><"} + condition, "send", "finish"});
    t.run();
  }
}

TEST(Initiator, TakesNoStanzaOnAStreamThatGoesOneWay) {  // L02, H07
  for (const bool dialling_back : {false, true}) {
    auto s = dialling_back ? dialling() : established();
    s.feeds_element("<message from='v@peer.example' to='u@example.org'/>")
        .expects({"send <stream:error><not-authorized", "send </stream:stream>", "finish authentication policy"});
    s.run();
  }
}

TEST(Initiator, TakesNoStanzaBeforeItIsAuthenticated) {  // L01: nothing comes back before that
  auto s = secured();
  s.feeds_features(std::string{dialback_errors} + bidi_offer)
      .expects({"verified"})
      .chooses()
      .expects({"send <bidi", "send <db:result"})
      .feeds_element("<message from='v@peer.example' to='u@example.org'/>")
      .expects({"send <stream:error><not-authorized", "send", "finish"});
  s.run();
}

TEST(Initiator, AuthorisesNobodyBeforeItIsAuthenticatedItself) {  // L01; THREATS D1
  auto s = secured();
  s.feeds_features(std::string{dialback_errors} + bidi_offer)
      .expects({"verified"})
      .chooses()
      .expects({"send <bidi", "send <db:result"})
      .feeds_element("<db:result from='rooms.peer.example' to='example.org'>key</db:result>")
      .expects({"ignored"});
  EXPECT_TRUE(s.run().facts().flows.empty());
}

TEST(Initiator, AuthorisesWhatThePeerAsksForOnAStreamBothWays) {  // XEP-0288 §2.2, J09, K03; THREATS D5
  const domain_flow rooms{.sender = "rooms.peer.example", .target = "example.org"};
  auto s = both_ways();
  s.feeds_element("<db:result from='rooms.peer.example' to='example.org'>key</db:result>")
      .expects({"ask proof of rooms.peer.example to example.org"})
      .feeds_answer(peer_proof{rooms, takes_dialback()})
      .expects({"ask key of rooms.peer.example to example.org id theirs2 key key"})
      .feeds_answer(key_verdict{rooms, "theirs2", true})
      .expects({"send <db:result from='example.org' to='rooms.peer.example' type='valid'/>",
                "authorised example.org to rooms.peer.example by dialback dialback"})
      .feeds_element("<message from='r@rooms.peer.example' to='u@example.org'/>")
      .expects({"received r@rooms.peer.example"})
      .feeds_element("<db:result from='enemy.example' to='example.org'>key</db:result>")
      .expects({"send <db:result from='example.org' to='enemy.example' type='error'", "refused not allowed"})
      .feeds_element("<db:verify from='peer.example' to='example.org' id='x'>" +
                     dialback_key(our_secret, us_to_peer, "x") + "</db:verify>")
      .expects({"send <db:verify from='example.org' to='peer.example' id='x' type='valid'/>"})
      .survives_failure_at_every_step();
  EXPECT_EQ(s.run().facts().flows, (domain_flows{peer_to_us, rooms}));
}

TEST(Initiator, TellsItsLimitsAndLearnsThePeers) {  // L03, XEP-0478 §4.1
  auto s = secured();
  s.authenticates(
      std::string{external} + "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>",
      "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>60"
      "</idle-seconds></limits>");
  EXPECT_EQ(s.run_until(s.size() - 1).facts().peer_limits, (stream_limits{.max_bytes = 10000, .idle_seconds = {}}));
  EXPECT_EQ(s.run().facts().peer_limits, (stream_limits{.max_bytes = 262144, .idle_seconds = 60}));
}

// --- ends ------------------------------------------------------------------------------------------------------------

TEST(Initiator, SaysInWhichPhaseTimeRanOut) {
  const auto ran_out = [](initiating_script s, const std::string& how) {
    auto machine = s.run();
    const auto actions = machine.on(event::timed_out{});
    EXPECT_EQ(fakes::describe(actions.back()), how);
  };
  initiating_script s;
  ran_out(s, "finish stream stream_timeout connection-timeout");
  s.feeds_header("clear").expects({});
  ran_out(s, "finish stream stream_timeout connection-timeout");
  s.feeds_features("").expects({"send"});
  ran_out(s, "finish tls tls_timeout connection-timeout");
  s.feeds_element(proceed).expects({"start_tls"});
  ran_out(s, "finish tls tls_timeout abrupt");
  s.feeds_tls().expects({"restart", "judge"});
  ran_out(s, "finish tls auth_timeout abrupt");
  s.feeds_judgment(proven()).expects({"send"});
  ran_out(s, "finish stream stream_timeout connection-timeout");
  s.feeds_header().expects({}).feeds_features(external).expects({"verified"}).chooses().expects({"send"});
  ran_out(s, "finish authentication auth_timeout connection-timeout");
}

TEST(Initiator, NamesWhatTlsFoundWrongBehindTheHandshake) {  // TLS 1.3: the peer judges our certificate after it
  auto s = initiating_script{method::direct_tls};
  s.feeds_tls()
      .expects({"restart", "judge"})
      .feeds_judgment(proven())
      .expects({"send"})
      .feeds_event(event::gone{"certificate required"})
      .expects({"finish stream tls_alert abrupt"});
  s.run();
}

TEST(Initiator, HasAnAnswerForEveryEventInEveryState) {  // STYLE: state × event
  auto by_external = secured(proven(), method::starttls);
  by_external.authenticates(std::string{external} + dialback_errors, dialback_errors);
  auto by_dialback = secured(takes_dialback(), method::starttls);
  by_dialback.dials_back();
  auto two_ways = both_ways();
  const fakes::parsed message{"<message from='v@peer.example' to='u@example.org'/>", xml::ns_server};
  const fakes::parsed result{valid_result, xml::ns_server};
  const fakes::parsed done{success, xml::ns_server};
  const std::vector<std::function<initiator_event()>> events{
      [] { return initiator_event{fakes::server_header("peer.example", "example.org", "x")}; },
      [&] { return initiator_event{event::element{message.document.root()}}; },
      [&] { return initiator_event{event::element{result.document.root()}}; },
      [&] { return initiator_event{event::element{done.document.root()}}; },
      [] { return initiator_event{event::peer_closed{}}; },
      [] { return initiator_event{event::broken{}}; },
      [] { return initiator_event{event::tls_done{}}; },
      [] { return initiator_event{event::tls_failed{}}; },
      [] { return initiator_event{event::tls_refused{}}; },
      [] { return initiator_event{event::answered{peer_proof{peer_to_us, proven()}}}; },
      [] { return initiator_event{event::judged{proven()}}; },
      [] { return initiator_event{event::chosen{}}; },
      [] { return initiator_event{event::wants_flow{us_to_peer}}; },
      [] { return initiator_event{event::timed_out{}}; },
      [] { return initiator_event{event::dismissed{}}; },
      [] { return initiator_event{event::gone{}}; }};
  for (auto* whole : {&by_external, &by_dialback, &two_ways}) {
    for (std::size_t at = 0; at <= whole->size(); ++at) {
      for (std::size_t e = 0; e < events.size(); ++e) {
        SCOPED_TRACE("step " + std::to_string(at) + ", event " + std::to_string(e));
        auto machine = whole->run_until(at);
        const bool waits_for_header = [&] {
          auto probe = whole->run_until(at);
          return !probe.paused() && probe.on(fakes::server_header("peer.example", "example.org", "x")).empty();
        }();
        const auto actions = machine.on(events[e]());
        if (e != 0 || !waits_for_header) {
          EXPECT_FALSE(actions.empty());  // never silence, but for the header that is awaited: features come next
        }
        for (const auto& f : machine.authorised()) {
          EXPECT_EQ(f, us_to_peer);
        }
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
