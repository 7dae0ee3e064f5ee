// tests/fakes/task_queue.hpp: a thread's loop for tests of one thread: what is posted waits until it is run.
#pragma once

#include <deque>
#include <functional>
#include <utility>

namespace comity::fakes {

class task_queue {
public:
  using task = std::move_only_function<void()>;

  void post(task t) { tasks_.push_back(std::move(t)); }
  /// A post for who takes one; this outlives it.
  [[nodiscard]] std::function<void(task)> poster() {
    return [this](task t) { post(std::move(t)); };
  }
  /// Runs all there is and all that comes of it. How many.
  std::size_t run() {
    std::size_t count = 0;
    for (; !tasks_.empty(); ++count) {
      auto next = std::move(tasks_.front());
      tasks_.pop_front();
      next();
    }
    return count;
  }
  [[nodiscard]] bool empty() const noexcept { return tasks_.empty(); }

private:
  std::deque<task> tasks_;
};

}  // namespace comity::fakes
