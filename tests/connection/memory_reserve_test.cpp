// THREATS X13: who fails where there is no memory, and who is carried through.
#include "connection/memory_reserve.hpp"

#include <gtest/gtest.h>

#include <new>

namespace comity::connection {
namespace {

class MemoryReserve : public ::testing::Test {
protected:
  MemoryReserve() { keep_memory_in_reserve(); }
  ~MemoryReserve() override { std::set_new_handler(before_); }
  /// What operator new does where the system has nothing to give.
  static void nothing_left() { std::get_new_handler()(); }
  std::new_handler before_ = std::get_new_handler();
};

TEST_F(MemoryReserve, CarriesThroughWhatWasBegun) {
  for (int piece = 0; piece < memory_reserve_pieces; ++piece) {
    EXPECT_NO_THROW(nothing_left()) << piece;
  }
}

TEST_F(MemoryReserve, IsShortOnceLessThanHalfIsLeft) {
  for (int piece = 0; piece < memory_reserve_pieces / 2; ++piece) {
    EXPECT_FALSE(memory_is_short()) << piece;
    nothing_left();
  }
  EXPECT_FALSE(memory_is_short());
  nothing_left();
  EXPECT_TRUE(memory_is_short());
  refill_memory_reserve();
  EXPECT_FALSE(memory_is_short());
}

TEST_F(MemoryReserve, WaitsForMoreOnceItIsUsedUp) {
  for (int piece = 0; piece < memory_reserve_pieces; ++piece) {
    nothing_left();
  }
  EXPECT_NO_THROW(nothing_left());  // for a moment: meanwhile others may have given something back
  refill_memory_reserve();
}

TEST_F(MemoryReserve, IsNotForWhatFailsAtOnce) {
  for (int each = 0; each < 2 * memory_reserve_pieces; ++each) {
    const memory_policy policy{memory_policy::work::fails_at_once};
    EXPECT_THROW(nothing_left(), std::bad_alloc);
  }
  EXPECT_FALSE(memory_is_short());
}

TEST_F(MemoryReserve, TheInnermostPolicyHolds) {
  const memory_policy outer{memory_policy::work::fails_at_once};
  {
    const memory_policy inner{memory_policy::work::begun};
    EXPECT_NO_THROW(nothing_left());
  }
  EXPECT_THROW(nothing_left(), std::bad_alloc);
}

}  // namespace
}  // namespace comity::connection
