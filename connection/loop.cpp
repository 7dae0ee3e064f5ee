#include "connection/loop.hpp"

#include <fcntl.h>

#include <algorithm>
#include <asio.hpp>
#include <exception>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

#include "connection/connection_metrics.hpp"
#include "connection/memory_reserve.hpp"
#include "connection/poller.hpp"

namespace comity::connection {

namespace {

thread_local loop* running = nullptr;

/// With nothing armed on the wheel the loop still wakes this often, to measure how late it is.
constexpr std::chrono::milliseconds idle_beat{1000};
/// Where not even what wakes the loop can be had, it is tried anew after this.
constexpr std::chrono::milliseconds breath{10};

/// A list that a burst has made longer is not kept for the next one.
constexpr std::size_t kept_tasks = 4096;

void empty(std::vector<task>& done) {
  done.clear();
  if (done.capacity() > kept_tasks) {
    done.shrink_to_fit();
  }
}

}  // namespace

struct loop::state {
  explicit state(loop& l) : self{l} {}

  /// What this loop has for another one.
  struct batch {
    loop* to;
    std::vector<task> tasks;
  };

  void failed(const std::exception& e) noexcept {
    try {
      if (failure_told) {
        failure_told(e.what());
      }
    } catch (const std::exception&) {  // it is not told
    }
  }

  /// A task has its failures for itself (THREATS X13).
  void perform(task& t) noexcept {
    try {
      t();
    } catch (const std::exception& e) {
      failed(e);
    }
  }

  /// `handler` is to run soon. Where there is no memory to say so, the next beat finds what it is about.
  template <typename Handler>
  bool run_soon(Handler handler) noexcept {
    try {
      asio::post(context, handler);
      return true;
    } catch (const std::exception&) {
      return false;
    }
  }

  /// Takes all of `posted`, and leaves room for the next in it; throws before it has taken any. Any thread.
  void take_in(std::vector<task>& posted) {
    bool wake = false;
    {
      const std::lock_guard lock{inbox_lock};
      wake = inbox.empty();
      if (wake) {
        inbox.swap(posted);
      } else {
        if (const auto size = inbox.size() + posted.size(); size > inbox.capacity()) {
          inbox.reserve(std::max(size, 2 * inbox.capacity()));
        }
        std::ranges::move(posted, std::back_inserter(inbox));
      }
    }
    empty(posted);
    if (wake) {
      drain_soon();
    }
  }

  /// Asio wakes the loop where it sleeps, and only there.
  void drain_soon() {
    run_soon([this] { drain_inbox(); });
  }

  void drain_inbox() {
    {
      const std::lock_guard lock{inbox_lock};
      draining.swap(inbox);
    }
    turn([this] {
      for (auto& t : draining) {
        perform(t);
      }
    });
    empty(draining);
  }

  void add_to_batch(loop& to, task t) {
    auto at = std::ranges::find(batches, &to, &batch::to);
    if (at == batches.end()) {
      at = batches.insert(at, {.to = &to, .tasks = {}});
    }
    at->tasks.push_back(std::move(t));
    if (at->tasks.size() >= full_batch && handed_over(*at)) {
      return;
    }
    batched = true;
    schedule_turn_end();
  }

  bool handed_over(batch& b) noexcept {
    try {
      b.to->state_->take_in(b.tasks);
      return true;
    } catch (const std::exception&) {  // no room for it there: with the next turn
      return false;
    }
  }

  void hand_over_batches() noexcept {
    if (std::exchange(batched, false)) {
      for (auto& b : batches) {
        if (!b.tasks.empty() && !handed_over(b)) {
          batched = true;
        }
      }
    }
  }

  void wait_for_sockets() {
    readiness.async_wait(asio::posix::stream_descriptor::wait_read, [this](std::error_code aborted) {
      sockets_awaited = false;
      if (!aborted) {
        take_ready();
        wait_for_sockets();
      }
    });
    sockets_awaited = true;
  }

  void take_ready() {
    turn([this] {
      for (const auto& e : sockets.ready()) {
        told(e.id, e.readable, e.writable);
      }
    });
  }

  /// What `all_of_it` gives to be written, and to other loops, goes out with its end, without another round through
  /// Asio.
  template <typename Work>
  void turn(Work all_of_it) {
    const bool scheduled = std::exchange(turn_end_scheduled, true);
    all_of_it();
    turn_end_scheduled = scheduled;
    if (!scheduled && (batched || !turn_end.empty())) {
      run_turn_end();
    }
  }

  void schedule_turn_end() {
    if (!turn_end_scheduled) {
      // Behind everything that is ready now: Asio runs handlers in the order in which they became ready.
      turn_end_scheduled = run_soon([this] { run_turn_end(); });
    }
  }

  void run_turn_end() {
    turn_end_scheduled = false;
    hand_over_batches();  // first, so that others begin while this loop writes
    std::vector<task> now;
    now.swap(turn_end);
    for (auto& t : now) {
      perform(t);
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
      refill_memory_reserve();
      try {
        wheel.advance(late);
      } catch (const std::exception& e) {
        failed(e);
      }
      start_beat();
      see_to_what_nobody_woke_for();
    });
  }

  void see_to_what_nobody_woke_for() {
    drain_inbox();
    if (!turn_end_scheduled && (batched || !turn_end.empty())) {
      run_turn_end();
    }
  }

  void run() {
    for (;;) {
      try {
        if (!sockets_awaited) {
          wait_for_sockets();
        }
        start_beat();
        context.run();
        return;
      } catch (const std::exception& e) {  // of a handler: Asio goes on where it was
        failed(e);
        std::this_thread::sleep_for(breath);
      }
    }
  }

  // Suspended coroutines go with the context; the connections in them use all that is declared before it.
  loop& self;
  timer_wheel wheel{timer_wheel::clock::now()};
  std::mutex inbox_lock;
  std::vector<task> inbox;
  std::vector<task> draining;  // of the inbox, while it runs
  std::vector<batch> batches;  // by loop that anything was ever posted to
  bool batching = false;
  bool batched = false;  // a batch has to go over with the end of the turn
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
  bool sockets_awaited = false;
  std::move_only_function<void(std::string_view)> failure_told;
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

void loop::on_failure(std::move_only_function<void(std::string_view)> told) {
  state_->failure_told = std::move(told);
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

std::size_t loop::armed() const noexcept {
  return state_->wheel.armed();
}

void loop::batch_posts() noexcept {
  state_->batching = true;
}

void loop::post(task t) {
  if (running != nullptr && running != this && running->state_->batching) {
    running->state_->add_to_batch(*this, std::move(t));
    return;
  }
  bool wake = false;
  {
    const std::lock_guard lock{state_->inbox_lock};
    wake = state_->inbox.empty();
    state_->inbox.push_back(std::move(t));
  }
  if (wake) {
    state_->drain_soon();
  }
}

void loop::at_turn_end(task t) {
  state_->turn_end.push_back(std::move(t));
  state_->schedule_turn_end();
}

bool loop::in_this_thread() const noexcept {
  return running == this;
}

void loop::run() {
  running = this;
  state_->run();
  state_->hand_over_batches();
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
