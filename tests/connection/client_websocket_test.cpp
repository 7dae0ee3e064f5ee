// A client's way over WebSocket: the same stream as over TCP, in messages.
#include <atomic>

#include "connection/client_stream.hpp"
#include "fakes/websocket_peer.hpp"

namespace comity::connection {
namespace {

using fakes::client_frame;
using fakes::control;
using fakes::websocket_peer;
namespace ws = fakes::ws;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr std::string_view close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
constexpr std::string_view hi = "<message xmlns='jabber:client' to='u@b.example' id='1'><body>hello</body></message>";
constexpr std::string_view bind_alone =
    "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
    "<resource>x</resource></bind></iq>";

std::string framed_open(std::string_view to = "a.example", std::string_view more = {}) {
  return "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0' to='" + std::string{to} + "' " +
         std::string{more} + "/>";
}

struct way_in {
  bool tls = true;
  bool decrypted_by_proxy = false;
  std::string unread = {};
};

class ClientWebsocket : public ClientStream {
protected:
  /// As HTTP hands it over: behind TLS and the opening handshake.
  std::unique_ptr<websocket_peer> connect_websocket(way_in h = {}) {
    std::array<int, 2> ends{};
    EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()));
    auto peer = std::make_unique<xmpp_peer>(ends[1]);
    std::optional<tls::stream> secured;
    if (h.tls) {
      secured.emplace(ends[0]);
      static constexpr std::array<std::string_view, 1> http{"http/1.1"};
      secured->accept(context_, http, "a.example");
      std::thread accepting{[&] {  // the socket blocks still
        while (secured->handshake().status == tls::io_status::want_read) {
        }
      }};
      EXPECT_TRUE(peer->start_tls("a.example", "http/1.1"));
      accepting.join();
    }
    ::fcntl(ends[0], F_SETFL, ::fcntl(ends[0], F_GETFL) | O_NONBLOCK);
    on_loop([&] {
      serve_client({.loop = all_, .host = host_, .tls = context_, .log = log_},
                   std::make_shared<c2s_settings>(settings_),
                   {.descriptor = ends[0],
                    .address = "192.0.2.1:5",
                    .method = method::websocket,
                    .permit = *limits_.admit(1),
                    .tls = std::move(secured),
                    .unread = std::move(h.unread),
                    .decrypted_by_proxy = h.decrypted_by_proxy});
    });
    return std::make_unique<websocket_peer>(std::move(peer));
  }

  static std::string features(websocket_peer& p, std::string_view to = "a.example") {
    p.say(framed_open(to));
    EXPECT_THAT(p.hear(), AllOf(StartsWith("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' "), EndsWith("'/>")));
    return p.hear();
  }
  static void authenticate(websocket_peer& p) {
    p.say(plain("u", "pencil"));
    EXPECT_EQ("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", p.hear());
    EXPECT_THAT(features(p), HasSubstr("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"));
  }
  static void bind_resource(websocket_peer& p) {
    p.say(bind_alone);
    EXPECT_EQ(
        "<iq xmlns='jabber:client' type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
        "<jid>u@a.example/x</jid></bind></iq>",
        p.hear());
  }
  std::unique_ptr<websocket_peer> logged_in_websocket(way_in h = {}) {
    auto p = connect_websocket(std::move(h));
    features(*p);
    authenticate(*p);
    bind_resource(*p);
    return p;
  }
  void send_to_it(std::string_view body, int times = 1) {
    stanza_builder b{stanza_kind::message, stanza_type::chat, *jid::parse("v@b.example/y"),
                     *jid::parse("u@a.example/x"), "2"};
    b.writer().leaf("body", {}, body);
    const auto s = b.finish();
    on_loop([&] {
      for (int i = 0; i < times; ++i) {
        all_.find(all_.list().front().ref.id)->send(s);
      }
    });
  }
  void wait_for_received(std::size_t count) {
    while (received().size() < count) {
      on_loop([] {});
    }
  }
  [[nodiscard]] double failed(std::string_view labels) {
    return sample("comity_connection_failures_total", {"method=\"websocket\"", std::string{labels}});
  }
};

// --- the way in ------------------------------------------------------------------------------------------------------

