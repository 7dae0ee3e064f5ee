// connection/loop.hpp: one event loop on one thread, and all of them together.
//
// A connection lives and dies on one loop; so does the state of each account (its "home", chosen by its bare JID), so
// no lock guards either. What crosses goes through post(): an inbox that is emptied whole once a turn, one wake-up for
// all. Where a loop batches its posts, what one of its turns has for another loop goes over as one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "connection/timer_wheel.hpp"

namespace asio {
class io_context;
}

namespace comity::connection {

class metrics_cell;
class poller;

using task = std::move_only_function<void()>;

class loop {
public:
  loop(std::uint32_t index, metrics_cell& metrics);
  ~loop();
  loop(const loop&) = delete;
  loop& operator=(const loop&) = delete;

  [[nodiscard]] std::uint32_t index() const noexcept { return index_; }
  [[nodiscard]] asio::io_context& context() noexcept;
  /// The sockets of this loop's connections. Loop thread only.
  [[nodiscard]] poller& sockets() noexcept;
  /// `told` is called with what came out of something that ran on this loop for nobody in particular: a task, a
  /// deadline. It ends there, and everything else goes on. Once, before run().
  void on_failure(std::move_only_function<void(std::string_view)> told);
  /// `told` is called with the id, readiness to read and to write of each socket that is ready. Once, before run().
  void on_ready(std::move_only_function<void(std::uint64_t, bool, bool)> told);
  [[nodiscard]] metrics_cell& metrics() noexcept { return metrics_; }
  /// Arms (or moves) a coarse deadline (100 ms), never early. Loop thread only; the entry leaves by itself when
  /// destroyed.
  void arm(timer_wheel::entry& e, timer_wheel::clock::time_point deadline);
  /// Of those, how many are armed. Loop thread only.
  [[nodiscard]] std::size_t armed() const noexcept;

  /// Runs `t` on this loop's thread, in the order of posting from any one thread; at once never. Any thread.
  void post(task t);
  /// From now on, what this loop's thread posts to another loop waits for the end of the turn that posted it, or for a
  /// batch to be full: one lock and at most one wake-up for all of it, none where that loop is awake. Nothing that runs
  /// here may then wait for another loop. Those loops outlive run(). Before run().
  void batch_posts() noexcept;
  /// So many tasks go over before the turn has ended: the other loop may have nothing to do meanwhile.
  static constexpr std::size_t full_batch = 64;
  /// Runs `t` at the end of the present turn of the loop, after everything ready has been read: where output that piled
  /// up in the turn is written in one go. Loop thread only.
  void at_turn_end(task t);
  [[nodiscard]] bool in_this_thread() const noexcept;

  /// Runs until stop(), on the calling thread. What its last turn posted to other loops is with them when it returns.
  void run();
  /// Any thread.
  void stop();
  /// Drops what was posted and never ran, and with it what that owns. After run(), here and on every other loop.
  void forget_posted();

private:
  struct state;
  std::uint32_t index_;
  metrics_cell& metrics_;
  std::unique_ptr<state> state_;
};

}  // namespace comity::connection
