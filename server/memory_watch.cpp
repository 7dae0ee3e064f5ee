#include "server/memory_watch.hpp"

#include <malloc.h>

#include <algorithm>
#include <asio.hpp>
#include <chrono>
#include <utility>

#include "connection/memory_reserve.hpp"

namespace comity::server {

namespace {

// What a flood takes at most: a hundred mebibytes a second were seen.
constexpr std::uint64_t bytes_a_millisecond = 1024 * 1024;
constexpr std::chrono::milliseconds soonest{5};
constexpr std::chrono::milliseconds latest{100};
// No limit was there the last time.
constexpr std::chrono::seconds seldom{5};

// While memory is short, what was freed goes back to the kernel so often.
constexpr std::chrono::milliseconds between_trims{500};

// Of the limit, in hundredths.
constexpr std::uint64_t enough_below = 88;
constexpr std::uint64_t short_above = 90;
constexpr std::uint64_t shed_above = 95;

bool above(memory_group::usage u, std::uint64_t hundredths) {
  return u.used > u.limit / 100 * hundredths;
}

}  // namespace

memory_pressure::verdict memory_pressure::judge(memory_group::usage u) {
  short_ = above(u, short_ ? enough_below : short_above);
  const bool shed = above(u, shed_above) && u.used > not_before_;
  if (shed) {
    not_before_ = u.used + u.limit / 100;
  } else if (!short_) {
    not_before_ = 0;
  }
  const std::chrono::milliseconds left{(u.limit - std::min(u.used, u.limit)) / bytes_a_millisecond};
  return {.short_of = short_, .shed = shed, .look_again = std::clamp(left, soonest, latest)};
}

struct memory_watch::state {
  state(memory_group g, collaborators w) : group{std::move(g)}, with{std::move(w)}, timer{with.control} {}

  void look_after(std::chrono::milliseconds wait) {
    timer.expires_after(wait);
    timer.async_wait([this](std::error_code aborted) {
      if (!aborted) {
        look();
      }
    });
  }

  void look() {
    const auto now = group.read();
    const auto verdict = now ? pressure.judge(*now) : memory_pressure::verdict{.look_again = seldom};
    const auto used = static_cast<std::int64_t>(now ? now->used : 0);
    const auto limit = static_cast<std::int64_t>(now ? now->limit : 0);
    if (const auto time = std::chrono::steady_clock::now(); verdict.short_of && time - trimmed >= between_trims) {
      ::malloc_trim(0);
      trimmed = time;
    }
    if (verdict.short_of != connection::memory_is_short()) {
      connection::say_memory_is_short(verdict.short_of);
      with.log.write(verdict.short_of ? log::level::warn : log::level::info,
                     verdict.short_of ? "memory.short" : "memory.enough", {{"used", used}, {"limit", limit}});
    }
    if (verdict.shed) {
      with.log.write(log::level::warn, "memory.shed", {{"used", used}, {"limit", limit}});
      with.shed();
    }
    look_after(verdict.look_again);
  }

  memory_group group;
  collaborators with;
  asio::steady_timer timer;
  memory_pressure pressure;
  std::chrono::steady_clock::time_point trimmed;
};

memory_watch::memory_watch(memory_group group, collaborators with)
    : state_{std::make_unique<state>(std::move(group), std::move(with))} {
  if (state_->group.known()) {
    state_->look_after({});
  }
}

memory_watch::~memory_watch() {
  connection::say_memory_is_short(false);
}

}  // namespace comity::server
