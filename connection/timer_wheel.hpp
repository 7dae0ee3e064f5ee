// connection/timer_wheel.hpp: coarse deadlines for very many connections at the price of a list node each.
//
// Pure: time is told to it by advance(). Entries are intrusive, owned by whoever waits, and leave the wheel when they
// are destroyed. One thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

namespace comity::connection {

class timer_wheel {
public:
  using clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds tick{100};

  class entry {
  public:
    entry() = default;
    virtual ~entry();
    entry(const entry&) = delete;
    entry& operator=(const entry&) = delete;
    [[nodiscard]] bool armed() const noexcept { return next_ != nullptr; }
    void cancel() noexcept;

  protected:
    /// Called by advance() once the deadline has passed; the entry is no longer armed and may arm itself again.
    virtual void expired() = 0;

  private:
    friend class timer_wheel;
    entry* next_ = nullptr;
    entry* previous_ = nullptr;
    timer_wheel* wheel_ = nullptr;
    std::uint64_t due_ = 0;  // in ticks since the wheel began
  };

  explicit timer_wheel(clock::time_point now);
  ~timer_wheel();
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  /// Arms (or moves) `e` to expire at the first tick at or after `deadline`, never before it.
  void arm(entry& e, clock::time_point deadline) noexcept;
  /// Expires what is due. An entry may arm, cancel or destroy any entry, itself included, while this runs.
  void advance(clock::time_point now);
  /// When advance() should next be called; nullopt while nothing is armed.
  [[nodiscard]] std::optional<clock::time_point> next() const noexcept;
  [[nodiscard]] std::size_t armed() const noexcept { return armed_; }

private:
  static constexpr std::size_t slots = 512;
  struct head final : entry {
    void expired() override {}
  };
  void unlink(entry& e) noexcept;

  clock::time_point begin_;
  std::uint64_t now_ = 0;  // last tick advanced to
  std::size_t armed_ = 0;
  std::array<head, slots> wheel_;
};

}  // namespace comity::connection
