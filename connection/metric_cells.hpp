// connection/metric_cells.hpp: what counts and times are kept in, so that counting costs a plain load and store.
//
// Each is written by one thread alone and read by any; a scrape sums those of all threads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace comity::connection {

/// An enumerator as a place in an array.
template <typename Enum>
[[nodiscard]] constexpr std::size_t index(Enum e) noexcept {
  return static_cast<std::size_t>(std::to_underlying(e));
}

/// Written by one thread, read by any: a plain load and store, no locked instruction.
class counter {
public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> value_{0};
};

/// Upper bounds of buckets in seconds: from a hash to a peer that lets us wait out a deadline.
inline constexpr std::array<double, 12> time_bounds{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                                    0.05,   0.1,   0.25,   1,     5,    30};

struct histogram {
  std::array<counter, time_bounds.size() + 1> buckets;
  counter nanoseconds;

  void observe(std::chrono::nanoseconds took) noexcept {
    const double seconds = std::chrono::duration<double>{took}.count();
    const auto at = std::ranges::lower_bound(time_bounds, seconds) - time_bounds.begin();
    buckets[static_cast<std::size_t>(at)].add();
    nanoseconds.add(static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0)));
  }
};

}  // namespace comity::connection
