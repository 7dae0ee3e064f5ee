// A client's WebSocket frames: the rules of RFC 6455 and RFC 7395, at every size of the pieces they come in.
#include "connection/transport/websocket_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "connection/utf8.hpp"
#include "connection/xml/writer.hpp"
#include "fakes/websocket_frames.hpp"

namespace comity::connection {
namespace {

using fakes::client_frame;
using fakes::closing;
using fakes::control;
namespace ws = fakes::ws;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view open = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example' version='1.0'/>";
constexpr std::string_view close = "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>";
constexpr std::string_view hello = "<message xmlns='jabber:client'><body>hello</body></message>";

/// What the parts were, as words.
struct listener final : part_taker {
  [[nodiscard]] bool takes_parts() const override { return takes; }
  void take_header(xml::stream_header&& h) override {
    heard.push_back("header {" + h.ns + "}" + h.name + " to=" + (h.has_to ? h.to : "-") +
                    " from=" + (h.has_from ? h.from : "-") + " version=" + (h.has_version ? h.version : "-") +
                    (h.lang.empty() ? "" : " lang=" + h.lang));
  }
  void take_element(xml::document& d) override {
    std::string out;
    xml::writer{out}.copy(d.root());
    heard.push_back(out);
    takes = !pauses;
  }
  void take_close() override { heard.emplace_back("close"); }
  void take_fault(stream_condition c, bool too_big) override {
    heard.push_back("fault " + std::string{to_string(c)} + (too_big ? " too big" : ""));
    takes = false;
  }
  std::vector<std::string> heard;
  bool takes = true;
  bool pauses = false;  // after each element
};

struct outcome {
  std::vector<std::string> heard;
  unsigned code = 0;
  bool closed = false;
  bool over = false;
  std::optional<std::string> pong;
  friend bool operator==(const outcome&, const outcome&) = default;
};

outcome read(std::string_view bytes, std::size_t at_once, xml::framer_limits limits = {}) {
  part_reader reader{limits};
  websocket_reader websocket;
  xml::parser parser;
  xml::document document;
  listener l;
  while (!bytes.empty() && l.takes && !websocket.closed()) {
    const auto piece = bytes.substr(0, at_once);
    const auto used = websocket.feed(piece, reader, parser, document, l);
    EXPECT_TRUE(used == piece.size() || !l.takes || websocket.closed());
    bytes.remove_prefix(piece.size());
  }
  return {.heard = l.heard,
          .code = static_cast<unsigned>(websocket.answer()),
          .closed = websocket.closed(),
          .over = websocket.over(),
          .pong = websocket.take_pong()};
}

/// The same whole and in pieces of every size (a piece of one byte: split at every byte).
outcome read_all_ways(const std::string& bytes, xml::framer_limits limits = {}) {
  const auto whole = read(bytes, bytes.size(), limits);
  for (std::size_t size = 1; size < std::min<std::size_t>(bytes.size(), 40); ++size) {
    EXPECT_EQ(whole.heard, read(bytes, size, limits).heard) << "in pieces of " << size;
    EXPECT_TRUE(whole == read(bytes, size, limits)) << "in pieces of " << size;
  }
  return whole;
}

std::string opened(const std::string& then) {
  return client_frame(open) + then;
}

/// What follows <open/>.
outcome after_open(const std::string& then, xml::framer_limits limits = {}) {
  auto all = read_all_ways(opened(then), limits);
  EXPECT_THAT(all.heard, ::testing::Not(IsEmpty()));
  if (!all.heard.empty()) {
    EXPECT_EQ("header {urn:ietf:params:xml:ns:xmpp-framing}open to=a.example from=- version=1.0", all.heard.front());
    all.heard.erase(all.heard.begin());
  }
  return all;
}

// --- messages --------------------------------------------------------------------------------------------------------

TEST(WebsocketReader, GivesOnePartAMessage) {  // RFC 7395 §3.3, §3.4; H01
  const auto got = read_all_ways(client_frame("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='a.example' "
                                              "from='u@a.example' version='1.0' xml:lang='de'></open>") +
                                 client_frame(hello) + client_frame("<x xmlns='u'/>") + client_frame(close));
  EXPECT_THAT(got.heard,
              ElementsAre("header {urn:ietf:params:xml:ns:xmpp-framing}open to=a.example from=u@a.example version=1.0 "
                          "lang=de",
                          hello, "<x xmlns='u'/>", "close"));
  EXPECT_FALSE(got.over);
}

TEST(WebsocketReader, PutsFragmentsTogetherWithControlFramesBetweenThem) {  // RFC 6455 §5.4
  for (std::size_t cut = 0; cut <= hello.size(); ++cut) {
    const auto got = after_open(client_frame(hello.substr(0, cut), {.fin = false}) + control(ws::ping, "1") +
                                control(ws::pong, "nobody asked") +
                                client_frame({}, {.opcode = ws::continuation, .fin = false}) + control(ws::ping, "2") +
                                client_frame(hello.substr(cut), {.opcode = ws::continuation}) + client_frame(hello));
    EXPECT_THAT(got.heard, ElementsAre(hello, hello)) << cut;
    EXPECT_EQ("2", got.pong);  // RFC 6455 §5.5.3: the newest
  }
}

TEST(WebsocketReader, TakesEveryLengthOfAFrame) {  // RFC 6455 §5.2: 7, 16 and 64 bits
  for (const std::size_t size :
       {0U, 1U, 50U, 51U, 52U, 53U, 54U, 55U, 65460U, 65461U, 65462U, 65463U, 65464U, 65465U, 65466U, 70000U}) {
    const auto element = "<message xmlns='jabber:client'><body>" + std::string(size, 'x') + "</body></message>";
    const auto bytes = opened(client_frame(element) + client_frame(hello));
    for (const std::size_t at_once : {std::size_t{1}, std::size_t{4096}, bytes.size()}) {
      const auto got = read(bytes, at_once);
      ASSERT_EQ(3U, got.heard.size()) << size;
      EXPECT_EQ(size == 0 ? "<message xmlns='jabber:client'><body/></message>" : element, got.heard.at(1));
      EXPECT_EQ(hello, got.heard.at(2));
    }
  }
}

TEST(WebsocketReader, EachMessageDeclaresItsOwnNamespaces) {  // RFC 7395 §3.3.3
  EXPECT_THAT(after_open(client_frame("<c:message xmlns:c='jabber:client'><c:body/></c:message>")).heard,
              ElementsAre("<message xmlns='jabber:client'><body/></message>"));
  EXPECT_THAT(after_open(client_frame("<message><body/></message>")).heard, ElementsAre("<message><body/></message>"));
  // Neither <open/> nor another message declares anything for it.
  EXPECT_THAT(after_open(client_frame("<stream:error/>")).heard, ElementsAre("fault bad-namespace-prefix"));
  EXPECT_THAT(after_open(client_frame("<p:a xmlns:p='u'/>") + client_frame("<p:b/>")).heard,
              ElementsAre("<a xmlns='u'/>", "fault bad-namespace-prefix"));
}

TEST(WebsocketReader, TakesAnXmlDeclarationAndWhiteSpaceBehind) {  // RFC 7395 §3.3.3: not recommended, no fault
  EXPECT_THAT(
      read_all_ways(client_frame("<?xml version='1.0' encoding='UTF-8'?>\n" + std::string{open} + "\r\n ")).heard,
      ElementsAre("header {urn:ietf:params:xml:ns:xmpp-framing}open to=a.example from=- version=1.0"));
  EXPECT_THAT(after_open(client_frame("<?xml version='1.0'?>" + std::string{hello}) + client_frame(hello)).heard,
              ElementsAre(hello, hello));
  EXPECT_THAT(after_open(client_frame("<?xml version='1.0' encoding='ISO-8859-1'?>" + std::string{hello})).heard,
              ElementsAre("fault unsupported-encoding"));  // THREATS A3
  EXPECT_THAT(after_open(client_frame("<?xml version='1.0' standalone='no'?>" + std::string{hello})).heard,
              ElementsAre("fault restricted-xml"));  // THREATS A2
}

struct wrong {
  std::string message;
  std::string answer;
};

TEST(WebsocketReader, RefusesWhatIsNoSingleElement) {  // RFC 7395 §3.3.3, §3.8; THREATS A2, A4, A7, A8
  for (const auto& [message, answer] : {
           wrong{"", "bad-format"},                                           // no document
           wrong{" ", "bad-format"},                                          // a keep-alive
           wrong{"\n" + std::string{hello}, "bad-format"},                    // the first character is not '<'
           wrong{"hello", "bad-format"},                                      //
           wrong{"\xef\xbb\xbf" + std::string{hello}, "bad-format"},          // a byte order mark
           wrong{std::string{hello} + std::string{hello}, "bad-format"},      // two
           wrong{std::string{hello} + "x", "bad-format"},                     //
           wrong{std::string{hello} + "<!-- x -->", "bad-format"},            //
           wrong{std::string{hello}.substr(0, 30), "not-well-formed"},        // cut off
           wrong{"<?xml version='1.0'?>", "not-well-formed"},                 //
           wrong{"</message>", "not-well-formed"},                            //
           wrong{"</open>", "not-well-formed"},                               //
           wrong{"<message xmlns='jabber:client'></iq>", "not-well-formed"},  //
           wrong{"<a b='1' b='2'/>", "not-well-formed"},                      //
           wrong{"<p:a/>", "bad-namespace-prefix"},                           //
           wrong{"<!-- x -->", "restricted-xml"},                             //
           wrong{"<?foo bar?>", "restricted-xml"},                            //
           wrong{"<?xml version='1.0'?><?xml version='1.0'?><a/>", "restricted-xml"},
           wrong{"<a><?xml version='1.0'?></a>", "restricted-xml"},
           wrong{"<a>&foo;</a>", "restricted-xml"},
           wrong{"<a xmlns='u'/><b xmlns='u'/>", "bad-format"},
       }) {
    EXPECT_THAT(after_open(client_frame(message)).heard, ElementsAre("fault " + answer)) << message;
  }
}

TEST(WebsocketReader, RefusesADocumentTypeAtItsFirstByte) {  // THREATS A1, RFC 6120 §11.1
  const std::string bomb =
      R"(<!DOCTYPE s [<!ENTITY a0 "lol"><!ENTITY a1 "&a0;&a0;&a0;&a0;&a0;&a0;&a0;&a0;&a0;&a0;">]><s>&a1;</s>)";
  for (const auto& before : {std::string{}, client_frame(open)}) {
    auto got = read_all_ways(before + client_frame(bomb)).heard;
    EXPECT_EQ("fault restricted-xml", got.back());
    // Nothing behind "<!D" is needed, nor that the message ends.
    got = read_all_ways(before + client_frame(bomb.substr(0, 3), {.announced = bomb.size()})).heard;
    ASSERT_FALSE(got.empty());
    EXPECT_EQ("fault restricted-xml", got.back());
  }
}

TEST(WebsocketReader, TellsHeadersByTheirNamespace) {  // RFC 7395 §3.3.2, §3.4; THREATS A8, A9
  for (const auto& [first, told] : {
           wrong{"<open xmlns='u' to='a.example'/>", "header {u}open to=a.example from=- version=-"},
           wrong{"<open/>", "header {}open to=- from=- version=-"},
           wrong{std::string{hello}, "header {jabber:client}message to=- from=- version=-"},
           wrong{"<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client' to='a'/>",
                 "header {http://etherx.jabber.org/streams}stream to=a from=- version=-"},
           wrong{std::string{close}, "close"},
       }) {
    EXPECT_THAT(read_all_ways(client_frame(first)).heard, ElementsAre(told));
  }
  EXPECT_THAT(after_open(client_frame(open)).heard, ElementsAre("fault bad-format"));
  EXPECT_THAT(after_open(client_frame("<open xmlns='u'/>")).heard, ElementsAre("fault invalid-namespace"));
  EXPECT_THAT(after_open(client_frame("<close xmlns='u'/>")).heard, ElementsAre("fault invalid-namespace"));
  EXPECT_THAT(after_open(client_frame("<close/>")).heard, ElementsAre("fault invalid-namespace"));
}

TEST(WebsocketReader, BeginsAnewWhenTheStreamDoes) {  // RFC 7395 §3.7
  part_reader reader{{}};
  websocket_reader websocket;
  xml::parser parser;
  xml::document document;
  listener l;
  websocket.feed(client_frame(open), reader, parser, document, l);
  reader.restart();
  websocket.feed(client_frame(open), reader, parser, document, l);
  EXPECT_THAT(l.heard, ElementsAre(::testing::StartsWith("header"), ::testing::StartsWith("header")));
}

TEST(WebsocketReader, LeavesWhatFollowsWhileAnAnswerIsAwaited) {
  const auto bytes = client_frame(open) + client_frame(hello) + control(ws::ping) + client_frame(hello);
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    part_reader reader{{}};
    websocket_reader websocket;
    xml::parser parser;
    xml::document document;
    listener l;
    l.pauses = true;
    std::string waiting;
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      waiting += bytes.substr(at, size);
      waiting.erase(0, websocket.feed(waiting, reader, parser, document, l));
    }
    EXPECT_EQ(2U, l.heard.size());
    EXPECT_EQ(control(ws::ping) + client_frame(hello), waiting);
    EXPECT_TRUE(websocket.idle());
    l.takes = true;
    EXPECT_EQ(waiting.size(), websocket.feed(waiting, reader, parser, document, l));
    EXPECT_EQ(3U, l.heard.size());
    EXPECT_TRUE(websocket.idle());
  }
}

