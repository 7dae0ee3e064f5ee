#include "connection/transport/send_queue.hpp"

#include <gtest/gtest.h>

#include "connection/transport/websocket_frames.hpp"

namespace comity::connection {
namespace {

stanza_ref message(std::size_t body) {
  stanza_builder b{stanza_kind::message, stanza_type::chat, *jid::parse("a@example.org/x"),
                   *jid::parse("b@example.org"), "1"};
  b.writer().leaf("body", {}, std::string(body, 'x'));
  return b.finish();
}

std::string drain(send_queue& q, std::size_t a_time) {
  std::string all, scratch;
  while (!q.empty()) {
    const auto bytes = q.next(scratch, 100);
    const auto n = std::min(a_time, bytes.size());
    all += bytes.substr(0, n);
    q.written(bytes, n);
  }
  return all;
}

TEST(SendQueue, GivesTheSameBytesHoweverTheyAreTaken) {
  std::string expected;
  message(10)->wire(expected);
  expected += "<a/><b/>";
  message(500)->wire(expected);
  for (std::size_t a_time = 1; a_time < 200; ++a_time) {
    send_queue q{1U << 20U};
    EXPECT_TRUE(q.push(message(10)));
    q.push("<a/>");
    q.push("<b/>");
    EXPECT_TRUE(q.push(message(500)));
    EXPECT_EQ(q.bytes(), expected.size());
    EXPECT_EQ(drain(q, a_time), expected);
    EXPECT_EQ(q.bytes(), 0U);
  }
}

TEST(SendQueue, TakesUpToItsLimitAndNotOneByteMore) {  // THREATS F4: L-1, L, L+1
  const auto size = message(100)->wire_size();
  for (const auto& [limit, fits] : {std::pair{size - 1, false}, std::pair{size, true}, std::pair{size + 1, true}}) {
    send_queue q{limit};
    EXPECT_EQ(q.push(message(100)), fits) << limit;
    EXPECT_EQ(q.empty(), !fits);
  }
}

TEST(SendQueue, KeepsAStanzaThatHasBegunWhenTheRestIsGivenUp) {
  send_queue q{1U << 20U};
  EXPECT_TRUE(q.push(message(10)));
  std::string scratch;
  const auto bytes = q.next(scratch, 100);
  const std::string begun{bytes};
  q.written(bytes, 5);
  EXPECT_TRUE(q.push(message(20)));
  q.drop_unstarted();
  q.push("</stream:stream>");
  EXPECT_EQ(drain(q, 7), begun.substr(5) + "</stream:stream>");
}

// --- WebSocket -------------------------------------------------------------------------------------------------------

TEST(SendQueue, MakesEachStanzaAMessageThatStandsAlone) {  // RFC 7395 §3.3.3; RFC 6455 §5.2: each length of a header
  for (const std::size_t body : {1U, 20U, 60U, 1000U, 65300U, 65400U, 65500U, 70000U}) {
    std::string alone;
    message(body)->wire_alone(alone);
    EXPECT_EQ(alone.size(), message(body)->wire_alone_size());
    EXPECT_TRUE(alone.starts_with("<message xmlns='jabber:client' to='b@example.org'")) << alone.substr(0, 80);
    std::string expected;
    for (int i = 0; i < 2; ++i) {
      expected += websocket::frame(websocket::opcode::text, alone) + "pong";
    }
    for (const std::size_t a_time : {std::size_t{1}, std::size_t{7}, expected.size()}) {
      send_queue q{expected.size(), stream_framing::websocket};
      for (int i = 0; i < 2; ++i) {
        EXPECT_TRUE(q.push(message(body)));
        q.push("pong");
      }
      EXPECT_EQ(q.bytes(), expected.size());
      EXPECT_EQ(drain(q, a_time), expected);
      EXPECT_EQ(q.bytes(), 0U);
    }
  }
}

TEST(SendQueue, CountsWhatAMessageTakes) {  // THREATS F4: L-1, L, L+1
  const auto size = 4 + message(200)->wire_alone_size();
  for (const auto& [limit, fits] : {std::pair{size - 1, false}, std::pair{size, true}, std::pair{size + 1, true}}) {
    send_queue q{limit, stream_framing::websocket};
    EXPECT_EQ(q.push(message(200)), fits) << limit;
  }
  send_queue q{1U << 20U, stream_framing::websocket};
  EXPECT_TRUE(q.push(message(200)));
  q.push("own");
  EXPECT_EQ(1U, q.take_unstarted().size());
  EXPECT_EQ(3U, q.bytes());
}

TEST(SendQueue, GivesWhatStandsApartByItself) {
  send_queue q{100};
  std::string scratch;
  q.push("one");
  q.push("two", true);
  q.push("three");
  q.push("four");
  EXPECT_EQ(q.next(scratch, 1000), "onetwo");
  q.written(scratch, 6);
  EXPECT_EQ(q.next(scratch, 1000), "threefour");
  q.written(scratch, 9);
  EXPECT_TRUE(q.empty());
  EXPECT_EQ(q.bytes(), 0U);
}

}  // namespace
}  // namespace comity::connection
