// server/log.hpp: the server's log: one line an event on standard error, and never a wait for whoever reads it.
//
// Callers append to a bounded queue; a thread of the log's own writes it out. When the reader is too slow, lines are
// dropped and counted, and the count is an event of its own (log.dropped) once there is room again. Made once, by main,
// before anything that logs, and gone after it. Every member may be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "connection/log.hpp"
#include "server/config/settings.hpp"

namespace comity {

class server_log final : public log::sink {
public:
  struct setup {
    int descriptor = 2;  // borrowed; stays open until the log is gone. Its flags are left as they are
    config::log_settings settings;
    std::size_t queue_bytes = 1U << 20U;
    std::chrono::milliseconds last_wait{2000};  // the destructor's bound on writing what is queued
  };

  explicit server_log(const setup&);
  /// Writes what is queued, for at most `last_wait`; what nobody reads by then is lost.
  ~server_log() override;
  server_log(const server_log&) = delete;
  server_log& operator=(const server_log&) = delete;

  [[nodiscard]] bool enabled(log::level) const noexcept override;
  void write(log::level, std::string_view event, std::initializer_list<log::field> fields) noexcept override;

  /// Level and format from now on, for a reload.
  void apply(const config::log_settings&) noexcept;
  /// The level alone, until the next apply().
  void level(log::level l) noexcept { level_.store(l, std::memory_order_relaxed); }
  [[nodiscard]] log::level level() const noexcept { return level_.load(std::memory_order_relaxed); }

  /// Waits until everything written before is out, for at most `most`. False: it is not.
  bool flush(std::chrono::milliseconds most) noexcept;

  /// Events since the start that their level let through, by level; dropped ones count.
  [[nodiscard]] std::array<std::uint64_t, log::level_count> counts() const noexcept;
  /// Lines since the start that were not written.
  [[nodiscard]] std::uint64_t dropped() const noexcept;

private:
  struct shared;  // outlives this object where the writer is stuck in the kernel
  static void run(const std::shared_ptr<shared>&) noexcept;

  std::shared_ptr<shared> shared_;
  std::chrono::milliseconds last_wait_;
  std::atomic<log::level> level_;
  std::atomic<config::log_format> format_;
  std::array<std::atomic<std::uint64_t>, log::level_count> counts_{};
};

}  // namespace comity
