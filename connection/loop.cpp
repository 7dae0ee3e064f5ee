#include "connection/loop.hpp"

#include <fcntl.h>

#include <asio.hpp>
#include <asio/experimental/as_tuple.hpp>
#include <mutex>
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/poller.hpp"

namespace comity::connection {

namespace {

thread_local const loop* running = nullptr;

/// With nothing armed on the wheel the loop still wakes this often, to measure how late it is.
constexpr std::chrono::milliseconds idle_beat{1000};

}  // namespace

struct loop::state {
  explicit state(loop& l) : self{l} {}

  void drain_inbox() {
    std::vector<task> now;
    {
      const std::lock_guard lock{inbox_lock};
      now.swap(inbox);
    }
    for (auto& t : now) {
      t();
    }
  }

  void wait_for_sockets() {
    readiness.async_wait(asio::posix::stream_descriptor::wait_read, [this](std::error_code aborted) {
      if (!aborted) {
        take_ready();
        wait_for_sockets();
      }
    });
  }

  /// What the sockets of one turn give to be written goes out with its end, without another round through Asio.
  void take_ready() {
    const bool scheduled = std::exchange(turn_end_scheduled, true);
    for (const auto& e : sockets.ready()) {
      told(e.id, e.readable, e.writable);
    }
    turn_end_scheduled = scheduled;
    if (!scheduled && !turn_end.empty()) {
      run_turn_end();
    }
  }

  void run_turn_end() {
    turn_end_scheduled = false;
    std::vector<task> now;
    now.swap(turn_end);
    for (auto& t : now) {
      t();
    }
    if (turn_end.empty()) {  // give the capacity back for the next turn
      now.clear();
      turn_end.swap(now);
    }
  }

  void start_beat() {
    const auto now = timer_wheel::clock::now();
    const auto next = wheel.next();
    ticking = next.has_value();
    due = next.value_or(now + idle_beat);
    if (due < now) {
      due = now + timer_wheel::tick;
    }
    beat.expires_at(due);
    beat.async_wait([this](std::error_code aborted) {
      if (aborted) {
        return;
      }
      const auto late = timer_wheel::clock::now();
      self.metrics_.loop_lagged(late - due);
      wheel.advance(late);
      start_beat();
    });
  }

  // Suspended coroutines go with the context; the connections in them use all that is declared before it.
  loop& self;
  timer_wheel wheel{timer_wheel::clock::now()};
  std::mutex inbox_lock;
  std::vector<task> inbox;
  std::vector<task> turn_end;
  bool turn_end_scheduled = false;
  poller sockets;
  std::move_only_function<void(std::uint64_t, bool, bool)> told;
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::posix::basic_stream_descriptor<asio::io_context::executor_type> readiness{
      context, ::fcntl(sockets.descriptor(), F_DUPFD_CLOEXEC, 0)};
  asio::steady_timer beat{context};
  timer_wheel::clock::time_point due;
  bool ticking = false;  // the beat is due within a tick
};

loop::loop(std::uint32_t index, metrics_cell& metrics)
    : index_{index}, metrics_{metrics}, state_{std::make_unique<state>(*this)} {
  state_->wait_for_sockets();
}

loop::~loop() = default;

asio::io_context& loop::context() noexcept {
  return state_->context;
}

poller& loop::sockets() noexcept {
  return state_->sockets;
}

void loop::on_ready(std::move_only_function<void(std::uint64_t, bool, bool)> told) {
  state_->told = std::move(told);
}

void loop::arm(timer_wheel::entry& e, timer_wheel::clock::time_point deadline) {
  state_->wheel.arm(e, deadline);
  // Once: while it ticks, which it does as long as anything is armed, nothing that is armed may put the tick off.
  if (running == this && !state_->ticking) {
    state_->start_beat();  // moves the timer forward; the wait under way ends as aborted
  }
}

void loop::post(task t) {
  bool wake = false;
  {
    const std::lock_guard lock{state_->inbox_lock};
    wake = state_->inbox.empty();
    state_->inbox.push_back(std::move(t));
  }
  if (wake) {
    asio::post(state_->context, [s = state_.get()] { s->drain_inbox(); });
  }
}

void loop::at_turn_end(task t) {
  state_->turn_end.push_back(std::move(t));
  if (!std::exchange(state_->turn_end_scheduled, true)) {
    // Behind everything that is ready now: Asio runs handlers in the order in which they became ready.
    asio::post(state_->context, [s = state_.get()] { s->run_turn_end(); });
  }
}

bool loop::in_this_thread() const noexcept {
  return running == this;
}

void loop::run() {
  running = this;
  state_->start_beat();
  state_->context.run();
  running = nullptr;
}

void loop::stop() {
  state_->context.stop();
}

void loop::forget_posted() {
  std::vector<task> never;
  {
    const std::lock_guard lock{state_->inbox_lock};
    never.swap(state_->inbox);
  }
}

}  // namespace comity::connection