// --- limits ----------------------------------------------------------------------------------------------------------

TEST(WebsocketReader, HoldsAMessageToItsLimitByWhatIsAnnounced) {  // L08, THREATS A10, RFC 6120 §13.12: L-1, L, L+1
  constexpr std::size_t limit = 10'000;
  constexpr xml::framer_limits limits{.stanza_bytes = limit};
  const auto element = [](std::size_t size) {
    const std::string around = "<a xmlns='u'></a>";
    return around.substr(0, 13) + std::string(size - around.size(), 'x') + around.substr(13);
  };
  for (const std::size_t size : {limit - 1, limit}) {
    const auto bytes = opened(client_frame(element(size)) + client_frame(element(size)));
    for (const std::size_t at_once : {std::size_t{1}, std::size_t{1000}, bytes.size()}) {
      EXPECT_THAT(read(bytes, at_once, limits).heard, ElementsAre(::testing::_, element(size), element(size)));
    }
  }
  // One more is refused by its header: with the first byte of the payload, before the others have come.
  const auto too_big = [&](const std::string& then) {
    const auto got = after_open(then, limits);
    EXPECT_THAT(got.heard, ElementsAre("fault policy-violation too big"));
    EXPECT_EQ(1009U, got.code);
    EXPECT_TRUE(got.over);
  };
  too_big(client_frame("<", {.announced = limit + 1}));
  too_big(client_frame("<", {.announced = std::uint64_t{1} << 62U}));
  too_big(client_frame("<", {.fin = false, .announced = limit + 1}));
  // In fragments it counts together: the one that goes over it is refused.
  const auto half = element(limit).substr(0, limit / 2);
  const auto bytes = opened(client_frame(half, {.fin = false}) + control(ws::ping, std::string(125, 'x')) +
                            client_frame("x", {.opcode = ws::continuation, .announced = (limit / 2) + 1}));
  const auto got = read(bytes, bytes.size(), limits);
  EXPECT_THAT(got.heard, ElementsAre(::testing::_, "fault policy-violation too big"));
  EXPECT_EQ(1009U, got.code);
}

