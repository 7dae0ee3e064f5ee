// server/job.hpp: a piece of work that may wait for the store, written as a coroutine.
//
// A job starts when it is awaited, or when `start` is called for the outermost one, and runs on the home loop of the
// account it belongs to. Whoever holds a job owns its frame: destroying a job that waits ends it there. Parameters of a
// job function are taken by value or outlive it.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace comity::server {

template <typename T>
class [[nodiscard]] job;

namespace detail {

struct job_promise_base {
  std::coroutine_handle<> awaiting;  // who goes on afterwards
  std::exception_ptr failure;

  static std::suspend_always initial_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { failure = std::current_exception(); }

  struct hand_over {
    static bool await_ready() noexcept { return false; }
    template <typename Promise>
    static std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> ended) noexcept {
      const auto next = ended.promise().awaiting;
      return next ? next : std::noop_coroutine();
    }
    static void await_resume() noexcept {}
  };
  static hand_over final_suspend() noexcept { return {}; }
};

template <typename T>
struct job_promise : job_promise_base {
  std::optional<T> value;
  job<T> get_return_object() noexcept;
  template <typename U>
  void return_value(U&& v) {
    value.emplace(std::forward<U>(v));
  }
  T take() {
    if (failure) {
      std::rethrow_exception(failure);
    }
    return std::move(*value);
  }
};

template <>
struct job_promise<void> : job_promise_base {
  job<void> get_return_object() noexcept;
  static void return_void() noexcept {}
  void take() const {
    if (failure) {
      std::rethrow_exception(failure);
    }
  }
};

}  // namespace detail

template <typename T>
class [[nodiscard]] job {
public:
  using promise_type = detail::job_promise<T>;

  job() = default;
  explicit job(std::coroutine_handle<promise_type> frame) noexcept : frame_{frame} {}
  job(job&& other) noexcept : frame_{std::exchange(other.frame_, {})} {}
  job& operator=(job&& other) noexcept {
    if (this != &other) {
      reset();
      frame_ = std::exchange(other.frame_, {});
    }
    return *this;
  }
  job(const job&) = delete;
  job& operator=(const job&) = delete;
  ~job() { reset(); }

  /// Runs the outermost job until it first waits or ends.
  void start() { frame_.resume(); }
  [[nodiscard]] bool running() const noexcept { return frame_ && !frame_.done(); }
  /// Of a job that has ended: its value, or what it threw.
  T result() { return frame_.promise().take(); }
  explicit operator bool() const noexcept { return static_cast<bool>(frame_); }
  void reset() noexcept {
    if (frame_) {
      std::exchange(frame_, {}).destroy();
    }
  }

  auto operator co_await() && noexcept {
    struct awaiter {
      std::coroutine_handle<promise_type> frame;
      static bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) noexcept {
        frame.promise().awaiting = parent;
        return frame;
      }
      T await_resume() { return frame.promise().take(); }
    };
    return awaiter{frame_};
  }

private:
  std::coroutine_handle<promise_type> frame_;
};

namespace detail {
template <typename T>
job<T> job_promise<T>::get_return_object() noexcept {
  return job<T>{std::coroutine_handle<job_promise<T>>::from_promise(*this)};
}
inline job<void> job_promise<void>::get_return_object() noexcept {
  return job<void>{std::coroutine_handle<job_promise<void>>::from_promise(*this)};
}
}  // namespace detail

}  // namespace comity::server
