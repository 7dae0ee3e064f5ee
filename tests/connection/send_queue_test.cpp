#include "connection/transport/send_queue.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace comity::connection
