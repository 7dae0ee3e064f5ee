// The negotiator as a dialogue, for the receiving side of client streams.
#include "connection/negotiation/negotiator.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/fakes/negotiation_script.hpp"

namespace comity::connection {
namespace {

using fakes::script;

constexpr auto starttls_element = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

script up_to_starttls() {
  script s;
  s.feeds_header()
      .expects({"send <?xml", "send <stream:features><starttls"})
      .feeds_element(starttls_element)
      .expects({"start_tls <proceed"});
  return s;
}

TEST(Negotiator, TakesAClientFromClearTextToABoundResource) {  // RFC 6120 §9.1; E01, E05, E07
  up_to_starttls().logs_in().binds().survives_failure_at_every_step().run();
}

TEST(Negotiator, TakesADirectTlsClientTheSameWayWithoutStarttls) {  // D04, XEP-0368 §4
  auto s = script{method::direct_tls};
  s.logs_in().binds().survives_failure_at_every_step();
  const auto machine = s.run();
  EXPECT_EQ(machine.facts().bound->text(), "alice@example.org/r");
}

TEST(Negotiator, OffersOnlyMandatoryStarttlsInClear) {  // E01, RFC 6120 §5.3.1, §5.4.1
  script s;
  s.feeds_header().expects({"send <?xml",
                            "send <stream:features><starttls "
                            "xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"});
  s.run();
}

TEST(Negotiator, GivesANewIdAndNoStarttlsAfterTls) {  // E05, RFC 6120 §5.4.3.3 (4)(5)
  auto s = up_to_starttls();
  s.feeds_tls()
      .expects({"restart"})
      .feeds_header()
      .expects({"send <?xml version='1.0'?><stream:stream xmlns='jabber:client' "
                "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en' id='id2'",
                "send <stream:features><mechanisms"});
  s.run();
}

TEST(Negotiator, AnswersAHeaderWithItsHostAndTheSendersAddress) {  // H02, RFC 6120 §4.7.1–4.7.4
  script s;
  s.feeds_header("example.net", "alice@example.net")
      .expects({"send <?xml version='1.0'?><stream:stream xmlns='jabber:client' "
                "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en' id='id1' "
                "from='example.net' to='alice@example.net'>",
                "send <stream:features>"});
  s.run();
}

TEST(Negotiator, OpensTheStreamBeforeAnErrorAndClosesItAfter) {  // H03, RFC 6120 §4.9.1
  script s;
  s.feeds([] { return negotiation_event{event::broken{}}; })
      .expects({"send <?xml", "send <stream:error><not-well-formed", "send </stream:stream>",
                "finish stream stream_error not-well-formed"});
  s.run();
}

struct bad_header {
  const char* name;
  void (*spoil)(xml::stream_header&);
  const char* condition;
};
class NegotiatorHeader : public testing::TestWithParam<bad_header> {};

TEST_P(NegotiatorHeader, IsRefusedInsideAnOpenedStream) {  // THREATS A9, RFC 6120 §4.7, §4.9.1.3
  auto event = fakes::header();
  GetParam().spoil(event.stream);
  script s;
  s.feeds([event] { return negotiation_event{event}; })
      .expects({"send <?xml", std::string{"send <stream:error><"} + GetParam().condition, "send </stream:stream>",
                "finish stream"});
  s.run();
}

INSTANTIATE_TEST_SUITE_P(
    A9, NegotiatorHeader,
    testing::Values(
        bad_header{"WrongStreamNamespace", [](xml::stream_header& h) { h.ns = "urn:x"; }, "invalid-namespace"},
        bad_header{"WrongContentNamespace", [](xml::stream_header& h) { h.content_ns = "jabber:server"; },
                   "invalid-namespace"},
        bad_header{"WrongName", [](xml::stream_header& h) { h.name = "strom"; }, "bad-format"},
        bad_header{"NoTo", [](xml::stream_header& h) { h.has_to = false; }, "improper-addressing"},
        bad_header{"ToWithLocalpart", [](xml::stream_header& h) { h.to = "a@example.org"; }, "improper-addressing"},
        bad_header{"ToWithResource", [](xml::stream_header& h) { h.to = "example.org/r"; }, "improper-addressing"},
        bad_header{"ToNoJid", [](xml::stream_header& h) { h.to = "a@@b"; }, "improper-addressing"},
        bad_header{"UnknownHost", [](xml::stream_header& h) { h.to = "example.com"; }, "host-unknown"},
        bad_header{"NoVersion", [](xml::stream_header& h) { h.has_version = false; },
                   "unsupported-version"},  // H08, RFC 6120 §4.7.5: no features for a stream of 0.9
        bad_header{"VersionZero", [](xml::stream_header& h) { h.version = "0.9"; }, "unsupported-version"},
        bad_header{"VersionNoNumber", [](xml::stream_header& h) { h.version = "one"; }, "unsupported-version"},
        bad_header{"FromNoJid",
                   [](xml::stream_header& h) {
                     h.has_from = true;
                     h.from = "@";
                   },
                   "invalid-from"}),
    [](const auto& info) { return info.param.name; });

TEST(Negotiator, AnswersAHigherVersionWithItsOwn) {  // RFC 6120 §4.7.5
  auto event = fakes::header();
  event.stream.version = "2.0";
  script s;
  s.feeds([event] { return negotiation_event{event}; }).expects({"send <?xml", "send <stream:features>"});
  s.run();
}

TEST(Negotiator, RefusesStarttlsOnAnEncryptedStream) {  // D04, E06, XEP-0368 §4; THREATS B9
  script s{method::direct_tls};
  s.feeds_tls()
      .expects({"restart"})
      .feeds_header()
      .expects({"send", "send"})
      .feeds_element(starttls_element)
      .expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "send </stream:stream>",
                "finish authentication policy"});
  s.run();
}

