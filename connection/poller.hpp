// connection/poller.hpp: readiness of a loop's sockets, without a system call for each wait.
//
// Asio arms a descriptor anew each time it is waited for. Here a socket is registered once, level-triggered, and the
// set of all of them is one descriptor, which the loop waits for by Asio: its timers, its other descriptors and these
// sockets take turns. Belongs to one loop; its thread only.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace comity::connection {

class poller {
public:
  /// Throws std::system_error where the system has no more descriptors.
  poller();
  ~poller();
  poller(const poller&) = delete;
  poller& operator=(const poller&) = delete;

  /// Readable while any socket of the set is ready.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

  /// What a socket is in the set for. Nothing: it is not in it, not even for its end.
  struct interest {
    bool readable = false;
    bool writable = false;
    friend bool operator==(const interest&, const interest&) = default;
  };
  /// Goes from one to the other; `id` comes back with each event. A descriptor that is closed leaves by itself.
  void change(int descriptor, std::uint64_t id, interest from, interest to);

  /// A socket that has ended is both.
  struct event {
    std::uint64_t id = 0;
    bool readable = false;
    bool writable = false;
  };
  /// What is ready now, at most as many as one turn takes; valid until the next call. Never waits.
  [[nodiscard]] std::span<const event> ready();

private:
  static constexpr std::size_t events_a_turn = 256;
  int descriptor_;
  std::array<epoll_event, events_a_turn> told_{};
  std::array<event, events_a_turn> events_{};
};

}  // namespace comity::connection