TEST(WebsocketReader, HoldsElementsToTheOtherLimits) {  // THREATS A11, A12, A13
  constexpr xml::framer_limits limits{.depth = 4, .elements = 6, .attributes = 3};
  EXPECT_THAT(after_open(client_frame("<a xmlns='u'><a><a><a/></a></a></a>"), limits).heard, ::testing::SizeIs(1));
  for (const auto* message : {"<a><a><a><a><a/></a></a></a></a>", "<a><a/><a/><a/><a/><a/><a/></a>",
                              "<a a='' b='' c='' d=''/>", "<a a='' b='' c='' xmlns='u'/>"}) {
    const auto got = after_open(client_frame(message), limits);
    EXPECT_THAT(got.heard, ElementsAre("fault policy-violation")) << message;
    EXPECT_EQ(1000U, got.code);
    EXPECT_FALSE(got.over);  // the frames are well, and the peer may still say Close
  }
}

TEST(WebsocketReader, HoldsNothingBetweenFrames) {
  part_reader reader{{}};
  websocket_reader websocket;
  xml::parser parser;
  xml::document document;
  listener l;
  for (const auto& frame : {client_frame(open), client_frame(hello), control(ws::pong, "x")}) {
    for (std::size_t at = 0; at < frame.size(); ++at) {
      websocket.feed(frame.substr(at, 1), reader, parser, document, l);
      EXPECT_EQ(at + 1 == frame.size(), websocket.idle());
    }
  }
}

