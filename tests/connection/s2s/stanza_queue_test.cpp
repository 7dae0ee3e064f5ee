#include "connection/s2s/stanza_queue.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace comity::connection {
namespace {

using namespace std::chrono_literals;

const stanza_queue::clock::time_point start{1000h};

stanza_ref message(int number, std::size_t body = 10) {
  stanza_builder b{stanza_kind::message, stanza_type::chat, *jid::parse("a@example.org/x"),
                   *jid::parse("b@far.example"), std::to_string(number)};
  b.writer().leaf("body", {}, std::string(body, 'x'));
  return b.finish();
}

std::vector<std::string> ids(const std::vector<stanza_ref>& stanzas) {
  std::vector<std::string> all;
  for (const auto& s : stanzas) {
    all.push_back(s->id());
  }
  return all;
}

class StanzaQueue : public testing::Test {
protected:
  queue_budget budget;
  stanza_queue queue{budget};
  stanza_queue_limits limits;
};

TEST_F(StanzaQueue, GivesStanzasInTheOrderInWhichTheyCame) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(queue.push(message(i), start, limits));
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(queue.pop()->id(), std::to_string(i));
  }
  EXPECT_EQ(queue.pop(), nullptr);
  EXPECT_EQ(queue.bytes(), 0U);
  EXPECT_EQ(budget.used(), 0U);
}

TEST_F(StanzaQueue, TakesAsManyStanzasAsItsLimitAndNotOneMore) {  // THREATS D6: L-1, L, L+1
  for (int i = 0; i < 999; ++i) {
    ASSERT_TRUE(queue.push(message(i), start, limits));
  }
  EXPECT_TRUE(queue.push(message(999), start, limits));
  EXPECT_FALSE(queue.push(message(1000), start, limits));
  EXPECT_EQ(queue.size(), 1000U);
  (void)queue.pop();
  EXPECT_TRUE(queue.push(message(1000), start, limits));
}

TEST_F(StanzaQueue, TakesAsManyBytesAsItsLimitAndNotOneMore) {  // THREATS D6: L-1, L, L+1
  const auto size = message(1, 100)->wire_size();
  for (const auto& [bytes, fits] : {std::pair{2 * size - 1, false}, {2 * size, true}, {2 * size + 1, true}}) {
    stanza_queue q{budget};
    limits.bytes = bytes;
    EXPECT_TRUE(q.push(message(1, 100), start, limits));
    EXPECT_EQ(q.push(message(2, 100), start, limits), fits) << bytes;
    EXPECT_EQ(q.size(), fits ? 2U : 1U);
  }
}

TEST(QueueBudget, BoundsWhatAllQueuesHoldTogether) {  // THREATS §2a: 64 MiB in all; L-1, L, L+1
  const auto size = message(1)->wire_size();
  for (const auto& [bytes, fits] : {std::pair{2 * size - 1, false}, {2 * size, true}, {2 * size + 1, true}}) {
    queue_budget budget{bytes};
    {
      stanza_queue one{budget}, other{budget};
      EXPECT_TRUE(one.push(message(1), start, {}));
      EXPECT_EQ(other.push(message(2), start, {}), fits) << bytes;
      EXPECT_EQ(other.size(), fits ? 1U : 0U);
      EXPECT_EQ(budget.used(), fits ? 2 * size : size);
    }
    EXPECT_EQ(budget.used(), 0U) << "a queue that goes gives back what it held";
  }
}

TEST_F(StanzaQueue, GivesUpEachStanzaAtItsOwnTime) {
  EXPECT_EQ(queue.next_deadline(), std::nullopt);
  ASSERT_TRUE(queue.push(message(1), start, limits));
  ASSERT_TRUE(queue.push(message(2), start + 10s, limits));
  EXPECT_EQ(queue.next_deadline(), start + 60s);
  EXPECT_TRUE(queue.expire(start + 60s - 1ms).empty());
  EXPECT_EQ(ids(queue.expire(start + 60s)), std::vector<std::string>{"1"});
  EXPECT_EQ(queue.next_deadline(), start + 70s);
  EXPECT_EQ(ids(queue.expire(start + 1h)), std::vector<std::string>{"2"});
  EXPECT_TRUE(queue.empty());
}

TEST_F(StanzaQueue, PutsUnwrittenStanzasBeforeAllOthers) {
  ASSERT_TRUE(queue.push(message(1), start, limits));
  ASSERT_TRUE(queue.push(message(2), start, limits));
  std::vector<stanza_ref> unwritten{queue.pop(), queue.pop()};
  ASSERT_TRUE(queue.push(message(3), start, limits));
  queue.put_back(std::move(unwritten), start + 30s, limits);
  EXPECT_EQ(ids(queue.expire(start + 60s)), std::vector<std::string>{"3"}) << "the others have their whole time again";
  EXPECT_EQ(queue.next_deadline(), start + 90s);
  EXPECT_EQ(ids(queue.take_all()), (std::vector<std::string>{"1", "2"}));
}

TEST_F(StanzaQueue, TakesBackWhatItHadAcceptedWhateverTheLimits) {
  ASSERT_TRUE(queue.push(message(1), start, limits));
  std::vector<stanza_ref> unwritten{queue.pop()};
  limits.stanzas = 1;
  ASSERT_TRUE(queue.push(message(2), start, limits));
  queue.put_back(std::move(unwritten), start, limits);
  EXPECT_EQ(queue.size(), 2U);
  EXPECT_FALSE(queue.push(message(3), start, limits));
}

TEST_F(StanzaQueue, LetsNothingOutTwiceAndLosesNothing) {  // THREATS D6: sum in = sum out, whatever happens
  std::mt19937 random{1};
  std::multiset<std::string> in, out;
  std::vector<stanza_ref> flying;
  limits.stanzas = 20;
  auto now = start;
  const auto gone = [&](const std::vector<stanza_ref>& left) {
    for (const auto& s : left) {
      out.insert(s->id());
    }
  };
  for (int i = 0; i < 20'000; ++i) {
    now += std::chrono::milliseconds{random() % 3000};
    switch (random() % 8) {
      default:
        if (queue.push(message(i), now, limits)) {
          in.insert(std::to_string(i));
        }
        break;
      case 0:
        if (auto s = queue.pop()) {
          flying.push_back(std::move(s));
        }
        break;
      case 1:
        queue.put_back(std::exchange(flying, {}), now, limits);
        break;
      case 2:
        gone(std::exchange(flying, {}));
        break;
      case 3:
        gone(queue.expire(now));
        break;
    }
  }
  gone(flying);
  gone(queue.take_all());
  EXPECT_EQ(in, out);
  EXPECT_EQ(budget.used(), 0U);
  EXPECT_EQ(queue.bytes(), 0U);
}

}  // namespace
}  // namespace comity::connection
