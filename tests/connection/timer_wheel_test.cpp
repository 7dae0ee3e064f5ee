#include "connection/timer_wheel.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using time_point = timer_wheel::clock::time_point;

struct alarm_entry final : timer_wheel::entry {
  std::function<void()> then = [] {};
  void expired() override { then(); }
};

class TimerWheel : public testing::Test {
protected:
  time_point start{1000h};
  timer_wheel wheel{start};
};

TEST_F(TimerWheel, ExpiresAtTheFirstTickNotBeforeTheDeadline) {
  for (const auto& [deadline, early, late] :
       {std::tuple{250ms, 299ms, 300ms}, std::tuple{300ms, 299ms, 300ms}, std::tuple{301ms, 399ms, 400ms}}) {
    timer_wheel w{start};
    alarm_entry e;
    bool rang = false;
    e.then = [&] { rang = true; };
    w.arm(e, start + deadline);
    w.advance(start + early);
    EXPECT_FALSE(rang) << deadline.count();
    w.advance(start + late);
    EXPECT_TRUE(rang) << deadline.count();
    EXPECT_EQ(w.armed(), 0U);
  }
}

TEST_F(TimerWheel, KeepsADeadlineOfManyTurns) {
  alarm_entry e;
  int rang = 0;
  e.then = [&] { ++rang; };
  wheel.arm(e, start + 10min);
  for (auto t = 100ms; t < 10min; t += 100ms) {
    wheel.advance(start + t);
  }
  EXPECT_EQ(rang, 0);
  wheel.advance(start + 10min);
  EXPECT_EQ(rang, 1);
}

TEST_F(TimerWheel, ExpiresEverythingAfterALongPause) {
  std::vector<std::unique_ptr<alarm_entry>> entries;
  int rang = 0;
  for (int i = 0; i < 1000; ++i) {
    entries.push_back(std::make_unique<alarm_entry>());
    entries.back()->then = [&] { ++rang; };
    wheel.arm(*entries.back(), start + i * 97ms);
  }
  wheel.advance(start + 24h);
  EXPECT_EQ(rang, 1000);
  EXPECT_EQ(wheel.armed(), 0U);
}

TEST_F(TimerWheel, LetsAnEntryArmItselfAgainAndEndOthers) {
  auto other = std::make_unique<alarm_entry>();
  auto self = std::make_unique<alarm_entry>();
  int rang = 0;
  self->then = [&] {
    other.reset();
    if (++rang < 3) {
      wheel.arm(*self, start + 100ms);  // past by now: the next tick
    }
  };
  other->then = [] { FAIL() << "destroyed before its turn"; };
  wheel.arm(*self, start + 100ms);
  wheel.arm(*other, start + 100ms);
  wheel.advance(start + 100ms);
  wheel.advance(start + 200ms);
  wheel.advance(start + 300ms);
  wheel.advance(start + 400ms);
  EXPECT_EQ(rang, 3);
}

TEST_F(TimerWheel, ForgetsWhatIsCancelledDestroyedOrMoved) {
  alarm_entry cancelled;
  cancelled.then = [] { FAIL(); };
  wheel.arm(cancelled, start + 100ms);
  cancelled.cancel();
  EXPECT_FALSE(cancelled.armed());
  {
    alarm_entry destroyed;
    destroyed.then = [] { FAIL(); };
    wheel.arm(destroyed, start + 100ms);
  }
  alarm_entry moved;
  bool rang = false;
  moved.then = [&] { rang = true; };
  wheel.arm(moved, start + 100ms);
  wheel.arm(moved, start + 5s);
  EXPECT_EQ(wheel.armed(), 1U);
  wheel.advance(start + 1s);
  EXPECT_FALSE(rang);
  wheel.advance(start + 5s);
  EXPECT_TRUE(rang);
  EXPECT_EQ(wheel.next(), std::nullopt);
}

/// THREATS X13: memory that one lacks is no reason for another to wait for ever.
TEST_F(TimerWheel, WhatOneThrowsIsToldOnceTheOthersHadTheirTurn) {
  alarm_entry thrower, same_tick, later_tick, next_round;
  int rang = 0;
  thrower.then = [] { throw std::runtime_error{"no memory"}; };
  same_tick.then = later_tick.then = [&] { ++rang; };
  wheel.arm(thrower, start + 100ms);
  wheel.arm(same_tick, start + 100ms);
  wheel.arm(later_tick, start + 200ms);
  wheel.arm(next_round, start + 100ms + 512 * timer_wheel::tick);
  EXPECT_THROW(wheel.advance(start + 300ms), std::runtime_error);
  EXPECT_EQ(rang, 2);
  EXPECT_FALSE(thrower.armed());
  EXPECT_EQ(wheel.armed(), 1U);
  EXPECT_NO_THROW(wheel.advance(start + 400ms));
}

TEST_F(TimerWheel, LetsEntriesOutliveIt) {
  alarm_entry e;
  {
    timer_wheel w{start};
    w.arm(e, start + 1s);
  }
  EXPECT_FALSE(e.armed());
}

}  // namespace
}  // namespace comity::connection
