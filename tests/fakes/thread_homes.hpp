// tests/fakes/thread_homes.hpp: loops on threads of their own, with nothing in them but the order of what was posted.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "server/router.hpp"

namespace comity::fakes {

class thread_homes final : public server::homes {
public:
  explicit thread_homes(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      loops_.push_back(std::make_unique<loop>());
    }
    for (auto& l : loops_) {
      l->thread = std::jthread{[this, mine = l.get()](const std::stop_token& stop) { run(*mine, stop); }};
    }
  }
  ~thread_homes() override {
    for (auto& l : loops_) {
      l->thread.request_stop();
      l->wake.notify_all();
    }
    for (auto& l : loops_) {
      l->thread.join();
    }
  }

  void at_home(const jid& user, std::move_only_function<void()> work) override {
    auto& home = *loops_[std::hash<std::string_view>{}(user.bare_text()) % loops_.size()];
    if (home.thread.get_id() == std::this_thread::get_id()) {
      work();
    } else {
      post(home, std::move(work));
    }
  }
  [[nodiscard]] std::unique_ptr<waiting> after(const jid&, std::chrono::milliseconds,
                                               std::move_only_function<void()>) override {
    return std::make_unique<waiting>();  // no time goes by
  }
  /// To the loop of that number, as a connection that lives there would do it.
  void post(std::size_t number, std::move_only_function<void()> work) {
    post(*loops_[number % loops_.size()], std::move(work));
  }
  /// Posted and not finished.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.load(); }

private:
  struct loop {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<std::move_only_function<void()>> queue;
    std::jthread thread;
  };
  void post(loop& to, std::move_only_function<void()> work) {
    ++pending_;
    {
      const std::lock_guard lock{to.mutex};
      to.queue.push_back(std::move(work));
    }
    to.wake.notify_one();
  }
  void run(loop& mine, const std::stop_token& stop) {
    std::unique_lock lock{mine.mutex};
    for (;;) {
      mine.wake.wait(lock, [&] { return stop.stop_requested() || !mine.queue.empty(); });
      if (mine.queue.empty()) {
        return;
      }
      auto next = std::move(mine.queue.front());
      mine.queue.pop_front();
      lock.unlock();
      next();
      next = nullptr;
      --pending_;
      lock.lock();
    }
  }

  std::atomic<std::size_t> pending_ = 0;
  std::vector<std::unique_ptr<loop>> loops_;
};

}  // namespace comity::fakes