TEST(Negotiator, SaysFailureWhereNoTlsFollowsStarttls) {  // E06, RFC 6120 §5.4.2.2; THREATS B1
  auto s = up_to_starttls();
  s.feeds([] {
     return negotiation_event{event::tls_refused{}};
   }).expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", "send </stream:stream>", "finish tls"});
  s.run();
}

TEST(Negotiator, SaysNothingMoreOnceTlsItselfFailed) {  // E06, RFC 6120 §5.4.3.2
  auto s = up_to_starttls();
  s.feeds([] {
     return negotiation_event{event::tls_failed{cause::tls_alert, "bad certificate"}};
   }).expects({"finish tls tls_alert abrupt"});
  s.run();
}

TEST(Negotiator, RefusesAuthenticationInClear) {  // E07, THREATS B3, RFC 6120 §6.5.4
  script s;
  s.feeds_header()
      .expects({"send", "send"})
      .feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>")
      .expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><encryption-required/></failure>",
                "refused PLAIN encryption-required"})
      .feeds_element(starttls_element)
      .expects({"start_tls"});
  s.run();
}

TEST(Negotiator, KeepsTheHostAndUserOfTheAuthentication) {  // THREATS C5, RFC 6120 §6.4.6
  for (const auto& [to, from, condition] : {std::tuple{"example.net", "", "not-authorized"},
                                            std::tuple{"example.org", "bob@example.org", "invalid-from"}}) {
    script s{method::direct_tls};
    s.feeds_tls()
        .expects({"restart"})
        .feeds_header()
        .expects({"send", "send"})
        .feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>")
        .expects({"ask password"})
        .feeds_answer(password_answer{true})
        .expects({"send <success", "authenticated", "restart"})
        .feeds_header(to, from)
        .expects({"send <?xml", std::string{"send <stream:error><"} + condition, "send </stream:stream>",
                  "finish bind policy"});
    s.run();
  }
}