// --- frames that are none --------------------------------------------------------------------------------------------

struct bad_frame {
  const char* what;
  std::string frames;
  unsigned code;
};

TEST(WebsocketReader, BreaksOffWhereFramesAreWrong) {  // RFC 6455 §5.1, §5.2, §5.4, §5.5, §7.4.1
  const std::string text{hello};
  for (const auto& [what, frames, code] : {
           bad_frame{"not masked", client_frame(text, {.masked = false}), 1002},
           bad_frame{"not masked, and empty", client_frame("", {.masked = false}), 1002},
           bad_frame{"Ping not masked", client_frame("", {.opcode = ws::ping, .masked = false}), 1002},
           bad_frame{"RSV1: no extension was negotiated", client_frame(text, {.reserved = 4}), 1002},
           bad_frame{"RSV2", client_frame(text, {.reserved = 2}), 1002},
           bad_frame{"RSV3", client_frame(text, {.reserved = 1}), 1002},
           bad_frame{"RSV1 of a Ping", client_frame("", {.opcode = ws::ping, .reserved = 4}), 1002},
           bad_frame{"binary", client_frame(text, {.opcode = ws::binary}), 1003},
           bad_frame{"continuation of nothing", client_frame(text, {.opcode = ws::continuation}), 1002},
           bad_frame{"a message inside a message", client_frame(text, {.fin = false}) + client_frame(text), 1002},
           bad_frame{"binary inside a message",
                     client_frame(text, {.fin = false}) + client_frame(text, {.opcode = ws::binary}), 1002},
           bad_frame{"a Ping of two fragments", client_frame("x", {.opcode = ws::ping, .fin = false}), 1002},
           bad_frame{"a Ping of 126", client_frame(std::string(126, 'x'), {.opcode = ws::ping}), 1002},
           bad_frame{"a Close of 126", client_frame(std::string(126, 'x'), {.opcode = ws::close}), 1002},
           bad_frame{"16 bits for 125", client_frame(std::string(125, 'x'), {.length_octets = 2}), 1002},
           bad_frame{"64 bits for 126", client_frame(std::string(126, 'x'), {.length_octets = 8}), 1002},
           bad_frame{"64 bits for 65535", client_frame("x", {.announced = 65535, .length_octets = 8}), 1002},
           bad_frame{"64 bits, the highest set", client_frame("x", {.announced = ~std::uint64_t{0}}), 1002},
           bad_frame{"reserved opcode 3", client_frame(text, {.opcode = 3}), 1002},
           bad_frame{"reserved opcode 7", client_frame(text, {.opcode = 7}), 1002},
           bad_frame{"reserved opcode 11", client_frame("", {.opcode = 11}), 1002},
           bad_frame{"reserved opcode 15", client_frame("", {.opcode = 15}), 1002},
       }) {
    const auto got = after_open(frames);
    EXPECT_THAT(got.heard, ElementsAre("fault bad-format")) << what;
    EXPECT_EQ(code, got.code) << what;
    EXPECT_TRUE(got.over) << what;
    EXPECT_FALSE(got.closed) << what;
  }
}

