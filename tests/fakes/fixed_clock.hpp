// tests/fakes/fixed_clock.hpp: a wall clock that stands still until it is moved.
#pragma once

#include <chrono>

#include "server/router.hpp"

namespace comity::fakes {

class fixed_clock {
public:
  /// 2026-01-02T03:04:05Z.
  [[nodiscard]] std::chrono::system_clock::time_point now() const noexcept { return now_; }
  void advance(std::chrono::seconds by) noexcept { now_ += by; }
  /// For collaborators; this object outlives its uses.
  [[nodiscard]] server::wall_clock clock() noexcept {
    return [this] { return now_; };
  }

private:
  std::chrono::system_clock::time_point now_{std::chrono::seconds{1'767'323'045}};
};

}  // namespace comity::fakes
