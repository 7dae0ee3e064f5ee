#include "connection/s2s/stanza_queue.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

namespace comity::connection {

bool queue_budget::take(std::size_t bytes) noexcept {
  if (used_.fetch_add(bytes, std::memory_order_relaxed) + bytes > limit_) {
    give_back(bytes);
    return false;
  }
  return true;
}

void queue_budget::take_over_limit(std::size_t bytes) noexcept {
  used_.fetch_add(bytes, std::memory_order_relaxed);
}

stanza_queue::~stanza_queue() {
  budget_.give_back(bytes_);
}

bool stanza_queue::push(stanza_ref stanza, clock::time_point now, const stanza_queue_limits& limits) {
  const auto size = stanza->wire_size();
  // THREATS D6: each limit is what may wait, not one stanza more.
  if (waiting_.size() >= limits.stanzas || bytes_ + size > limits.bytes || !budget_.take(size)) {
    return false;
  }
  bytes_ += size;
  waiting_.push_back({std::move(stanza), now + limits.timeout});
  return true;
}

void stanza_queue::put_back(std::vector<stanza_ref> unwritten, clock::time_point now,
                            const stanza_queue_limits& limits) {
  for (auto& stanza : std::views::reverse(unwritten)) {
    const auto size = stanza->wire_size();
    budget_.take_over_limit(size);
    bytes_ += size;
    waiting_.push_front({std::move(stanza), now + limits.timeout});
  }
}

stanza_ref stanza_queue::take(item& taken) {
  const auto size = taken.stanza->wire_size();
  bytes_ -= size;
  budget_.give_back(size);
  return std::move(taken.stanza);
}

stanza_ref stanza_queue::pop() {
  if (waiting_.empty()) {
    return nullptr;
  }
  auto first = take(waiting_.front());
  waiting_.pop_front();
  return first;
}

std::vector<stanza_ref> stanza_queue::expire(clock::time_point now) {
  std::vector<stanza_ref> late;
  std::erase_if(waiting_, [&](item& i) {
    if (i.deadline > now) {
      return false;
    }
    late.push_back(take(i));
    return true;
  });
  return late;
}

std::vector<stanza_ref> stanza_queue::take_all() {
  std::vector<stanza_ref> all;
  all.reserve(waiting_.size());
  for (auto& i : waiting_) {
    all.push_back(take(i));
  }
  waiting_.clear();
  return all;
}

std::optional<stanza_queue::clock::time_point> stanza_queue::next_deadline() const noexcept {
  if (waiting_.empty()) {
    return std::nullopt;
  }
  return std::ranges::min_element(waiting_, {}, &item::deadline)->deadline;
}

}  // namespace comity::connection
