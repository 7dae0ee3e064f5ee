// tests/bench/wire/poller.hpp: readiness of many sockets, by epoll itself.
//
// Level-triggered: a socket is registered once and costs no system call to be waited for again. So neither the load
// generator nor the floor it is compared with can be the bottleneck of what is measured. One thread.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstdint>

namespace comity::bench {

/// Whoever owns a socket; told of its readiness, and may destroy itself only after the turn (poller::turn).
class pollable {
public:
  virtual ~pollable() = default;
  virtual void ready(bool readable, bool writable) = 0;
};

class poller {
public:
  poller();
  ~poller();
  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  void add(int descriptor, pollable& owner, bool writable);
  /// Readability is always waited for; writability where asked.
  void change(int descriptor, pollable& owner, bool writable);
  /// Before the descriptor is closed. What was reported of it in this turn is dropped.
  void remove(int descriptor, const pollable& owner);

  /// Waits for at most `longest` and tells the owners of what is ready. How many that were.
  int turn(std::chrono::nanoseconds longest);

private:
  static constexpr int events_a_turn = 256;
  int descriptor_;
  std::array<epoll_event, events_a_turn> events_{};
  int count_ = 0;
};

}  // namespace comity::bench
