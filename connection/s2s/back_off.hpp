// connection/s2s/back_off.hpp: how long to leave a peer alone after a failure (RFC 6120 §3.3; L06). Pure: time and
// randomness are the caller's.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace comity::connection {

struct back_off_rules {
  std::chrono::milliseconds first{std::chrono::seconds{60}};  // the first delay is random, from 0 to this
  std::chrono::milliseconds cap{std::chrono::seconds{300}};   // no delay is longer
  friend bool operator==(const back_off_rules&, const back_off_rules&) = default;
};

/// A number from 0 to `bound`, both included.
using random_below = std::function<std::uint64_t(std::uint64_t bound)>;

class back_off {
public:
  using clock = std::chrono::steady_clock;

  /// A failure at `now`: the time before which nothing is to be tried again. RFC 6120 §3.3: first an unpredictable
  /// number of seconds from 0 to 60; then twice as long each time, give or take a fifth, and never above the cap.
  clock::time_point failed(clock::time_point now, const back_off_rules&, const random_below&);
  /// It worked: all is forgotten.
  void succeeded() noexcept { *this = back_off{}; }

  [[nodiscard]] bool waiting(clock::time_point now) const noexcept { return failures_ != 0 && now < until_; }
  [[nodiscard]] clock::time_point until() const noexcept { return until_; }
  [[nodiscard]] std::uint32_t failures() const noexcept { return failures_; }

private:
  std::uint32_t failures_ = 0;
  clock::time_point until_;
};

/// What is remembered of endpoints, whichever domains they serve: one that failed lately is tried after those that did
/// not. Bounded: beyond `limit` endpoints those whose time is up are forgotten, then the one that is free soonest.
class endpoint_health {
public:
  using clock = back_off::clock;
  explicit endpoint_health(std::size_t limit = 4096) noexcept : limit_{limit} {}

  void failed(const std::string& endpoint, clock::time_point now, const back_off_rules&, const random_below&);
  void succeeded(const std::string& endpoint);
  /// Nothing speaks against trying it now.
  [[nodiscard]] bool healthy(const std::string& endpoint, clock::time_point now) const;
  [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }

private:
  void make_room(clock::time_point now);
  std::size_t limit_;
  std::map<std::string, back_off, std::less<>> known_;
};

}  // namespace comity::connection
