// HTTP/1.1 requests read and responses written, as values.
#include <gmock/gmock.h>

#include <vector>

#include "server/http/message.hpp"
#include "server/http/request_reader.hpp"

namespace comity::http {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using outcome = request_reader::outcome;

constexpr std::string_view simple = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

/// What became of bytes that come in pieces of that size: "GET /metrics +", "431", "…".
std::vector<std::string> read(std::string_view bytes, std::size_t piece) {
  request_reader reader;
  std::vector<std::string> all;
  while (!bytes.empty()) {
    auto next = bytes.substr(0, piece);
    bytes.remove_prefix(next.size());
    while (!next.empty()) {
      const auto p = reader.feed(next);
      next.remove_prefix(p.used);
      if (p.what == outcome::complete) {
        all.push_back(reader.request().method + " " + reader.request().target + (reader.keep_alive() ? " +" : " -"));
      } else if (p.what == outcome::refused) {
        all.push_back(std::to_string(reader.refusal()));
        return all;
      }
    }
  }
  if (!reader.idle()) {
    all.emplace_back("…");
  }
  return all;
}

TEST(HttpRequestReader, ReadsRequestsHoweverTheyAreCut) {
  const std::string three = std::string{simple} + "HEAD /x?y=%2e%2e HTTP/1.1\r\nHost: b\r\nAccept: */*\r\n\r\n" +
                            "GET /last HTTP/1.0\r\n\r\n";
  for (std::size_t piece = 1; piece <= three.size(); ++piece) {
    EXPECT_THAT(read(three, piece), ElementsAre("GET /metrics +", "HEAD /x?y=%2e%2e +", "GET /last -")) << piece;
  }
}

TEST(HttpRequestReader, SaysHowMuchOfItsInputARequestWas) {
  request_reader reader;
  const auto p = reader.feed(std::string{simple} + "GET /next");
  EXPECT_EQ(outcome::complete, p.what);
  EXPECT_EQ(simple.size(), p.used);
}

TEST(HttpRequestReader, KnowsWhetherTheConnectionIsKept) {  // RFC 9112 §9.3
  EXPECT_THAT(read("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1), ElementsAre("GET / -"));
  EXPECT_THAT(read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 1), ElementsAre("GET / +"));
}

TEST(HttpRequestReader, IsIdleBetweenRequestsAndNotBeforeOne) {
  request_reader reader;
  EXPECT_TRUE(reader.idle());
  EXPECT_EQ(outcome::need_more, reader.feed("\r\n").what);
  EXPECT_FALSE(reader.idle());  // else line ends would hold a connection for ever (THREATS G2)
  EXPECT_EQ(outcome::complete, reader.feed(simple).what);
  EXPECT_TRUE(reader.idle());
}

/// A request whose head has that many bytes.
std::string head_of(std::size_t size) {
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  return start + std::string(size - start.size() - 4, 'x') + "\r\n\r\n";
}

TEST(HttpRequestReader, TakesAHeadUpToTheLimit) {  // THREATS G5: L-1, L, L+1
  constexpr auto limit = request_reader::head_limit;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1000}, limit * 2}) {
    EXPECT_THAT(read(head_of(limit - 1), piece), ElementsAre("GET / +")) << piece;
    EXPECT_THAT(read(head_of(limit), piece), ElementsAre("GET / +")) << piece;
    EXPECT_THAT(read(head_of(limit + 1), piece), ElementsAre("431")) << piece;
    EXPECT_THAT(read("GET /" + std::string(64U << 10U, 'x'), piece), ElementsAre("431")) << piece;
    std::string line_ends;
    while (line_ends.size() <= limit) {
      line_ends += "\r\n";
    }
    EXPECT_THAT(read(line_ends, piece), ElementsAre("431")) << piece;
    // Each head has a limit of its own.
    EXPECT_THAT(read(head_of(limit) + head_of(limit), piece), ElementsAre("GET / +", "GET / +")) << piece;
  }
}

struct misuse {
  const char* name;
  std::string bytes;
  const char* status;
};
class HttpMisuse : public ::testing::TestWithParam<misuse> {};

