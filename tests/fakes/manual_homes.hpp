// tests/fakes/manual_homes.hpp: the loops of a router on one thread, turned by hand. What is asked for while no turn is
// being run waits for the next, as it does between loops; within a turn it runs at once, as on one's own loop.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

#include "server/router.hpp"

namespace comity::fakes {

class manual_homes final : public server::homes {
public:
  void at_home(const jid&, std::move_only_function<void()> work) override {
    if (turning_) {
      work();
      return;
    }
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(work));
  }
  [[nodiscard]] std::unique_ptr<waiting> after(const jid&, std::chrono::milliseconds wait,
                                               std::move_only_function<void()> work) override {
    auto made = std::make_unique<delayed>(all_);
    made->at = all_->emplace(now_ + wait, std::move(work));
    return made;
  }
  /// Time goes by; what was due waits for the next turn.
  void advance(std::chrono::milliseconds by) {
    now_ += by;
    for (auto& [due, work] : *all_) {
      if (due <= now_ && work) {
        queue_.push_back(std::exchange(work, nullptr));
      }
    }
  }
  /// Runs all that waits, and all that this asks for. True if there was anything.
  bool turn() {
    bool any = false;
    for (;;) {
      std::move_only_function<void()> next;
      {
        const std::lock_guard lock{mutex_};
        if (queue_.empty()) {
          return any;
        }
        next = std::move(queue_.front());
        queue_.pop_front();
      }
      any = true;
      turning_ = true;
      next();
      turning_ = false;
    }
  }
  [[nodiscard]] std::size_t queued() const {
    const std::lock_guard lock{mutex_};
    return queue_.size();
  }
  /// What was asked for and not given up, its time come or not.
  [[nodiscard]] std::size_t delayed_work() const { return all_->size(); }

private:
  using by_time = std::multimap<std::chrono::milliseconds, std::move_only_function<void()>>;
  struct delayed final : waiting {
    explicit delayed(std::shared_ptr<by_time> a) : all{std::move(a)} {}
    ~delayed() override { all->erase(at); }
    std::shared_ptr<by_time> all;
    by_time::iterator at;
  };

  mutable std::mutex mutex_;
  std::deque<std::move_only_function<void()>> queue_;
  std::chrono::milliseconds now_{};
  std::shared_ptr<by_time> all_ = std::make_shared<by_time>();
  static inline thread_local bool turning_ = false;
};

}  // namespace comity::fakes