TEST_F(ClientWebsocket, BringsStanzasBothWaysAndClosesInOrder) {  // RFC 7395 §3.3–§3.7; F09; THREATS F7
  auto p = logged_in_websocket();
  p->say("<message xmlns='jabber:client' from='v@b.example/fake' to='u@b.example' id='1'><body>hello</body></message>");
  p->say("<presence xmlns='jabber:client'/>");
  wait_for_received(2);
  EXPECT_THAT(received(),
              ElementsAre(AllOf(HasSubstr("from='u@a.example/x'"), HasSubstr("hello"), Not(HasSubstr("fake"))),
                          HasSubstr("<presence")));
  send_to_it("answer");
  EXPECT_EQ(
      "<message xmlns='jabber:client' to='u@a.example/x' from='v@b.example/y' id='2' type='chat'><body>answer</body>"
      "</message>",
      p->hear());

  const auto i = row();
  EXPECT_EQ("u@a.example/x", i.peer);
  EXPECT_EQ(method::websocket, i.route.method);
  EXPECT_EQ("http/1.1", i.alpn);
  EXPECT_EQ("TLSv1.3", i.tls_version);
  EXPECT_EQ("PLAIN", i.authentication);
  EXPECT_TRUE(i.established);
  EXPECT_EQ(0U, i.queue_bytes);

  p->say(close);
  EXPECT_EQ(close, p->hear());
  const auto end = p->hear_frame();
  EXPECT_EQ(ws::close, end.opcode);
  EXPECT_EQ(1000U, end.code());
  on_loop([&] { EXPECT_EQ(1U, all_.size()); });  // RFC 6455 §7.1.1: the peer's Close is awaited
  EXPECT_FALSE(p->under().told_the_end_of_tls());
  p->say_close();
  EXPECT_EQ("", p->under().hear_out());
  EXPECT_TRUE(p->under().told_the_end_of_tls());
  EXPECT_TRUE(p->under().transport_ended());
  p->under().hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_THAT(unbound(), ElementsAre("u@a.example/x"));
  const std::string of_websocket = "method=\"websocket\"";
  EXPECT_EQ(1, sample("comity_connection_attempts_total", {of_websocket}));
  EXPECT_EQ(1, sample("comity_connections_established_total", {of_websocket}));
  EXPECT_EQ(1, sample("comity_connection_closes_total", {of_websocket, "cause=\"peer_closed\""}));
  EXPECT_EQ(1, sample("comity_tls_handshakes_total", {of_websocket, "version=\"1.3\""}));
  EXPECT_EQ(2, sample("comity_stanzas_received_total", {of_websocket}));
  EXPECT_EQ(1, sample("comity_stanzas_sent_total", {of_websocket}));
  EXPECT_EQ(0, sample("comity_connections", {of_websocket}));
}

TEST_F(ClientWebsocket, OffersWhatDirectTlsDoes) {  // RFC 7395 §3.9: no STARTTLS; D04; L04, RFC 9266
  auto p = connect_websocket();
  p->say(framed_open("b.example", "from='u@b.example'"));
  EXPECT_THAT(p->hear(), AllOf(HasSubstr(" from='b.example'"), HasSubstr(" to='u@b.example'"), HasSubstr(" id='"),
                               HasSubstr(" version='1.0'"), HasSubstr(" xml:lang='en'")));  // H02
  EXPECT_THAT(p->hear(), AllOf(StartsWith("<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"),
                               Not(HasSubstr("starttls")), HasSubstr("<mechanism>SCRAM-SHA-256-PLUS</mechanism>"),
                               HasSubstr("<mechanism>PLAIN</mechanism>"), HasSubstr("type='tls-exporter'")));
  p->say(starttls);
  EXPECT_THAT(p->hear_out(), ElementsAre("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", close, "1000"));
}

TEST_F(ClientWebsocket, BelievesAProxyThatDecrypts) {
  auto p = connect_websocket({.tls = false, .decrypted_by_proxy = true});
  const auto offered = features(*p);
  EXPECT_THAT(offered,
              AllOf(HasSubstr("<mechanism>PLAIN</mechanism>"), HasSubstr("<mechanism>SCRAM-SHA-256</mechanism>"),
                    Not(HasSubstr("-PLUS")), Not(HasSubstr("channel-binding")), Not(HasSubstr("starttls"))));
  authenticate(*p);
  bind_resource(*p);
  p->say(hi);
  wait_for_received(1);
  EXPECT_EQ("", row().tls_version);
  p->say(close);
  EXPECT_THAT(p->hear_out(), ElementsAre(close, "1000"));
  p->say_close();
  EXPECT_EQ("", p->under().hear_out());
  p->under().hang_up();
  EXPECT_TRUE(all_gone());
}