TEST(WebsocketReader, TellsTextThatIsNoUtf8) {  // RFC 6455 §8.1; THREATS A4
  for (const auto* bad : {"\xeb\x3c\x3e", "\xc0\xbc", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\x80", "\xe2\x82"}) {
    for (const auto& message :
         {"<a xmlns='u'>" + std::string{bad} + "</a>", "<a xmlns='u' b='" + std::string{bad} + "'/>"}) {
      const auto got = after_open(client_frame(message));
      EXPECT_THAT(got.heard, ElementsAre("fault not-well-formed")) << message;
      EXPECT_EQ(1007U, got.code);
    }
  }
  for (const auto* no_xml : {"\xef\xbf\xbf", "&#0;", "&#xD800;"}) {  // UTF-8, but no XML
    const auto got = after_open(client_frame("<a xmlns='u'>" + std::string{no_xml} + "</a>"));
    EXPECT_THAT(got.heard, ElementsAre("fault not-well-formed"));
    EXPECT_EQ(1000U, got.code);
  }
}

TEST(WebsocketReader, KnowsUtf8) {
  for (const auto* good : {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "gr\xc3\xbc\xc3\x9f"}) {
    EXPECT_EQ(utf8::valid, judge_utf8(good)) << good;
  }
  for (const auto* cut_off : {"\xc2", "\xe1\x80", "\xf1\x80\x80", "a\xf1"}) {
    EXPECT_EQ(utf8::cut_off, judge_utf8(cut_off)) << cut_off;
  }
  for (const auto* bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2\x7f", "\xc2\xc0", "\xe0\x9f\xbf", "\xe0\x9f",
                          "\xe1\x80\x7f", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf1\x80\x80\xc0", "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80", "\xfe", "\xff", "a\xff"}) {
    EXPECT_EQ(utf8::invalid, judge_utf8(bad)) << bad;
  }
}

// --- closing ---------------------------------------------------------------------------------------------------------

TEST(WebsocketReader, EchoesTheCodeOfAClose) {  // RFC 6455 §5.5.1, §7.4
  for (const unsigned code : {1000U, 1001U, 1002U, 1003U, 1007U, 1011U, 1014U, 3000U, 4999U}) {
    const auto got = after_open(control(ws::close, closing(code, "gr\xc3\xbc\xc3\x9f")) + client_frame(hello));
    EXPECT_THAT(got.heard, IsEmpty()) << code;  // nothing follows a Close
    EXPECT_TRUE(got.closed);
    EXPECT_EQ(code, got.code);
  }
  const auto without = after_open(control(ws::close));
  EXPECT_TRUE(without.closed);
  EXPECT_EQ(1000U, without.code);
}

TEST(WebsocketReader, RefusesACloseThatIsNone) {  // RFC 6455 §5.5.1, §7.4.1, §7.4.2
  for (const unsigned code : {0U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 2999U, 5000U, 65535U}) {
    const auto got = after_open(control(ws::close, closing(code)));
    EXPECT_THAT(got.heard, ElementsAre("fault bad-format")) << code;
    EXPECT_EQ(1002U, got.code) << code;
  }
  EXPECT_EQ(1002U, after_open(control(ws::close, "x")).code);
  EXPECT_EQ(1007U, after_open(control(ws::close, closing(1000, "\xc0\xbc"))).code);
}

TEST(WebsocketReader, LooksForTheCloseOnceOursIsSaid) {  // RFC 6455 §7.1.1
  const auto frames = client_frame(hello) + control(ws::ping) + client_frame("rest", {.fin = false});
  for (std::size_t size = 1; size <= frames.size(); ++size) {
    websocket_reader websocket;
    for (std::size_t at = 0; at < frames.size(); at += size) {
      websocket.skip(std::string_view{frames}.substr(at, size));
      EXPECT_FALSE(websocket.over());
    }
    EXPECT_FALSE(websocket.owes_pong());
    websocket.skip(control(ws::close, closing(1000)));
    EXPECT_TRUE(websocket.closed());
  }
  websocket_reader websocket;
  websocket.skip(client_frame(std::string(126, 'x'), {.opcode = ws::ping}));
  EXPECT_TRUE(websocket.over());  // what comes cannot be read, and no Close can be waited for
  EXPECT_FALSE(websocket.closed());
}

// --- what we send ----------------------------------------------------------------------------------------------------

TEST(WebsocketFrames, AreWrittenWithTheShortestLength) {  // RFC 6455 §5.1, §5.2
  for (const std::size_t size : {0U, 125U, 126U, 65535U, 65536U, 100000U}) {
    const std::string payload(size, 'x');
    auto bytes = websocket::frame(websocket::opcode::text, payload);
    EXPECT_EQ(bytes.size(), websocket::header_size(size) + size);
    EXPECT_EQ(size < 126 ? 2U : size < 65536 ? 4U : 10U, websocket::header_size(size));
    const auto read = fakes::take_frame(bytes);
    ASSERT_TRUE(read);
    EXPECT_TRUE(bytes.empty());
    EXPECT_EQ(ws::text, read->opcode);
    EXPECT_TRUE(read->fin);
    EXPECT_FALSE(read->masked);
    EXPECT_EQ(0U, read->reserved);
    EXPECT_EQ(payload, read->payload);
  }
  EXPECT_EQ("\x88\x02\x03\xf1", websocket::close_frame(websocket::close_code::message_too_big));
}

}  // namespace
}  // namespace comity::connection
