// server/loop_pool.hpp: the event loops, their threads, and the connections on them.
//
// Made, started and stopped by the daemon's control thread. It is what the router knows of loops: the way to a user's
// home and the way out to a session.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/loop.hpp"
#include "connection/loop_connections.hpp"
#include "server/router.hpp"

namespace comity::server {

class loop_pool final : public homes, public outlet {
public:
  /// `metrics` has a cell for each of the `count` loops, and outlives this.
  loop_pool(unsigned count, connection::connection_metrics& metrics);
  ~loop_pool() override;

  [[nodiscard]] std::size_t size() const noexcept { return loops_.size(); }
  [[nodiscard]] connection::loop& loop(std::size_t index) noexcept { return *loops_.at(index); }
  [[nodiscard]] connection::loop_connections& connections_of(std::size_t index) noexcept {
    return *connections_.at(index);
  }
  /// The loop with the fewest connections. Any thread.
  [[nodiscard]] connection::loop_connections& least_busy() noexcept;
  /// The loop on which at_home() runs work of that user.
  [[nodiscard]] connection::loop_connections& home(const jid& bare_user) noexcept {
    return *connections_[home_of(bare_user)];
  }
  [[nodiscard]] connection::connections& connections() noexcept { return *all_; }

  /// Who looks on; before start().
  void tap(trace::tap&) noexcept;
  /// Who hears of what failed on a loop and belongs to no connection; before start().
  void report_to(log::sink&);
  /// One thread a loop. Control thread.
  void start();
  /// Runs `all_answered` on the loop that is the last to come to what was posted to each of them now. While one is
  /// stuck it does not run. Any thread.
  void ask_all(std::move_only_function<void()> all_answered);
  /// Runs `counted` with the number of deadlines that are armed on all loops, as ask_all() does. Any thread.
  void count_timers(std::move_only_function<void(std::size_t)> counted);
  /// Waits until every loop has done what was posted to it before now, a few times over: work that posts work.
  void settle();
  /// Ends the threads, then the connections that were left. Control thread; the router must still be there.
  void stop();

  void at_home(const jid& user, std::move_only_function<void()> work) override;
  [[nodiscard]] std::unique_ptr<waiting> after(const jid& bare_user, std::chrono::milliseconds,
                                               std::move_only_function<void()> work) override;
  void expect(connection::session_ref) noexcept override;
  void send(connection::session_ref to, stanza_ref) override;
  void say(connection::session_ref, std::string element) override;
  void overcounted(connection::session_ref, std::uint32_t handled, std::uint32_t sent) override;
  void close(connection::session_ref, stream_condition, std::string text) override;

private:
  [[nodiscard]] std::size_t home_of(const jid& user) const;

  std::vector<std::unique_ptr<connection::loop>> loops_;
  std::vector<std::unique_ptr<connection::loop_connections>> connections_;
  std::unique_ptr<connection::connections> all_;
  std::vector<std::thread> threads_;
};

}  // namespace comity::server
