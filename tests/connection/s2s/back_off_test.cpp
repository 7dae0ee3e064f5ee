#include "connection/s2s/back_off.hpp"

#include <gtest/gtest.h>

#include <random>

namespace comity::connection {
namespace {

using namespace std::chrono_literals;

const back_off::clock::time_point start{1000h};
const random_below lowest = [](std::uint64_t) { return 0U; };
const random_below highest = [](std::uint64_t bound) { return bound; };

random_below seeded(unsigned seed) {
  return [generator = std::mt19937_64{seed}](std::uint64_t bound) mutable {
    return std::uniform_int_distribution<std::uint64_t>{0, bound}(generator);
  };
}

TEST(BackOff, BeginsWithAnUnpredictableDelayUpToAMinute) {  // L06, RFC 6120 §3.3
  back_off::clock::duration sum{};
  for (unsigned seed = 0; seed < 1000; ++seed) {
    back_off b;
    const auto delay = b.failed(start, {}, seeded(seed)) - start;
    EXPECT_GE(delay, 0s);
    EXPECT_LE(delay, 60s);
    sum += delay;
  }
  EXPECT_GT(sum / 1000, 25s);
  EXPECT_LT(sum / 1000, 35s);
  back_off least, most;
  EXPECT_EQ(least.failed(start, {}, lowest), start);
  EXPECT_EQ(most.failed(start, {}, highest), start + 60s);
}

TEST(BackOff, DoublesUpToTheCapAndNeverAboveIt) {  // L06: truncated exponential, a fifth of jitter
  back_off shortest, longest;
  (void)shortest.failed(start, {}, lowest);
  (void)longest.failed(start, {}, highest);
  for (const auto& [low, high] : {std::pair{96s, 144s}, {192s, 288s}, {200s, 300s}, {200s, 300s}}) {
    EXPECT_EQ(shortest.failed(start, {}, lowest) - start, low);
    EXPECT_EQ(longest.failed(start, {}, highest) - start, high);
  }
  for (int many = 0; many < 100; ++many) {
    EXPECT_EQ(longest.failed(start, {}, highest) - start, 300s);
  }
}

TEST(BackOff, WaitsUntilItsTimeAndForgetsAfterASuccess) {
  back_off b;
  EXPECT_FALSE(b.waiting(start));
  const auto until = b.failed(start, {}, highest);
  EXPECT_TRUE(b.waiting(until - 1ms));
  EXPECT_FALSE(b.waiting(until));
  EXPECT_EQ(b.failures(), 1U);
  b.succeeded();
  EXPECT_EQ(b.failures(), 0U);
  EXPECT_LE(b.failed(start, {}, highest) - start, 60s) << "as if for the first time";
}

TEST(BackOff, KeepsRulesThatAreShorterThanUsual) {
  back_off b;
  const back_off_rules rules{.first = 100ms, .cap = 50ms};
  EXPECT_EQ(b.failed(start, rules, highest) - start, 50ms);
  EXPECT_LE(b.failed(start, rules, highest) - start, 50ms);
}

TEST(EndpointHealth, RemembersEachEndpointOnItsOwn) {
  endpoint_health h;
  h.failed("192.0.2.1:5269", start, {}, highest);
  EXPECT_FALSE(h.healthy("192.0.2.1:5269", start));
  EXPECT_TRUE(h.healthy("192.0.2.1:5270", start));
  EXPECT_TRUE(h.healthy("192.0.2.1:5269", start + 60s));
  h.failed("192.0.2.1:5269", start, {}, highest);
  EXPECT_FALSE(h.healthy("192.0.2.1:5269", start + 60s)) << "the second failure in a row costs more";
  h.succeeded("192.0.2.1:5269");
  EXPECT_TRUE(h.healthy("192.0.2.1:5269", start));
}

TEST(EndpointHealth, HoldsAsManyAsItsLimitAndNotOneMore) {
  endpoint_health h{3};
  h.failed("a", start, {}, highest);
  h.failed("b", start + 1s, {}, highest);
  h.failed("c", start + 2s, {}, highest);
  EXPECT_EQ(h.size(), 3U);
  h.failed("a", start + 2s, {}, lowest);  // known already: nothing has to go
  EXPECT_EQ(h.size(), 3U);
  h.failed("d", start + 3s, {}, highest);
  EXPECT_EQ(h.size(), 3U);
  EXPECT_TRUE(h.healthy("b", start + 3s)) << "free soonest, so forgotten";
  EXPECT_FALSE(h.healthy("c", start + 3s));
  EXPECT_FALSE(h.healthy("d", start + 3s));
  h.failed("e", start + 1h, {}, highest);
  EXPECT_EQ(h.size(), 1U) << "all the others' time was up";
}

}  // namespace
}  // namespace comity::connection