TEST_F(ClientWebsocket, EvaluatesNothingInClear) {  // THREATS B3
  auto p = connect_websocket({.tls = false});
  p->say(framed_open());
  p->say(plain("u", "pencil"));
  EXPECT_EQ("", p->under().hear_out());
  p->under().hang_up();
  EXPECT_TRUE(all_gone());
  EXPECT_EQ(1, failed("cause=\"policy\""));
  EXPECT_THAT(log_.lines(), Not(::testing::Contains(HasSubstr("auth."))));
}

TEST_F(ClientWebsocket, BeginsWithWhatWasReadBehindTheHandshake) {
  for (const bool tls : {true, false}) {
    const auto both = client_frame(framed_open()) + client_frame(plain("u", "pencil"));
    for (const std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{20}, both.size() - 1, both.size()}) {
      auto p = connect_websocket({.tls = tls, .decrypted_by_proxy = !tls, .unread = both.substr(0, cut)});
      p->under().say(both.substr(cut));
      EXPECT_THAT(p->hear(), StartsWith("<open "));
      EXPECT_THAT(p->hear(), StartsWith("<stream:features "));
      EXPECT_THAT(p->hear(), StartsWith("<success "));
    }
  }
}

TEST_F(ClientWebsocket, ALogInMaySpeakAheadOfItsAnswers) {
  auto p = connect_websocket();
  features(*p);
  on_loop([&] { host_.holding = true; });
  p->under().say(client_frame(plain("u", "pencil")) + client_frame(framed_open()) + client_frame(bind_alone) +
                 client_frame(hi));
  release_held();
  EXPECT_THAT(received(), IsEmpty());
  release_held();
  wait_for_received(1);
  EXPECT_THAT(received(), SizeIs(1));
}

TEST_F(ClientWebsocket, TakesWhatIsSaidAtOnceAndMoreThanABuffer) {
  auto p = logged_in_websocket();
  std::string many;
  for (int i = 0; i < 3000; ++i) {
    many += client_frame(hi.substr(0, 20), {.fin = false}) + client_frame(hi.substr(20), {.opcode = ws::continuation});
  }
  std::thread saying{[&] { p->under().say(many); }};
  wait_for_received(3000);
  saying.join();
  EXPECT_THAT(received(), SizeIs(3000));
}

TEST_F(ClientWebsocket, AnswersPingsOnceThereIsRoom) {  // RFC 6455 §5.5.2, §5.5.3
  auto p = logged_in_websocket();
  p->under().say(control(ws::ping, "are you there?"));
  const auto pong = p->hear_frame();
  EXPECT_EQ(ws::pong, pong.opcode);
  EXPECT_EQ("are you there?", pong.payload);
  // A hundred thousand in a row cost 125 bytes, whoever does not read.
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += control(ws::ping, std::string(125, 'x'));
  }
  std::thread saying{[&] {
    for (int i = 0; i < 100; ++i) {
      p->under().say(many);
    }
    p->say(hi);
  }};
  std::size_t most = 0;
  while (received().empty()) {
    most = std::max<std::size_t>(most, row().queue_bytes);
  }
  saying.join();
  EXPECT_LE(most, 127U);
}

// --- headers and errors ----------------------------------------------------------------------------------------------

struct refusal {
  std::string first;
  std::string condition;
};

TEST_F(ClientWebsocket, AnswersAHeaderItCannotTakeInsideAStream) {  // RFC 7395 §3.3.2, §3.5; H03, H08; THREATS A8, A9
  for (const auto& [first, condition] : {
           refusal{"<open xmlns='u' to='a.example' version='1.0'/>", "invalid-namespace"},
           refusal{"<open to='a.example' version='1.0'/>", "invalid-namespace"},
           refusal{std::string{hi}, "invalid-namespace"},
           refusal{plain("u", "pencil"), "invalid-namespace"},
           refusal{"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
                   "to='a.example' version='1.0'/>",
                   "invalid-namespace"},
           refusal{"<stream xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example' version='1.0'/>", "bad-format"},
           refusal{"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example'/>", "unsupported-version"},
           refusal{"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' version='1.0'/>", "improper-addressing"},
           refusal{framed_open("u@a.example"), "improper-addressing"},
           refusal{framed_open("nobody.example"), "host-unknown"},
           refusal{framed_open("a.example", "from='@'"), "invalid-from"},
           refusal{header(), "not-well-formed"},
           refusal{"hello", "bad-format"},
           refusal{" ", "bad-format"},
       }) {
    auto p = connect_websocket();
    p->say(first);
    EXPECT_THAT(p->hear(), StartsWith("<open ")) << first;
    EXPECT_EQ("<stream:error xmlns:stream='http://etherx.jabber.org/streams'><" + condition +
                  " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
              p->hear())
        << first;
    EXPECT_EQ(close, p->hear());
    EXPECT_EQ(1000U, p->hear_frame().code());
  }
  EXPECT_THAT(log_.lines(), Not(::testing::Contains(HasSubstr("auth."))));
}

