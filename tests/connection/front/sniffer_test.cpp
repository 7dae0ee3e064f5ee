// What a client without ALPN speaks, told by its first bytes.
#include "connection/front/sniffer.hpp"

#include <gtest/gtest.h>

#include <string>

namespace comity::connection {
namespace {

xml::framer_limits limits() {
  return {.stanza_bytes = 10000};
}
sniffed told(std::string_view bytes) {
  static xml::parser parser;
  return sniff(bytes, limits(), parser);
}
/// The same in the end however it comes, and nothing before the end.
void expect_at_the_end(const std::string& bytes, sniffed what) {
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(told(std::string_view{bytes}.substr(0, size)), sniffed::needs_more) << bytes << " at " << size;
  }
  EXPECT_EQ(told(bytes), what) << bytes;
  EXPECT_EQ(told(bytes + "\r\nmore"), what) << bytes;
}

TEST(Sniffer, TellsStreamsByTheirDefaultNamespace) {
  const std::string streams = " xmlns:stream='http://etherx.jabber.org/streams' to='a.example' version='1.0'>";
  expect_at_the_end("<stream:stream xmlns='jabber:client'" + streams, sniffed::c2s);
  expect_at_the_end("<stream:stream xmlns='jabber:server'" + streams, sniffed::s2s);
  expect_at_the_end(
      "<?xml version='1.0'?>\n<stream:stream to='b' xmlns=\"jabber:server\"" + streams.substr(0, 48) + ">",
      sniffed::s2s);
  expect_at_the_end("\r\n<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>", sniffed::c2s);
}

TEST(Sniffer, BelievesNothingThatOnlyLooksLikeANamespace) {
  EXPECT_EQ(told("<stream:stream to='jabber:server' xmlns='jabber:client' "
                 "xmlns:stream='http://etherx.jabber.org/streams'>"),
            sniffed::c2s);
  EXPECT_EQ(told("<stream:stream xmlns:x='jabber:server' xmlns='jabber:client' "
                 "xmlns:stream='http://etherx.jabber.org/streams'>"),
            sniffed::c2s);
}

TEST(Sniffer, TellsHttpByAWholeRequestLine) {
  expect_at_the_end("GET /.well-known/host-meta HTTP/1.1\r\n", sniffed::http);
  expect_at_the_end("OPTIONS * HTTP/1.0\n", sniffed::http);
}

TEST(Sniffer, TakesNothingElse) {
  for (const auto* bytes :
       {"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>",
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", "<stream xmlns='jabber:client'>",
        "<iq xmlns='jabber:client'>", "<!DOCTYPE a>", "</stream:stream>", "hello", "\x16\x03\x01", "get / HTTP/1.1\r\n",
        "GET / HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n", "GET  HTTP/1.1\r\n", "GET / x HTTP/1.1\r\n",
        "GET /\tx HTTP/1.1\r\n", "GET HTTP/1.1\r\n", "HELO a.example\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"}) {
    EXPECT_EQ(told(bytes), sniffed::other) << bytes;
  }
}

TEST(Sniffer, WaitsForNoMoreThanItsLimits) {  // L-1, L, L+1
  const auto line = [](std::size_t newline_at) { return "GET /" + std::string(newline_at - 14, 'x') + " HTTP/1.1\n"; };
  EXPECT_EQ(told(line(request_line_most - 1)), sniffed::http);
  EXPECT_EQ(told(line(request_line_most)), sniffed::other);
  EXPECT_EQ(told(std::string(request_line_most - 1, 'G')), sniffed::needs_more);
  EXPECT_EQ(told(std::string(request_line_most, 'G')), sniffed::other);
  EXPECT_EQ(told("<stream:stream to='" + std::string(limits().stanza_bytes, 'x')), sniffed::other);
}

}  // namespace
}  // namespace comity::connection