TEST(Negotiator, AnswersASessionForWhomItWasAskedOf) {  // RFC 3921 §3, RFC 6120 §8.1.2.1
  const std::string payload = "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>";
  script s{method::direct_tls};
  s.logs_in()
      .binds()
      .feeds_element("<iq type='set' id='1'>" + payload)
      .expects({"send <iq type='result' id='1'/>"})
      .feeds_element("<iq type='set' id='2' to='example.org'>" + payload)
      .expects({"send <iq type='result' id='2' from='example.org'/>"});
  s.run();
}

TEST(Negotiator, AMachinesNameIsNoOtherUser) {  // RFC 6120 §4.7.1, as sendxmpp says it
  script s{method::direct_tls};
  s.feeds_tls()
      .expects({"restart"})
      .feeds_header("example.org", "desk.example.net")
      .expects({"send", "send"})
      .feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>")
      .expects({"ask password"})
      .feeds_answer(password_answer{true})
      .expects({"send <success", "authenticated", "restart"})
      .feeds_header("example.org", "desk.example.net")
      .expects({"send <?xml", "send <stream:features><bind"});
  s.run();
}

TEST(Negotiator, EndsTheStreamAtTheSixthFailure) {  // THREATS C8, RFC 6120 §6.4.5
  script s{method::direct_tls};
  s.feeds_tls().expects({"restart"}).feeds_header().expects({"send", "send"});
  for (unsigned i = 1; i <= 6; ++i) {
    s.feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>")
        .expects({"ask password"})
        .feeds_answer(password_answer{false});
    if (i <= 5) {
      s.expects(
          {"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/></failure>", "refused PLAIN"});
    } else {
      s.expects({"send <failure", "send <stream:error><policy-violation", "send </stream:stream>",
                 "finish authentication auth_rejected policy-violation"});
    }
  }
  s.survives_failure_at_every_step().run();
}

TEST(Negotiator, LetsAClientTryItsMechanismsUntilTheLimitOfRefusals) {  // L-1, L, L+1
  script s{method::direct_tls};
  s.feeds_tls().expects({"restart"}).feeds_header().expects({"send", "send"});
  for (unsigned i = 1; i <= 13; ++i) {
    s.feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>");
    if (i <= 12) {
      s.expects({"send <failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><invalid-mechanism/></failure>", "refused"});
    } else {
      s.expects({"send <failure", "send <stream:error><policy-violation", "send", "finish authentication"});
    }
  }
  s.run();
}

TEST(Negotiator, TellsARefusedPeerThatLeavesFromOneThatJustLeaves) {
  script s{method::direct_tls};
  s.feeds_tls()
      .expects({"restart"})
      .feeds_header()
      .expects({"send", "send"})
      .feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>")
      .expects({"ask password"})
      .feeds_answer(password_answer{false})
      .expects({"send", "refused"})
      .feeds([] { return negotiation_event{event::gone{}}; })
      .expects({"finish authentication auth_rejected abrupt"});
  s.run();
}

TEST(Negotiator, SaysWhatBrokeTlsLaterOn) {  // THREATS B4
  script s{method::direct_tls};
  s.logs_in()
      .feeds([] { return negotiation_event{event::gone{"too many key updates"}}; })
      .expects({"finish bind tls_alert abrupt"});
  s.run();
}

class NegotiatorEarly : public testing::TestWithParam<const char*> {};
TEST_P(NegotiatorEarly, NothingButNegotiationIsTaken) {  // THREATS C7, RFC 6120 §4.9.3.12
  for (const bool authenticated : {false, true}) {
    script s{method::direct_tls};
    if (authenticated) {
      s.logs_in();
    } else {
      s.feeds_tls().expects({"restart"}).feeds_header().expects({"send", "send"});
    }
    s.feeds_element(GetParam()).expects({"send <stream:error><not-authorized", "send </stream:stream>", "finish"});
    s.run();
  }
}
INSTANTIATE_TEST_SUITE_P(C7, NegotiatorEarly,
                         testing::Values("<message to='bob@example.org'><body>x</body></message>", "<presence/>",
                                         "<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>"));

