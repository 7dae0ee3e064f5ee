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
    EXPECT_THAT(read(std::string(limit + 1, '\n'), piece), ElementsAre("431")) << piece;
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
        misuse{"UnknownVersion", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "400"}),
    [](const auto& of) { return of.param.name; });

TEST(HttpRequestReader, IgnoresAnOfferToSpeakOtherwise) {  // RFC 9110 §7.8
  EXPECT_THAT(read("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + std::string{simple}, 1),
              ElementsAre("GET / +", "GET /metrics +"));
}

TEST(HttpRequestReader, LeavesOtherMethodsToItsUser) {
  EXPECT_THAT(read("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 1), ElementsAre("DELETE / +"));
  EXPECT_THAT(read("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 1), ElementsAre("POST / +"));
}

TEST(HttpResponse, IsWrittenWithItsLength) {
  response r;
  r.body = "fine\n";
  EXPECT_EQ(
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n"
      "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nConnection: keep-alive\r\n\r\nfine\n",
      serialise(r, true, false));
}

TEST(HttpResponse, ToHeadKeepsTheLengthAndLeavesOutTheBody) {  // RFC 9110 §9.3.2
  response r;
  r.body = "fine\n";
  const auto text = serialise(r, false, true);
  EXPECT_THAT(text, HasSubstr("Content-Length: 5\r\n"));
  EXPECT_THAT(text, EndsWith("Connection: close\r\n\r\n"));
}

TEST(HttpResponse, SaysWhatIsAllowed) {  // RFC 9110 §15.5.6
  response r;
  EXPECT_THAT(serialise(r, true, false), Not(HasSubstr("Allow")));
  r.status = 405;
  r.allow = "GET, HEAD";
  EXPECT_THAT(serialise(r, true, false), HasSubstr("405 Method Not Allowed\r\n"));
  EXPECT_THAT(serialise(r, true, false), HasSubstr("\r\nAllow: GET, HEAD\r\n"));
}

TEST(HttpResponse, HasWordsForEveryStatusInUse) {
  for (const unsigned status : {200U, 400U, 404U, 405U, 408U, 413U, 431U, 503U}) {
    EXPECT_NE("Error", reason_phrase(status)) << status;
  }
  EXPECT_EQ("Error", reason_phrase(599));
}

}  // namespace
}  // namespace comity::http
