// A client's way in on a socket, by STARTTLS and direct TLS: what the driver adds to the pure negotiation.
#include "connection/client_stream.hpp"

namespace comity::connection {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// --- the way in ------------------------------------------------------------------------------------------------------

class ClientStreamBy : public ClientStream, public ::testing::WithParamInterface<method> {};
INSTANTIATE_TEST_SUITE_P(Methods, ClientStreamBy, ::testing::Values(method::starttls, method::direct_tls),
                         [](const auto& of) { return std::string{to_string(of.param)}; });

TEST_P(ClientStreamBy, BringsStanzasBothWaysAndClosesInOrder) {  // F09, RFC 6120 §4.4; THREATS F7
  auto p = logged_in(GetParam());
  p->say("<message from='v@b.example/fake' to='u@b.example' id='1'><body>hello</body></message><presence/>");
  while (received().size() < 2) {
    on_loop([] {});
  }
  EXPECT_THAT(received(),
              ElementsAre(AllOf(HasSubstr("from='u@a.example/x'"), HasSubstr("hello"), Not(HasSubstr("fake"))),
                          HasSubstr("<presence")));
  on_loop([&] {
    stanza_builder b{stanza_kind::message, stanza_type::chat, *jid::parse("v@b.example/y"),
                     *jid::parse("u@a.example/x"), "2"};
    b.writer().leaf("body", {}, "answer");
    all_.find(host_.last.id)->send(b.finish());
  });
  EXPECT_THAT(p->hear("</message>"), HasSubstr("answer"));

  const auto i = row();
  EXPECT_EQ("u@a.example/x", i.peer);
  EXPECT_EQ("a.example", i.domain);
  EXPECT_EQ(GetParam(), i.route.method);
  EXPECT_EQ(GetParam() == method::direct_tls ? "xmpp-client" : "", i.alpn);
  EXPECT_EQ("TLSv1.3", i.tls_version);
  EXPECT_EQ("PLAIN", i.authentication);
  EXPECT_TRUE(i.established);
  EXPECT_GT(i.bytes_received, 0U);
  EXPECT_GT(i.bytes_sent, 0U);
  EXPECT_EQ(0U, i.queue_bytes);

  p->say("</stream:stream>");
  EXPECT_EQ("</stream:stream>", p->hear_out());
  EXPECT_TRUE(p->told_the_end_of_tls());
  EXPECT_TRUE(p->transport_ended());
  on_loop([&] { EXPECT_EQ(1U, all_.size()); });  // F09: the peer's own close_notify is awaited
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(unbound(), ElementsAre("u@a.example/x"));
  const auto method_label = "method=\"" + std::string{to_string(GetParam())} + "\"";
  EXPECT_EQ(1, sample("comity_connection_attempts_total", {method_label}));
  EXPECT_EQ(1, sample("comity_connections_established_total", {method_label}));
  EXPECT_EQ(1, sample("comity_connection_closes_total", {method_label, "cause=\"peer_closed\""}));
  EXPECT_EQ(0, sample("comity_connections", {method_label}));
  EXPECT_EQ(1, sample("comity_tls_handshakes_total", {method_label, "version=\"1.3\""}));
}

TEST_P(ClientStreamBy, TakesWhatIsSaidAtOnceAndMoreThanABuffer) {
  auto p = logged_in(GetParam());
  std::string many;
  for (int i = 0; i < 3000; ++i) {
    many += hello;
  }
  std::thread saying{[&] { p->say(many); }};
  std::size_t count = 0;
  while (count < 3000) {
    on_loop([&] { count = received().size(); });
  }
  saying.join();
  EXPECT_EQ(3000U, count);
}

TEST_P(ClientStreamBy, ALogInMaySpeakAheadOfItsAnswers) {
  auto p = connect(GetParam());
  if (GetParam() == method::starttls) {
    secure(*p);
  } else {
    ASSERT_TRUE(p->start_tls("a.example"));
    open(*p);
  }
  on_loop([&] { host_.holding = true; });
  p->say(plain("u", "pencil") + header() + std::string{bind} + std::string{hello});
  release_held();
  EXPECT_THAT(received(), IsEmpty());
  release_held();
  EXPECT_THAT(p->hear("</iq>"), HasSubstr("u@a.example/x"));
  while (received().empty()) {
    on_loop([] {});
  }
  EXPECT_THAT(received(), SizeIs(1));
}

// --- STARTTLS --------------------------------------------------------------------------------------------------------

TEST_F(ClientStream, OffersMandatoryStarttlsAloneAndNotAgain) {  // E01, E05, E07
  auto p = connect(method::starttls);
  p->say(header());
  const auto first = p->hear(features_end);
  EXPECT_THAT(first, HasSubstr("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"));
  EXPECT_THAT(first, Not(HasSubstr("mechanism")));
  p->say(starttls);
  p->hear(proceed);
  ASSERT_TRUE(p->start_tls());
  p->say(header());
  const auto second = p->hear(features_end);
  EXPECT_THAT(second, AllOf(HasSubstr("<mechanism>PLAIN</mechanism>"), Not(HasSubstr("starttls"))));
  const auto id = [](const std::string& text) {
    const auto at = text.find(" id='") + 5;
    return text.substr(at, text.find('\'', at) - at);
  };
  EXPECT_GE(id(first).size(), 20U);
  EXPECT_NE(id(first), id(second));
}

TEST_F(ClientStream, NeverProcessesWhatFollowsStarttlsInClear) {  // E03, E06, RFC 6120 §5.4.3.3 (2); THREATS B1
  for (const std::string& injected : {plain("u", "pencil"), std::string{hello}, header(), std::string{"x"},
                                      std::string{"   <"}, std::string{"</stream:stream>"}, std::string{starttls},
                                      "\r\n" + plain("u", "pencil"), std::string(100'000, 'x')}) {
    auto p = connect(method::starttls);
    open(*p);
    p->say(std::string{starttls} + injected);
    EXPECT_EQ("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>", p->hear_out()) << injected;
    p->hang_up();
    EXPECT_TRUE(all_gone());
  }
  EXPECT_THAT(received(), IsEmpty());
  EXPECT_THAT(log_.lines(), Not(::testing::Contains(HasSubstr("auth."))));
}

TEST_F(ClientStream, NeverProcessesWhatComesInClearAfterProceed) {  // E03, E06, RFC 6120 §5.4.3.2; THREATS B1
  for (const std::string& injected : {plain("u", "pencil"), std::string{"\n\n\n"}, std::string{"<x/>"}}) {
    auto p = connect(method::starttls);
    open(*p);
    p->say(starttls);
    EXPECT_EQ(proceed, p->hear(proceed));
    p->say(injected);
    EXPECT_EQ("", p->hear_out()) << injected;  // not even </stream:stream>
    p->hang_up();
    EXPECT_TRUE(all_gone());
  }
  EXPECT_EQ(3, sample("comity_connection_failures_total", {"phase=\"tls\"", "cause=\"tls_alert\""}));
}

TEST_F(ClientStream, SkipsTheLineEndThatClientsSendBeforeTls) {  // E02; THREATS B1
  for (const auto* space : {"\n", "\r\n"}) {
    auto p = connect(method::starttls);
    open(*p);
    p->say(std::string{starttls} + space);
    EXPECT_EQ(proceed, p->hear(proceed));
    EXPECT_TRUE(p->start_tls());
    open(*p);
  }
}

TEST_F(ClientStream, GoesAwayWithoutAWordWhereTlsFails) {  // E06, RFC 6120 §5.4.3.2
  auto p = connect(method::starttls);
  open(*p);
  p->say(starttls);
  p->hear(proceed);
  p->say(std::string{"\x16\x03\x01\x00\x05hello", 10});
  const auto rest = p->hear_out();
  EXPECT_THAT(rest, Not(HasSubstr("stream")));  // a TLS alert perhaps
  p->hang_up();
  EXPECT_TRUE(all_gone());
}

TEST_F(ClientStream, TheHeaderChoosesTheCertificateWhereThereIsNoName) {  // E09, RFC 6120 §5.4.3.1 (4)
  for (const std::string domain : {"a.example", "b.example"}) {
    auto p = connect(method::starttls);
    open(*p, domain);
    p->say(starttls);
    p->hear(proceed);
    ASSERT_TRUE(p->start_tls());
    EXPECT_THAT(p->tls().chain(), ElementsAre(domain));
  }
}

// --- direct TLS ------------------------------------------------------------------------------------------------------

TEST_F(ClientStream, DirectTlsTakesItsOneProtocolOrNone) {  // D06, D08, RFC 7301 §3.2
  EXPECT_TRUE(connect(method::direct_tls)->start_tls("a.example", "xmpp-client"));
  EXPECT_TRUE(connect(method::direct_tls)->start_tls("a.example"));
  auto p = connect(method::direct_tls);
  EXPECT_FALSE(p->start_tls("a.example", "xmpp-server"));
  EXPECT_EQ(SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, p->tls().error());
  p->hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(1, sample("comity_alpn_total", {"offered=\"xmpp_client\"", "routed=\"c2s\""}));
  EXPECT_EQ(1, sample("comity_alpn_total", {"offered=\"none\"", "routed=\"c2s\""}));
  EXPECT_EQ(1, sample("comity_alpn_total", {"offered=\"xmpp_server\"", "routed=\"refused\""}));
  EXPECT_EQ(1, sample("comity_connection_failures_total", {"phase=\"tls\"", "cause=\"alpn_mismatch\""}));
}

TEST_F(ClientStream, TheProtocolThatWasSelectedIsDefinitive) {  // D07, RFC 7301 §3.2
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls("a.example", "xmpp-client"));
  p->say(
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "
      "to='a.example' from='c.example'>");
  EXPECT_THAT(p->hear_out(), AllOf(HasSubstr("<invalid-namespace "), EndsWith("</stream:stream>")));
}

TEST_F(ClientStream, DirectTlsRefusesANameThatIsNotItsOwn) {  // D10, RFC 9325 §3.7
  auto p = connect(method::direct_tls);
  EXPECT_FALSE(p->start_tls("c.example", "xmpp-client"));
  EXPECT_EQ(SSL_R_TLSV1_UNRECOGNIZED_NAME, p->tls().error());
}

TEST_F(ClientStream, WithoutANameTheHeaderStillDecidesTheDomain) {  // D11
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls());
  EXPECT_THAT(p->tls().chain(), ElementsAre("a.example"));
  open(*p, "b.example");
  EXPECT_EQ("b.example", row().domain);
}

TEST_F(ClientStream, AHandshakeComesBehindTheTurnOfOthers) {
  auto p = connect(method::direct_tls);
  const auto id = row().ref.id;
  on_loop([&] {
    p->say("no TLS at all, which a handshake ends with at once");
    all_.readable(id);
    EXPECT_NE(nullptr, all_.find(id));
  });
  EXPECT_TRUE(all_gone());
}

TEST_F(ClientStream, WhatAStrangerSaysComesBehindTheTurnOfOthers) {  // THREATS G1
  auto p = connect(method::starttls);
  const auto id = row().ref.id;
  const auto taken_at_once = [&](std::string_view said) {
    std::uint64_t bytes = 0;
    on_loop([&] {
      const auto before = all_.find(id)->info().bytes_received;
      p->say(said);
      all_.readable(id);
      bytes = all_.find(id)->info().bytes_received - before;
    });
    return bytes;
  };
  EXPECT_EQ(0U, taken_at_once(header()));
  EXPECT_THAT(p->hear(features_end), HasSubstr("starttls"));
  p->say(starttls);
  EXPECT_THAT(p->hear(proceed), EndsWith(proceed));
  ASSERT_TRUE(p->start_tls());
  open(*p);
  authenticate(*p);
  EXPECT_EQ(0U, taken_at_once(bind));
  EXPECT_THAT(p->hear("</iq>"), HasSubstr("<jid>"));
  EXPECT_EQ(hello.size(), taken_at_once(hello));
}

TEST_F(ClientStream, NoStarttlsOnDirectTls) {  // D04, XEP-0368 §4
  auto p = connect(method::direct_tls);
  ASSERT_TRUE(p->start_tls("a.example"));
  p->say(header());
  EXPECT_THAT(p->hear(features_end), Not(HasSubstr("starttls")));
  p->say(starttls);
  EXPECT_THAT(p->hear_out(), AllOf(HasSubstr("<failure "), Not(HasSubstr("<proceed"))));
}

}  // namespace
}  // namespace comity::connection