TEST_F(ClientWebsocket, AClientThatClosesBeforeItOpensIsJustClosed) {
  auto p = connect_websocket();
  p->say(close);
  EXPECT_THAT(p->hear_out(), ElementsAre("1000"));
}

TEST_F(ClientWebsocket, RestartsByAnotherOpen) {  // RFC 7395 §3.7; H02, THREATS C5
  auto p = connect_websocket();
  features(*p);
  p->say(plain("u", "pencil"));
  EXPECT_THAT(p->hear(), StartsWith("<success "));
  p->say(bind_alone);  // where <open/> must come
  EXPECT_THAT(p->hear_out(), ElementsAre(StartsWith("<open "), HasSubstr("<invalid-namespace "), close, "1000"));
  // Not without need, nor to somebody else.
  p = connect_websocket();
  features(*p);
  p->say(framed_open());
  EXPECT_THAT(p->hear_out(), ElementsAre(HasSubstr("<bad-format "), close, "1000"));
  p = connect_websocket();
  features(*p);
  p->say(plain("u", "pencil"));
  EXPECT_THAT(p->hear(), StartsWith("<success "));
  p->say(framed_open("b.example"));
  EXPECT_THAT(p->hear_out(), ElementsAre(StartsWith("<open "), HasSubstr("<not-authorized "), close, "1000"));
}

TEST_F(ClientWebsocket, HearsNoStanzaBeforeTheLogin) {  // H07, THREATS C7
  for (const auto stanza : {hi, bind_alone}) {
    auto p = connect_websocket();
    features(*p);
    p->say(stanza);
    EXPECT_THAT(p->hear_out(), ElementsAre(HasSubstr("<not-authorized "), close, "1000"));
  }
  EXPECT_THAT(received(), IsEmpty());
}

TEST_F(ClientWebsocket, RefusesStanzasOfAnotherNamespace) {  // THREATS A5, A8
  for (const auto* message : {"<message to='u@b.example'/>", "<message xmlns='foo:bar'/>",
                              "<message xmlns='jabber:server' to='u@b.example'/>", "<foo xmlns='jabber:client'/>"}) {
    auto p = logged_in_websocket();
    p->say(message);
    EXPECT_THAT(p->hear_out(), ElementsAre(HasSubstr("<unsupported-stanza-type "), close, "1000")) << message;
  }
  EXPECT_THAT(received(), IsEmpty());
  auto p = logged_in_websocket();
  p->say(
      "<message xmlns='jabber:client' to='u@b.example' id='1'><open "
      "xmlns='urn:ietf:params:xml:ns:xmpp-framing'/></message>");
  EXPECT_THAT(p->hear(), AllOf(StartsWith("<message xmlns='jabber:client' "), HasSubstr("<policy-violation ")));
}

// --- limits and deadlines --------------------------------------------------------------------------------------------