TEST_P(HttpMisuse, IsRefused) {
  for (std::size_t piece = 1; piece <= GetParam().bytes.size(); ++piece) {
    EXPECT_THAT(read(GetParam().bytes, piece), ElementsAre(GetParam().status)) << piece;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, HttpMisuse,
    ::testing::Values(
        misuse{"PostWithBody", "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "405"},
        misuse{"SlowPost", "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", "405"},
        misuse{"PutChunked", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n", "405"},
        misuse{"GetWithBody", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "413"},
        misuse{"GetChunked", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "413"},
        misuse{"Smuggling",  // RFC 9112 §6.1
               "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
               "400"},
        misuse{"TwoLengths", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nhello", "400"},
        misuse{"Connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "405"},
        misuse{"NoHost", "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", "400"},  // RFC 9112 §3.2
        misuse{"TwoHosts", "GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", "400"},
        misuse{"NoHttp", std::string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11}, "400"},
        misuse{"Xmpp", "<?xml version='1.0'?><stream:stream to='a'>", "400"},
        misuse{"SpaceBeforeColon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},  // RFC 9112 §5.1
        misuse{"NulInAValue", std::string{"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 28}, "400"},
        misuse{"SpaceInTheTarget", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        misuse{"UnknownVersion", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "400"},
        misuse{"Http2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505"},
        misuse{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"}, misuse{"Http09", "GET /\r\n\r\n", "505"},
        // RFC 9112 §2.2, §5.2: what two readers of one request might read differently
        misuse{"FoldedField", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", "400"},
        misuse{"FoldedByATab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tContent-Length: 5\r\n\r\n", "400"},
        misuse{"SpaceBeforeTheFirstField", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400"},
        misuse{"LineFeedAlone", "GET / HTTP/1.1\nHost: a\n\n", "400"},
        misuse{"LineFeedAloneBehindAField", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400"},
        misuse{"LineFeedAloneAtTheEnd", "GET / HTTP/1.1\r\nHost: a\r\n\n", "400"},
        misuse{"CarriageReturnInAValue", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", "400"},
        misuse{"CarriageReturnTwice", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "400"},
        misuse{"CarriageReturnInTheTarget", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        misuse{"LengthsInOneField", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n", "400"},
        misuse{"LengthTwice", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n", "400"},
        misuse{"LengthWithASign", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n", "400"},
        misuse{"LengthInHex", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x0\r\n\r\n", "400"},
        misuse{"LengthOfNothing", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", "400"},
        misuse{"LengthBeyondNumbers", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
               "400"},
        misuse{"LengthBesideIdentity",
               "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", "400"},
        misuse{"CodingOfHttp10", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "413"},
        misuse{"CodingWithATail", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
               "400"},
        misuse{"CodingInAnotherCase", "GET / HTTP/1.1\r\nHost: a\r\ntRANSFER-eNCODING: xchunked\r\n\r\n", "413"},
        misuse{"SpaceInAFieldName", "GET / HTTP/1.1\r\nHost: a\r\nX Host: b\r\n\r\n", "400"},
        misuse{"NoFieldName", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", "400"},
        misuse{"NoColon", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\r\n\r\n", "400"},
        // RFC 9112 §3.2: a Host that is none
        misuse{"HostWithAPath", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
        misuse{"HostWithAUser", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400"},
        misuse{"HostWithASpace", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
        misuse{"HostsInOneField", "GET / HTTP/1.1\r\nHost: a, b:1\r\n\r\n", "400"},
        misuse{"HostWithAPortOfLetters", "GET / HTTP/1.1\r\nHost: a:http\r\n\r\n", "400"},
        misuse{"HostWithAPortTooHigh", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", "400"},
        misuse{"BadHostBesideAnAbsoluteTarget", "GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
        misuse{"TargetWithAUser", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        misuse{"TargetWithoutAHost", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        misuse{"TargetOfAnotherScheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "400"},
        misuse{"TargetWithoutASlash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", "400"}),
    [](const auto& of) { return of.param.name; });

/// The one request of those bytes, read a byte at a time.
request one(std::string_view bytes) {
  request_reader reader;
  for (const char c : bytes) {
    if (reader.feed({&c, 1}).what == outcome::complete) {
      return reader.request();
    }
  }
  ADD_FAILURE() << bytes;
  return {};
}

TEST(HttpRequestReader, TakesAsManyFieldsAsTheLimit) {  // THREATS G5: L-1, L, L+1
  const auto with = [](std::size_t fields) {
    std::string head = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (std::size_t i = 1; i < fields; ++i) {
      head += "X: y\r\n";
    }
    return head + "\r\n";
  };
  for (const auto piece : {std::size_t{1}, std::size_t{10'000}}) {
    EXPECT_THAT(read(with(request_reader::field_limit - 1), piece), ElementsAre("GET / +"));
    EXPECT_THAT(read(with(request_reader::field_limit) + with(1), piece), ElementsAre("GET / +", "GET / +"));
    EXPECT_THAT(read(with(request_reader::field_limit + 1), piece), ElementsAre("431"));
    EXPECT_THAT(read("A: request-line\r\n" + with(request_reader::field_limit + 1), piece), ElementsAre("400"))
        << "the first that is wrong, however the bytes come";
  }
}

TEST(HttpRequestReader, GivesTheFieldsAsTheyCame) {
  const auto r =
      one("GET /a?b HTTP/1.1\r\nHOST: A.example:81\r\nX-Empty:\r\nAccept: \t a , b,, c \t\r\naccept:d\r\n"
          "Connection: keep-alive, Upgrade\r\n\r\n");
  EXPECT_EQ(r.path, "/a");
  EXPECT_EQ(r.authority, "A.example:81");
  EXPECT_EQ(r.minor_version, 1U);
  EXPECT_EQ(r.fields.front(), (field{"host", "A.example:81"}));
  EXPECT_EQ(*r.first("x-empty"), "");
  EXPECT_EQ(*r.first("accept"), "a , b,, c");
  EXPECT_EQ(r.first("acc"), nullptr);
  EXPECT_THAT(r.elements("accept"), ElementsAre("a", "b", "c", "d"));
  EXPECT_TRUE(r.lists("connection", "upgrade"));
  EXPECT_FALSE(r.lists("connection", "keep"));
}

TEST(HttpRequestReader, TakesTheAuthorityOfAnAbsoluteTarget) {  // RFC 9112 §3.2.2: Host is ignored then
  const auto r = one("GET HTTPS://b.example:1/x/../y?z HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(r.authority, "b.example:1");
  EXPECT_EQ(r.path, "/x/../y");
  EXPECT_EQ(one("GET http://b.example?x HTTP/1.1\r\nHost: a\r\n\r\n").path, "/");
  EXPECT_EQ(one("GET / HTTP/1.0\r\n\r\n").authority, "");
  EXPECT_EQ(one("GET / HTTP/1.1\r\nHost:\r\n\r\n").authority, "");
  EXPECT_EQ(one("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path, "*");
}

TEST(HttpRequestReader, TakesALengthOfNothing) {
  EXPECT_THAT(read("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 00\r\n\r\n" + std::string{simple}, 1),
              ElementsAre("GET / +", "GET /metrics +"));
}

TEST(HttpAuthority, IsAHostAndPerhapsAPort) {  // RFC 3986 §3.2
  const auto made = [](std::string_view text) { return read_authority(text).value(); };
  EXPECT_EQ(made("Example.ORG"), (authority{"example.org", {}}));
  EXPECT_EQ(made("example.org."), (authority{"example.org", {}}));
  EXPECT_EQ(made("example.org:"), (authority{"example.org", {}}));
  EXPECT_EQ(made("example.org:0443"), (authority{"example.org", 443}));
  EXPECT_EQ(made("[2001:DB8::1]:5443"), (authority{"2001:db8::1", 5443}));
  EXPECT_EQ(made("192.0.2.1:65535"), (authority{"192.0.2.1", 65535}));
  EXPECT_EQ(made(""), (authority{"", {}}));
  for (const auto* none : {"a:b", "a:-1", "a:65536", "a:1:2", "[::1", "[]", "[::1]x", "[::1/]", "a b", "a/b", "u@a",
                           "a#b", "a?b", "\xc3\xa4", "a,b:1x"}) {
    EXPECT_FALSE(read_authority(none)) << none;
  }
}

TEST(HttpRequestReader, IgnoresAnOfferToSpeakOtherwise) {  // RFC 9110 §7.8
  EXPECT_THAT(read("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + std::string{simple}, 1),
              ElementsAre("GET / +", "GET /metrics +"));
}

TEST(HttpRequestReader, LeavesOtherMethodsToItsUser) {
  EXPECT_THAT(read("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 1), ElementsAre("DELETE / +"));
  EXPECT_THAT(read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 1), ElementsAre("POST / +"));
}

const std::chrono::system_clock::time_point then{std::chrono::seconds{784'111'777}};  // RFC 9110 §5.6.7's

TEST(HttpResponse, IsWrittenWithItsLength) {
  EXPECT_EQ(
      "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: 5\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nX: y\r\n"
      "Connection: keep-alive\r\n\r\nfine\n",
      serialise({.body = "fine\n", .fields = {{"X", "y"}}}, true, false, then));
}

TEST(HttpResponse, ToHeadKeepsTheLengthAndLeavesOutTheBody) {  // RFC 9110 §9.3.2
  const auto text = serialise({.body = "fine\n"}, false, true, then);
  EXPECT_THAT(text, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(text, EndsWith("Connection: close\r\n\r\n"));
}

TEST(HttpResponse, SaysWhatIsAllowed) {  // RFC 9110 §15.5.6
  EXPECT_THAT(serialise(plain(404), true, false, then), Not(HasSubstr("Allow")));
  EXPECT_THAT(serialise(plain(405), true, false, then), HasSubstr("405 Method Not Allowed\r\n"));
  EXPECT_THAT(serialise(plain(405), true, false, then), HasSubstr("\r\nAllow: GET, HEAD\r\n"));
}

TEST(HttpResponse, SaysWhatTheConnectionBecomes) {  // RFC 9110 §7.8, §15.2.2: no content
  EXPECT_EQ(
      "HTTP/1.1 101 Switching Protocols\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nUpgrade: websocket\r\n"
      "Connection: Upgrade\r\n\r\n",
      serialise({.status = 101, .upgrade = "websocket"}, true, false, then));
  EXPECT_THAT(serialise({.status = 426, .upgrade = "websocket"}, true, false, then),
              HasSubstr("\r\nUpgrade: websocket\r\nConnection: Upgrade, keep-alive\r\n"));
}

TEST(HttpResponse, HasWordsForEveryStatusInUse) {
  for (const unsigned status :
       {101U, 200U, 400U, 403U, 404U, 405U, 408U, 413U, 417U, 421U, 426U, 429U, 431U, 503U, 505U}) {
    EXPECT_NE("Error", reason_phrase(status)) << status;
  }
  EXPECT_EQ("Error", reason_phrase(599));
}

}  // namespace
}  // namespace comity::http
