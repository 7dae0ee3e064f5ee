// connection/transport/token_bucket.hpp: how much of a peer's bytes may be read at a time for it to keep to a rate
// (L09, RFC 6120 §13.12 (6)).
//
// The bucket holds what a second gives, and is full at first: that much may come at once, and the rate from then on.
// Kept as one point in time, that at which it is full again, so it neither ticks nor loses fractions of a byte while
// nothing comes. Pure: time is told to it. One thread.
#pragma once

#include <chrono>
#include <cstdint>

namespace comity::connection {

class token_bucket {
public:
  using clock = std::chrono::steady_clock;
  /// More a second is counted as this.
  static constexpr std::uint64_t highest_rate = 16ULL << 30U;

  /// `bytes_per_second` is at least 1.
  token_bucket(std::uint64_t bytes_per_second, clock::time_point now) noexcept;

  /// How many bytes may be read now; at most those of a second.
  [[nodiscard]] std::uint64_t available(clock::time_point now) const noexcept;
  /// `bytes` were read. More than there were is a debt, which is waited for.
  void take(std::uint64_t bytes, clock::time_point now) noexcept;
  /// The first moment at which a byte may be read; past where one may be now.
  [[nodiscard]] clock::time_point ready_at() const noexcept;

private:
  std::uint64_t rate_;
  clock::time_point full_at_;
};

}  // namespace comity::connection
