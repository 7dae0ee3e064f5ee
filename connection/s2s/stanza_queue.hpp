// connection/s2s/stanza_queue.hpp: what waits for a stream to a remote domain (THREATS D6). Pure: time is the caller's.
//
// Bounded in number and bytes for one pair of domains, and in bytes for the whole process; timed: nobody learns of a
// message's fate later than the limit says. What is put in comes out exactly once: by pop(), by expire() or by
// take_all(). The owner sends what it popped and bounces what came out otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "connection/stanza.hpp"

namespace comity::connection {

struct stanza_queue_limits {
  std::size_t stanzas = 1000;
  std::size_t bytes = 4U << 20U;
  std::chrono::milliseconds timeout{std::chrono::seconds{60}};
};

/// What all queues of the process hold together, in bytes. Any thread; outlives the queues.
class queue_budget {
public:
  explicit queue_budget(std::size_t bytes = 64U << 20U) noexcept : limit_{bytes} {}
  [[nodiscard]] bool take(std::size_t bytes) noexcept;
  /// Whatever the limit says: what was accepted once is kept.
  void take_over_limit(std::size_t bytes) noexcept;
  void give_back(std::size_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }

private:
  std::size_t limit_;
  std::atomic<std::size_t> used_{0};
};

class stanza_queue {
public:
  using clock = std::chrono::steady_clock;

  explicit stanza_queue(queue_budget& budget) noexcept : budget_{budget} {}
  ~stanza_queue();
  stanza_queue(const stanza_queue&) = delete;
  stanza_queue& operator=(const stanza_queue&) = delete;

  /// False, and nothing queued, where a limit stands against it: bounce it with resource-constraint.
  [[nodiscard]] bool push(stanza_ref, clock::time_point now, const stanza_queue_limits&);
  /// Puts what a stream did not write, in its order, before everything that waits. Never refused: these stanzas were
  /// accepted once. They have the whole time again.
  void put_back(std::vector<stanza_ref> unwritten, clock::time_point now, const stanza_queue_limits&);
  /// The first one; nullptr where none waits.
  [[nodiscard]] stanza_ref pop();
  /// Those whose time is up.
  [[nodiscard]] std::vector<stanza_ref> expire(clock::time_point now);
  [[nodiscard]] std::vector<stanza_ref> take_all();

  /// When expire() will next have something; nullopt while nothing waits.
  [[nodiscard]] std::optional<clock::time_point> next_deadline() const noexcept;
  [[nodiscard]] bool empty() const noexcept { return waiting_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return waiting_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
  struct item {
    stanza_ref stanza;
    clock::time_point deadline;
  };
  stanza_ref take(item&);
  queue_budget& budget_;
  std::deque<item> waiting_;  // put_back items first, then the others: deadlines need not ascend
  std::size_t bytes_ = 0;
};

}  // namespace comity::connection