TEST_F(ClientWebsocket,
       HoldsMessagesToTheLimitBeforeAndAfterTheLogin) {  // L08, THREATS A10, RFC 6120 §13.12: L-1, L, L+1
  settings_.before_authentication.stanza_bytes = 10'000;
  settings_.after_authentication.stanza_bytes = 20'000;
  const auto filled = [](std::string_view start, std::string_view end, std::size_t size) {
    return std::string{start} + std::string(size - start.size() - end.size(), 'x') + std::string{end};
  };
  const auto too_big = ElementsAre(
      AllOf(HasSubstr("<policy-violation "), HasSubstr("<stanza-too-big xmlns='urn:xmpp:errors'/>")), close, "1009");
  for (const std::size_t size : {9'999U, 10'000U, 10'001U}) {
    auto p = connect_websocket();
    features(*p);
    p->say(filled("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>", "</auth>", size));
    if (size <= 10'000) {
      EXPECT_THAT(p->hear(), StartsWith("<failure "));
    } else {
      EXPECT_THAT(p->hear_out(), too_big);
    }
  }
  for (const std::size_t size : {19'999U, 20'000U, 20'001U}) {
    auto p = logged_in_websocket();
    const auto before = received().size();
    p->say(filled("<message xmlns='jabber:client' to='u@b.example'><body>", "</body></message>", size));
    if (size <= 20'000) {
      wait_for_received(before + 1);
    } else {
      EXPECT_THAT(p->hear_out(), too_big);
      EXPECT_EQ(before, received().size());
    }
  }
  // A header is enough, and no more of what was announced need come.
  auto p = connect_websocket();
  p->under().say(client_frame("<", {.announced = std::uint64_t{1} << 40U}));
  EXPECT_THAT(p->hear(), StartsWith("<open "));
  EXPECT_THAT(p->hear_out(), too_big);
  EXPECT_EQ("", p->under().hear_out());  // frames can be read no more: no Close is awaited
  p->under().hang_up();
  p.reset();
  EXPECT_EQ(2, failed("cause=\"limit\""));
}

TEST_F(ClientWebsocket, BreaksOffWhereFramesAreWrong) {  // RFC 6455 §5.1, §7.1.7, §8.1; RFC 7395 §3.2
  const std::vector<std::pair<std::string, std::string>> frames{
      {client_frame(hi, {.masked = false}), "1002"},       {client_frame(hi, {.reserved = 4}), "1002"},
      {client_frame(hi, {.opcode = 3}), "1002"},           {client_frame(hi, {.opcode = ws::binary}), "1003"},
      {client_frame("<a xmlns='u'>\xc0\xbc</a>"), "1007"},
  };
  for (const auto& [bytes, code] : frames) {
    auto p = logged_in_websocket();
    p->under().say(bytes);
    EXPECT_THAT(p->hear_out(), ElementsAre(StartsWith("<stream:error "), close, code));
    p->say_close();
    EXPECT_EQ("", p->under().hear_out());
    p->under().hang_up();
    EXPECT_TRUE(all_gone());
  }
  EXPECT_THAT(received(), IsEmpty());
  EXPECT_THAT(unbound(), SizeIs(frames.size()));
}

TEST_F(ClientWebsocket, NoByteMovesTheDeadlineOfTheLogin) {  // THREATS B5, G2
  settings_.handshake_timeout = 200ms;
  settings_.linger_time = 50ms;
  for (const std::string& piece : {control(ws::ping), client_frame("", {.opcode = ws::pong}), std::string{}}) {
    auto p = connect_websocket();
    features(*p);
    const auto heard = p->under().hear_out_saying(piece.empty() ? control(ws::pong, "x") : piece);
    EXPECT_THAT(heard, HasSubstr("<connection-timeout "));
    p->under().hang_up();
    EXPECT_TRUE(all_gone());
  }
  EXPECT_EQ(3, failed("cause=\"auth_timeout\""));
  // Nor do the first fragments of a message that never ends.
  auto p = connect_websocket();
  p->under().say(client_frame("<", {.fin = false}));
  const auto heard = p->under().hear_out_saying(client_frame("", {.opcode = ws::continuation, .fin = false}));
  EXPECT_THAT(heard, HasSubstr("<connection-timeout "));
  EXPECT_EQ(1, failed("cause=\"stream_timeout\""));
}

TEST_F(ClientWebsocket, GivesUpAReaderThatIsTooSlow) {  // THREATS F4
  settings_.send_queue_bytes = 64U << 10U;
  auto p = logged_in_websocket();
  send_to_it(std::string(10'000, 'x'), 10);  // the seventh is over
  EXPECT_THAT(p->hear_out(), ElementsAre(HasSubstr("<resource-constraint "), close, "1000"));
  EXPECT_EQ(1, sample("comity_send_queue_overflows_total", {"method=\"websocket\""}));
  EXPECT_EQ(6, sample("comity_stanzas_sent_total", {"method=\"websocket\""}));
}

TEST_F(ClientWebsocket, ReadsAPeerThatIsTooFastAtItsRate) {  // L09, RFC 6120 §13.12 (6)
  settings_.bytes_per_second = 40'000;
  settings_.after_authentication.stanza_bytes = 100'000;
  auto p = logged_in_websocket();
  const auto begun = std::chrono::steady_clock::now();
  const auto frame = client_frame(hi);
  std::string said;
  while (said.size() < 55'000) {
    said += frame;
  }
  p->under().say(said);
  wait_for_received(said.size() / frame.size());
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 300ms);  // the last 15 kB take 375 ms
}

TEST_F(ClientWebsocket, AMessageOfAnyLengthComesWhole) {  // RFC 6455 §5.2: 7, 16 and 64 bits of length
  auto p = logged_in_websocket();
  for (const std::size_t size : {1U, 200U, 65'400U, 65'535U, 200'000U}) {
    const std::string body(size, 'x');
    send_to_it(body);
    EXPECT_THAT(p->hear(), EndsWith("<body>" + body + "</body></message>"));
  }
}

// --- the end ---------------------------------------------------------------------------------------------------------

TEST_F(ClientWebsocket, AnswersACloseWithoutAnEndOfTheStream) {  // RFC 7395 §3.6, RFC 6455 §5.5.1
  for (const bool at_once : {false, true}) {
    auto p = logged_in_websocket();
    if (at_once) {  // behind other words, and before more
      p->under().say(client_frame(hi) + control(ws::close, fakes::closing(1001)) + client_frame(hi));
    } else {
      p->say_close(1001);
    }
    EXPECT_THAT(p->hear_out(), ElementsAre("1001"));
    EXPECT_EQ("", p->under().hear_out());
    EXPECT_TRUE(p->under().told_the_end_of_tls());
    p->under().hang_up();
    EXPECT_TRUE(all_gone());
  }
  EXPECT_THAT(received(), SizeIs(1));
  EXPECT_THAT(unbound(), SizeIs(2));
  EXPECT_EQ(2, sample("comity_connection_closes_total", {"method=\"websocket\"", "cause=\"peer_closed\""}));
}

TEST_F(ClientWebsocket, AStreamAndItsWebSocketMayBeClosedInOneBreath) {
  auto p = logged_in_websocket();
  p->under().say(client_frame(close) + control(ws::close, fakes::closing(1000)));
  EXPECT_THAT(p->hear_out(), ElementsAre(close, "1000"));
  EXPECT_EQ("", p->under().hear_out());
  p->under().hang_up();
  EXPECT_TRUE(all_gone());
}

TEST_F(ClientWebsocket, ADismissedPeerIsToldAndItsCloseAwaited) {  // RFC 6120 §4.9.3.20, RFC 7395 §3.5
  for (const bool bound : {false, true}) {
    auto p = bound ? logged_in_websocket() : connect_websocket();
    dismiss(stream_condition::system_shutdown);
    auto heard = p->hear_out();
    if (!bound) {
      EXPECT_THAT(heard.front(), StartsWith("<open "));  // H03
      heard.erase(heard.begin());
    }
    EXPECT_THAT(heard, ElementsAre(HasSubstr("<system-shutdown "), close, "1000"));
    p->say(hi);  // what comes now is dropped
    p->say_close();
    EXPECT_EQ("", p->under().hear_out());
    p->under().hang_up();
    EXPECT_TRUE(all_gone());
  }
  EXPECT_THAT(received(), IsEmpty());
}

TEST_F(ClientWebsocket, DoesNotWaitForEverForThePeersClose) {  // RFC 6455 §7.1.1, RFC 6120 §4.4
  settings_.linger_time = 200ms;
  auto p = logged_in_websocket();
  p->say(close);
  EXPECT_THAT(p->hear_out(), ElementsAre(close, "1000"));
  const auto began = std::chrono::steady_clock::now();
  std::string pings;
  for (int i = 0; i < 1000; ++i) {
    pings += control(ws::ping, std::string(125, 'x'));
  }
  std::atomic<bool> gone{false};
  std::thread saying{[&] {
    while (!gone) {
      p->under().say(pings);
    }
  }};
  EXPECT_TRUE(all_gone());  // however much is said meanwhile, and the loop has time for others
  gone = true;
  EXPECT_GE(std::chrono::steady_clock::now() - began, 200ms);
  saying.join();
}

TEST_F(ClientWebsocket, APeerThatVanishesLeavesNothing) {  // THREATS G3, B10
  for (int stage = 0; stage < 4; ++stage) {
    auto p = stage == 3 ? logged_in_websocket() : connect_websocket();
    if (stage == 1) {
      features(*p);
    } else if (stage == 2) {
      p->under().say(client_frame(framed_open()).substr(0, 30));
    } else if (stage == 3) {
      p->under().say(client_frame(hi).substr(0, 60));
    }
    p->under().hang_up();
    EXPECT_TRUE(all_gone());
  }
  EXPECT_THAT(received(), IsEmpty());
  EXPECT_THAT(unbound(), SizeIs(1));
}

}  // namespace
}  // namespace comity::connection
