#include "connection/memory_reserve.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <new>
#include <thread>
#include <utility>

namespace comity::connection {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds between_tries{1};

thread_local memory_policy::work policy = memory_policy::work::begun;

// Mapped, and so given to whichever of the allocator's arenas asks; nothing is ever written there, so it takes no page.
std::array<std::atomic<void*>, memory_reserve_pieces> reserve{};
std::atomic<bool> kept{false};  // without a reserve there is nothing to be short of
std::atomic<int> left{0};
std::atomic<bool> said_to_be_short{false};
std::atomic<clock::rep> used_up_at{0};

bool give_a_piece() noexcept {
  for (auto& piece : reserve) {
    if (void* const memory = piece.exchange(nullptr); memory != nullptr) {
      ::munmap(memory, memory_reserve_piece);
      if (left.fetch_sub(1) == 1) {
        used_up_at = clock::now().time_since_epoch().count();
      }
      return true;
    }
  }
  return false;
}

/// What operator new calls where there is nothing to be had; it tries anew once this returns.
void no_memory() {
  if (policy == memory_policy::work::fails_at_once) {
    throw std::bad_alloc{};
  }
  if (give_a_piece()) {
    return;
  }
  const clock::time_point since{clock::duration{used_up_at.load()}};
  if (clock::now() - since > memory_patience) {
    throw std::bad_alloc{};
  }
  std::this_thread::sleep_for(between_tries);
}

}  // namespace

void keep_memory_in_reserve() {
  kept = true;
  refill_memory_reserve();
  std::set_new_handler(no_memory);
}

void refill_memory_reserve() noexcept {
  if (!kept || left.load(std::memory_order_relaxed) == memory_reserve_pieces) {
    return;
  }
  for (auto& piece : reserve) {
    if (piece.load() != nullptr) {
      continue;
    }
    void* const memory = ::mmap(nullptr, memory_reserve_piece, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      return;
    }
    void* none = nullptr;
    if (piece.compare_exchange_strong(none, memory)) {
      left.fetch_add(1);
    } else {
      ::munmap(memory, memory_reserve_piece);
    }
  }
}

bool memory_is_short() noexcept {
  return said_to_be_short.load(std::memory_order_relaxed) ||
         (kept && left.load(std::memory_order_relaxed) < memory_reserve_pieces / 2);
}

void say_memory_is_short(bool so) noexcept {
  said_to_be_short = so;
}

memory_policy::memory_policy(work w) noexcept : before_{std::exchange(policy, w)} {
}

memory_policy::~memory_policy() {
  policy = before_;
}

}  // namespace comity::connection
