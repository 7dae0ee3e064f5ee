// How much of a peer's bytes may be read at a time (L09, RFC 6120 §13.12 (6)), at the edges of rates and clocks.
#include "connection/transport/token_bucket.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using time_point = token_bucket::clock::time_point;

constexpr time_point begin{1000s};

TEST(TokenBucket, GivesASecondsWorthAtOnceAndTheRateFromThenOn) {  // L09
  token_bucket b{1000, begin};
  EXPECT_EQ(1000U, b.available(begin));
  EXPECT_LE(b.ready_at(), begin);
  b.take(999, begin);
  EXPECT_EQ(1U, b.available(begin));
  b.take(1, begin);
  EXPECT_EQ(0U, b.available(begin));
  EXPECT_EQ(begin + 1ms, b.ready_at());
  EXPECT_EQ(0U, b.available(begin + 1ms - 1ns));
  EXPECT_EQ(1U, b.available(begin + 1ms));
  EXPECT_EQ(1U, b.available(begin + 2ms - 1ns));
  EXPECT_EQ(999U, b.available(begin + 1s - 1ns));
  EXPECT_EQ(1000U, b.available(begin + 1s));
}

TEST(TokenBucket, HoldsNoMoreThanASecondHoweverLongNothingComes) {
  token_bucket b{1000, begin};
  b.take(1000, begin);
  const auto late = begin + std::chrono::years{100};
  EXPECT_EQ(1000U, b.available(late));
  b.take(1000, late);
  EXPECT_EQ(0U, b.available(late));
  EXPECT_EQ(late + 1ms, b.ready_at());
}

TEST(TokenBucket, WhatWasTakenTooMuchIsWaitedFor) {
  token_bucket b{1000, begin};
  b.take(3500, begin);
  EXPECT_EQ(begin + 2501ms, b.ready_at());
  EXPECT_EQ(0U, b.available(begin + 2501ms - 1ns));
  EXPECT_EQ(1U, b.available(begin + 2501ms));
}

TEST(TokenBucket, AByteASecondIsARate) {
  token_bucket b{1, begin};
  EXPECT_EQ(1U, b.available(begin));
  for (int i = 0; i < 5; ++i) {
    const auto at = begin + std::chrono::seconds{i};
    EXPECT_EQ(1U, b.available(at));
    b.take(1, at);
    EXPECT_EQ(at + 1s, b.ready_at());
    EXPECT_EQ(0U, b.available(at + 1s - 1ns));
  }
}

/// Whoever reads whenever there is something gets the rate, and never a byte more: no fraction is given twice.
TEST(TokenBucket, InTheLongRunGivesTheRateAndNoByteMore) {
  for (const std::uint64_t rate : {1ULL, 3ULL, 7ULL, 999ULL, 65'536ULL, 1'000'003ULL, 1ULL << 30U}) {
    token_bucket b{rate, begin};
    b.take(rate, begin);
    std::uint64_t taken = 0;
    auto now = begin;
    for (int step = 0; now < begin + 10s; ++step) {
      now += step % 3 == 0 ? 1ms : step % 3 == 1 ? 37ms : 99'999'999ns;
      const auto bytes = b.available(now);
      b.take(bytes, now);
      taken += bytes;
      const auto passed = static_cast<std::uint64_t>((now - begin).count());
      EXPECT_LE(taken, passed / 1'000'000'000 * rate + passed % 1'000'000'000 * rate / 1'000'000'000) << rate;
    }
    EXPECT_GE(taken, 10 * rate - rate / 100'000 - 1) << rate;
  }
}

TEST(TokenBucket, IsReadyWhenItSaysAndNotBefore) {
  for (const std::uint64_t rate : {1ULL, 2ULL, 3ULL, 7ULL, 65'536ULL, 1'000'003ULL, 1ULL << 30U}) {
    for (const std::uint64_t bytes : {rate, rate + 1, 5 * rate + 2}) {
      token_bucket b{rate, begin};
      b.take(bytes, begin);
      EXPECT_EQ(0U, b.available(b.ready_at() - 1ns)) << rate;
      EXPECT_GE(b.available(b.ready_at()), 1U) << rate;
    }
  }
}

TEST(TokenBucket, KeepsToItsLimitsAtTheEndsOfTheClock) {
  token_bucket early{1000, time_point::min()};
  EXPECT_EQ(1000U, early.available(time_point::min()));
  EXPECT_EQ(1000U, early.available(time_point::max()));

  token_bucket late{1000, time_point::max() - 1s};
  EXPECT_EQ(0U, late.available(time_point::min()));  // a clock that went back: nothing, not a flood
  late.take(1000, time_point::max() - 1s);
  EXPECT_EQ(0U, late.available(time_point::max() - 1s));
  EXPECT_EQ(1000U, late.available(time_point::max()));
  late.take(1, time_point::max());  // beyond what the clock can tell
  EXPECT_EQ(1000U, late.available(time_point::max()));

  token_bucket slow{1, begin};
  slow.take(std::numeric_limits<std::uint64_t>::max(), begin);
  slow.take(std::numeric_limits<std::uint64_t>::max(), begin);
  EXPECT_EQ(0U, slow.available(begin + std::chrono::years{200}));
  EXPECT_EQ(time_point::max(), slow.ready_at());
}

TEST(TokenBucket, CountsRatesThatAreNoneAsTheNearest) {
  EXPECT_EQ(1U, (token_bucket{0, begin}.available(begin)));
  EXPECT_EQ(token_bucket::highest_rate,
            (token_bucket{std::numeric_limits<std::uint64_t>::max(), begin}.available(begin)));
  token_bucket fast{token_bucket::highest_rate, begin};
  fast.take(2 * token_bucket::highest_rate - 1, begin);
  EXPECT_EQ(0U, fast.available(begin));
  EXPECT_EQ(token_bucket::highest_rate, fast.available(begin + 2s));
}

}  // namespace
}  // namespace comity::connection
