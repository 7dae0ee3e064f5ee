#include "connection/transport/token_bucket.hpp"

#include <algorithm>

namespace comity::connection {

namespace {

using nanoseconds = std::chrono::nanoseconds;

constexpr std::uint64_t second = 1'000'000'000;
// A part of a second times a rate is counted in 64 bits.
static_assert(token_bucket::highest_rate < UINT64_MAX / second);

constexpr std::uint64_t rounded_up(std::uint64_t dividend, std::uint64_t divisor) noexcept {
  return dividend / divisor + (dividend % divisor == 0 ? 0 : 1);
}

}  // namespace

token_bucket::token_bucket(std::uint64_t bytes_per_second, clock::time_point now) noexcept
    : rate_{std::clamp(bytes_per_second, std::uint64_t{1}, highest_rate)}, full_at_{now} {
}

std::uint64_t token_bucket::available(clock::time_point now) const noexcept {
  if (now >= full_at_) {
    return rate_;
  }
  // The difference of any two points of the clock fits where there is no sign.
  const auto missing = static_cast<std::uint64_t>(nanoseconds{full_at_.time_since_epoch()}.count()) -
                       static_cast<std::uint64_t>(nanoseconds{now.time_since_epoch()}.count());
  return missing >= second ? 0 : rate_ - rounded_up(missing * rate_, second);
}

void token_bucket::take(std::uint64_t bytes, clock::time_point now) noexcept {
  const auto from = std::max(full_at_, now);
  // Rounded against the peer: in the long run it never has more than the rate.
  const auto part = rounded_up(bytes % rate_ * second, rate_);
  const auto left = static_cast<std::uint64_t>(nanoseconds{clock::time_point::max().time_since_epoch()}.count()) -
                    static_cast<std::uint64_t>(nanoseconds{from.time_since_epoch()}.count());
  if (part > left || bytes / rate_ > (left - part) / second) {
    full_at_ = clock::time_point::max();
    return;
  }
  full_at_ = from + nanoseconds{bytes / rate_ * second} + nanoseconds{part};
}

token_bucket::clock::time_point token_bucket::ready_at() const noexcept {
  return full_at_ - nanoseconds{(rate_ - 1) * second / rate_};
}

}  // namespace comity::connection
