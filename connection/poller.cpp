#include "connection/poller.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace comity::connection {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error{errno, std::system_category(), what};
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

void poller::change(int descriptor, std::uint64_t id, interest from, interest to) {
  if (from == to) {
    return;
  }
  const interest nothing;
  epoll_event wanted{};
  wanted.events = (to.readable ? EPOLLIN : 0U) | (to.writable ? EPOLLOUT : 0U);
  wanted.data.u64 = id;
  const int what = from == nothing ? EPOLL_CTL_ADD : to == nothing ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (::epoll_ctl(descriptor_, what, descriptor, &wanted) != 0) {
    fail("epoll_ctl");
  }
}

std::span<const poller::event> poller::ready() {
  const int count = ::epoll_wait(descriptor_, told_.data(), static_cast<int>(told_.size()), 0);
  std::size_t kept = 0;
  for (int i = 0; i < count; ++i) {
    const auto& e = told_.at(static_cast<std::size_t>(i));
    const bool ended = (e.events & (EPOLLHUP | EPOLLERR)) != 0;
    events_.at(kept++) = {.id = e.data.u64,
                          .readable = ended || (e.events & EPOLLIN) != 0,
                          .writable = ended || (e.events & EPOLLOUT) != 0};
  }
  return {events_.data(), kept};
}

}  // namespace comity::connection
