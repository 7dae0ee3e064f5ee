// The counters of stream management (XEP-0198 §4): modulo 2^32, and never more acknowledged than sent.
#include "server/managed_stream.hpp"

#include <gtest/gtest.h>

#include <random>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using namespace std::chrono_literals;

managed_stream::entry numbered(std::uint64_t number, std::shared_ptr<managed_stream::copies> shared = {}) {
  static const auto from = address("a@example.com/x");
  return {stanza_builder{stanza_kind::message, stanza_type::chat, from, from, std::to_string(number)}.finish(),
          {},
          std::move(shared)};
}

// THREATS F2, by a model that counts without end: whatever is acknowledged and sent, from wherever the counters began.
TEST(ManagedStream, AgreesWithAModelOfEndlessCounters) {
  std::mt19937_64 random{7};
  const auto below = [&](std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>{0, n - 1}(random); };
  for (int run = 0; run < 200; ++run) {
    managed_stream stream{"id", 300s};
    // Most runs go past the end of 32 bits.
    std::uint64_t acknowledged = below(4) == 0 ? below(1ULL << 32U) : (1ULL << 32U) - below(50);
    std::uint64_t sent = acknowledged;
    stream.restore(0, static_cast<std::uint32_t>(acknowledged));
    for (int step = 0; step < 200; ++step) {
      if (below(2) == 0) {
        stream.sent(numbered(sent++));
      } else {
        // Often right, often just beside it, sometimes anything at all.
        const std::uint64_t claims =
            below(8) == 0 ? below(1ULL << 32U) : acknowledged + below(sent - acknowledged + 3) - 1;
        const auto h = static_cast<std::uint32_t>(claims);
        bool credible = false;
        std::uint64_t means = 0;
        for (auto n = acknowledged; n <= sent && !credible; ++n) {
          credible = static_cast<std::uint32_t>(n) == h;
          means = n;
        }
        ASSERT_EQ(stream.credible(h), credible) << h << " after " << acknowledged << " of " << sent;
        if (credible) {
          ASSERT_EQ(stream.acknowledge(h), means != acknowledged);
          acknowledged = means;
        }
      }
      ASSERT_EQ(stream.unacknowledged().size(), sent - acknowledged);
      ASSERT_EQ(stream.sent_count(), static_cast<std::uint32_t>(sent));
      if (sent != acknowledged) {
        ASSERT_EQ(stream.unacknowledged().front().stanza->id(), std::to_string(acknowledged))
            << "the oldest is the next";
      }
    }
  }
}

TEST(ManagedStream, CountsWhatTheClientSentModuloTwoToTheThirtySecond) {
  managed_stream stream{"id", 300s};
  stream.restore(UINT32_MAX, 0);
  EXPECT_EQ(stream.handled(), UINT32_MAX);
  stream.handled_one();
  EXPECT_EQ(stream.handled(), 0U);
}

TEST(ManagedStream, LosesNothingThatAnotherDeviceHasOrAwaits) {
  const auto shared = std::make_shared<managed_stream::copies>();
  managed_stream one{"1", 300s};
  managed_stream two{"2", 300s};
  one.sent(numbered(1, shared));
  two.sent(numbered(1, shared));
  EXPECT_TRUE(one.take_lost().empty()) << "the other still awaits it";
  EXPECT_EQ(two.take_lost().size(), 1U) << "and now nobody does";

  const auto again = std::make_shared<managed_stream::copies>();
  managed_stream three{"3", 300s};
  managed_stream four{"4", 300s};
  three.sent(numbered(2, again));
  four.sent(numbered(2, again));
  four.sent(numbered(3));
  EXPECT_TRUE(three.acknowledge(1));
  const auto lost = four.take_lost();
  ASSERT_EQ(lost.size(), 1U) << "the first is on the other device";
  EXPECT_EQ(lost[0].stanza->id(), "3");
}

}  // namespace
}  // namespace comity::server