TEST(Negotiator, FailsStreamManagementBeforeItsTimeAndGoesOn) {  // XEP-0198 §3; THREATS C7, F1
  for (const auto* early : {"<enable xmlns='urn:xmpp:sm:3'/>", "<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>"}) {
    script s{method::direct_tls};
    s.feeds_tls().expects({"restart"}).feeds_header().expects({"send", "send"});
    s.feeds_element(early).expects({"send <failed xmlns='urn:xmpp:sm:3'><unexpected-request"});
    s.feeds_element(early).expects({"send <failed xmlns='urn:xmpp:sm:3'><unexpected-request"});
    s.run();
  }
}

TEST(Negotiator, RefusesASecondBindAndGoesOn) {  // THREATS C7
  auto s = script{method::direct_tls};
  s.logs_in().binds();
  s.feeds_element("<iq type='set' id='2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
      .expects({"send <iq type='error' id='2'><error type='cancel'><not-allowed"});
  EXPECT_FALSE(s.run().ended());
}

TEST(Negotiator, AnswersWhatItDoesNotKnowAfterBinding) {  // THREATS A8
  for (const auto& [element, condition] :
       {std::pair{"<foo xmlns='jabber:client'/>", "unsupported-stanza-type"},
        std::pair{"<message xmlns='foo:bar'/>", "unsupported-stanza-type"},
        std::pair{"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>", "bad-format"}}) {
    auto s = script{method::direct_tls};
    s.logs_in().binds();
    s.feeds_element(element).expects(
        {std::string{"send <stream:error><"} + condition, "send </stream:stream>", "finish bind stream_error"});
    s.run();
  }
}

TEST(Negotiator, NeverOffersCompressionAndRefusesItWithoutClosing) {  // THREATS A16
  for (const bool bound : {false, true}) {
    auto s = script{method::direct_tls};
    if (bound) {
      s.logs_in().binds();
    } else {
      s.feeds_tls().expects({"restart"}).feeds_header().expects({"send", "send"});
    }
    s.feeds_element("<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>")
        .expects({"send <failure xmlns='http://jabber.org/protocol/compress'><unsupported-method/></failure>"});
    EXPECT_FALSE(s.run().ended());
  }
}

TEST(Negotiator, TellsClientsWhatItTakes) {  // L03, XEP-0478 §4.1: under TLS, before and after authentication
  script s{method::direct_tls};
  s.tells({.max_bytes = 10000, .idle_seconds = {}}, {.max_bytes = 262144, .idle_seconds = 300});
  s.feeds_tls().expects({"restart"});
  const auto limits_told = [](negotiator machine) {
    const auto features = fakes::describe(machine.on(fakes::header()).back());
    return features.substr(std::min(features.find("<limits"), features.size()));
  };
  EXPECT_EQ(limits_told(s.run()),
            "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits></stream:features>");
  script later{method::direct_tls};
  later.tells({.max_bytes = 10000, .idle_seconds = {}}, {.max_bytes = 262144, .idle_seconds = 300}).logs_in();
  EXPECT_EQ(limits_told(later.run_until(later.size() - 1)),
            "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>300</idle-seconds>"
            "</limits></stream:features>");
  EXPECT_EQ(limits_told(script{}.tells({.max_bytes = 1, .idle_seconds = {}}, {}).run()), "");  // E01: not in clear
}

// --- WebSocket -------------------------------------------------------------------------------------------------------

event::header framed_header(std::string to = "example.org", std::string ns = std::string{ns_framing},
                            std::string name = "open") {
  auto h = fakes::header(std::move(to));
  h.stream.name = std::move(name);
  h.stream.content_ns = ns;
  h.stream.ns = std::move(ns);
  return h;
}

TEST(Negotiator, TakesAWebSocketClientTheSameWay) {  // RFC 7395 §3.3–§3.7, §3.9
  const std::string open = "send <open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' xml:lang='en' id='id";
  const std::string features = "send <stream:features xmlns:stream='http://etherx.jabber.org/streams'>";
  script s{method::websocket};
  s.feeds_tls()
      .expects({"restart"})
      .feeds_event(framed_header())
      .expects({open, features + "<mechanisms"})  // no STARTTLS
      .feeds_element("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAHNlY3JldA==</auth>")
      .expects({"ask password"})
      .feeds_answer(password_answer{true})
      .expects({"send <success xmlns=", "authenticated alice@example.org", "restart"})
      .feeds_event(framed_header())
      .expects({open, features + "<bind"})
      .feeds_element("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
      .expects({"ask bind"})
      .feeds_answer(bind_answer{*jid::parse("alice@example.org/r")})
      .expects({"send <iq xmlns='jabber:client' type='result' id='b'", "established alice@example.org/r"})
      .survives_failure_at_every_step();
  // What is still asked of features later on stands alone, too.
  s.feeds_element("<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>")
      .expects({"send <iq xmlns='jabber:client' type='result' id='1'/>"})
      .feeds_element("<iq type='set' id='c'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
      .expects({"send <iq xmlns='jabber:client' type='error' id='c'"})
      .feeds_event(event::peer_closed{})
      .expects({"send <close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "finish bind peer_closed"});
  s.run();
}

TEST(Negotiator, RefusesAFramedHeaderInsideAStreamAndClosesIt) {  // RFC 7395 §3.3.2, §3.5; H03, THREATS A9
  for (const auto& [header, condition] : {
           std::pair{framed_header("nobody.example"), "host-unknown"},
           std::pair{framed_header("a@example.org"), "improper-addressing"},
           std::pair{framed_header("example.org", "jabber:client"), "invalid-namespace"},
           std::pair{framed_header("example.org", std::string{xml::ns_streams}, "stream"), "invalid-namespace"},
           std::pair{framed_header("example.org", std::string{ns_framing}, "stream"), "bad-format"},
       }) {
    script s{method::websocket};
    s.feeds_tls()
        .expects({"restart"})
        .feeds_event(header)
        .expects({"send <open ",
                  std::string{"send <stream:error xmlns:stream='http://etherx.jabber.org/streams'><"} + condition,
                  "send <close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>", "finish"});
    s.run();
  }
  script tcp{method::direct_tls};  // nor is <open/> a header over TCP
  tcp.feeds_tls()
      .expects({"restart"})
      .feeds_event(framed_header())
      .expects({"send <?xml", "send <stream:error><invalid-namespace", "send </stream:stream>", "finish"});
  tcp.run();
}

TEST(Negotiator, NamesTheErrorThatThePeerSent) {
  auto s = script{method::direct_tls};
  s.logs_in().binds();
  s.feeds_element(
       "<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
       "<reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>")
      .expects({"send </stream:stream>", "finish bind stream_error"});
  s.run();
}

TEST(Negotiator, HasAnAnswerForEveryEventInEveryState) {  // STYLE: state × event
  auto whole = up_to_starttls();
  whole.logs_in().binds();
  for (std::size_t at = 0; at <= whole.size(); ++at) {
    for (int e = 0; e < 11; ++e) {
      SCOPED_TRACE("step " + std::to_string(at) + ", event " + std::to_string(e));
      auto machine = whole.run_until(at);
      const fakes::parsed message{"<message/>"};
      const std::vector<std::function<negotiation_event()>> events{
          [] { return negotiation_event{fakes::header()}; },
          [&] { return negotiation_event{event::element{message.document.root()}}; },
          [] { return negotiation_event{event::peer_closed{}}; },
          [] { return negotiation_event{event::broken{}}; },
          [] { return negotiation_event{event::tls_done{}}; },
          [] { return negotiation_event{event::tls_failed{}}; },
          [] { return negotiation_event{event::tls_refused{}}; },
          [] { return negotiation_event{event::answered{bind_answer{jid{}}}}; },
          [] { return negotiation_event{event::timed_out{}}; },
          [] { return negotiation_event{event::dismissed{}}; },
          [] { return negotiation_event{event::gone{}}; }};
      const auto actions = machine.on(events[static_cast<std::size_t>(e)]());
      EXPECT_FALSE(actions.empty());  // never silence
    }
  }
}

}  // namespace
}  // namespace comity::connection
