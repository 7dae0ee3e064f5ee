#include "bench/wire/poller.hpp"

#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

namespace comity::bench {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::system_category(), what};
}

epoll_event interest(pollable& owner, bool writable) {
  epoll_event e{};
  e.events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN;
  e.data.ptr = &owner;
  return e;
}

}  // namespace

poller::poller() : descriptor_{::epoll_create1(EPOLL_CLOEXEC)} {
  if (descriptor_ < 0) {
    fail("epoll_create1");
  }
}

poller::~poller() {
  ::close(descriptor_);
}

void poller::add(int descriptor, pollable& owner, bool writable) {
  auto e = interest(owner, writable);
  if (::epoll_ctl(descriptor_, EPOLL_CTL_ADD, descriptor, &e) != 0) {
    fail("epoll_ctl");
  }
}

void poller::change(int descriptor, pollable& owner, bool writable) {
  auto e = interest(owner, writable);
  if (::epoll_ctl(descriptor_, EPOLL_CTL_MOD, descriptor, &e) != 0) {
    fail("epoll_ctl");
  }
}

void poller::remove(int descriptor, const pollable& owner) {
  ::epoll_ctl(descriptor_, EPOLL_CTL_DEL, descriptor, nullptr);
  for (int i = 0; i < count_; ++i) {
    auto& e = events_.at(static_cast<std::size_t>(i));
    if (e.data.ptr == &owner) {
      e.data.ptr = nullptr;
    }
  }
}

int poller::turn(std::chrono::nanoseconds longest) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  const timespec wait{.tv_sec = seconds.count(), .tv_nsec = (longest - seconds).count()};
  count_ = ::epoll_pwait2(descriptor_, events_.data(), events_a_turn, &wait, nullptr);
  if (count_ < 0) {
    if (errno != EINTR) {
      fail("epoll_pwait2");
    }
    count_ = 0;
  }
  for (int i = 0; i < count_; ++i) {
    const auto e = events_.at(static_cast<std::size_t>(i));
    if (auto* owner = static_cast<pollable*>(e.data.ptr)) {
      owner->ready((e.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0, (e.events & EPOLLOUT) != 0);
    }
  }
  return std::exchange(count_, 0);
}

}  // namespace comity::bench
