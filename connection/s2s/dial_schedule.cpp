#include "connection/s2s/dial_schedule.hpp"

#include <algorithm>
#include <utility>

namespace comity::connection {

namespace {
constexpr std::chrono::milliseconds shortest_delay{10};  // RFC 8305 §5: MUST NOT be less
}

dial_schedule::dial_schedule(rules r, const std::vector<std::size_t>& groups, health healthy, clock::time_point now)
    : rules_{r}, healthy_{std::move(healthy)}, deadline_{now + r.total}, group_began_{now}, next_start_{now} {
  rules_.attempt_delay = std::max(rules_.attempt_delay, shortest_delay);
  for (const auto size : groups) {
    auto& group = groups_.emplace_back();
    for (std::size_t i = 0; i < size; ++i) {
      group.push_back(targets_.size());
      targets_.emplace_back();
    }
  }
}

void dial_schedule::learn(target_state& t, std::size_t target, const std::vector<dns::address>& told) {
  for (const auto& address : told) {
    if (std::ranges::find(t.seen, address) != t.seen.end()) {
      continue;
    }
    t.seen.push_back(address);
    if (!last_resort_ && !healthy_(target, address)) {
      t.failed_late.push_back(address);
    } else {
      (address.v4() ? t.v4 : t.v6).push_back(address);
    }
  }
}

void dial_schedule::resolved(std::size_t target, const dns::endpoint_addresses& what, clock::time_point now) {
  auto& t = targets_.at(target);
  t.known = true;
  if (what.fault != dns::lookup_fault::none) {
    // B06, B09: the endpoint is not connected, and not any more where an earlier answer had looked well.
    t.v6.clear(), t.v4.clear(), t.failed_late.clear();
    t.awaiting_v4 = t.awaiting_v6 = false;
    std::vector<attempt_id> begun;
    for (const auto& [id, attempt] : running_) {
      if (attempt.target == target) {
        begun.push_back(id);
      }
    }
    std::ranges::for_each(begun, [this](attempt_id id) { call_off(id); });
    if (!begun.empty()) {
      next_start_ = now;
    }
    return;
  }
  learn(t, target, what.v6);
  learn(t, target, what.v4);
  t.awaiting_v4 = what.awaiting_v4;
  t.awaiting_v6 = what.awaiting_v6;
  if (t.awaiting_v6 && !t.v4_from) {
    t.v4_from = now + rules_.resolution_delay;  // RFC 8305 §3: AAAA is waited for a little (C01)
  }
}

void dial_schedule::call_off(attempt_id id) {
  running_.erase(id);
  commands_.emplace_back(cancel{id});
  if (winner_ == id) {
    winner_.reset();
  }
}

void dial_schedule::verified(attempt_id id) {
  if (winner_ || !running_.contains(id)) {
    return;
  }
  winner_ = id;
  // RFC 8305 §5: the others are called off (C03). They have not failed: first in line, should the winner.
  std::vector<attempt_id> losers;
  for (const auto& [other, attempt] : running_) {
    if (other != id) {
      losers.push_back(other);
    }
  }
  for (const auto loser : losers) {
    const auto attempt = running_.at(loser);
    auto& t = targets_.at(attempt.target);
    (attempt.address.v4() ? t.v4 : t.v6).push_front(attempt.address);
    call_off(loser);
  }
  commands_.emplace_back(authenticate{id});
}

void dial_schedule::failed(attempt_id id, clock::time_point now) {
  if (running_.erase(id) == 0) {
    return;
  }
  if (winner_ == id) {
    winner_.reset();
  }
  next_start_ = now;  // nothing to wait for
}

void dial_schedule::give_up() {
  while (!running_.empty()) {
    call_off(running_.begin()->first);
  }
  exhausted_ = true;
}

void dial_schedule::begin_group(clock::time_point now) {
  group_open_ = true;
  group_began_ = next_start_ = now;
  for (const auto target : groups_[group_]) {
    if (!targets_[target].known) {
      commands_.emplace_back(resolve{target});
    }
  }
}

/// False where there is none.
bool dial_schedule::to_next_group(clock::time_point now) {
  if (group_ + 1 < groups_.size()) {
    ++group_;
    begin_group(now);
    return true;
  }
  if (std::exchange(last_resort_, true)) {
    return false;
  }
  std::vector<std::size_t> late;
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    auto& t = targets_[i];
    if (!t.failed_late.empty()) {
      late.push_back(i);
    }
    for (const auto& address : std::exchange(t.failed_late, {})) {
      (address.v4() ? t.v4 : t.v6).push_back(address);
    }
  }
  if (late.empty()) {
    return false;
  }
  groups_.push_back(std::move(late));
  ++group_;
  begin_group(now);
  return true;
}

std::optional<dial_schedule::running> dial_schedule::pick(clock::time_point now) {
  for (const auto index : groups_[group_]) {
    auto& t = targets_[index];
    if (!t.known) {
      // Its turn is as long as an attempt's; then the targets behind it go ahead.
      if (const auto turn = group_began_ + rules_.attempt_delay; now < turn) {
        wake_by(turn);
        return std::nullopt;
      }
      continue;
    }
    if (t.v6.empty() && t.v4.empty()) {
      continue;
    }
    if (t.v6.empty() && t.awaiting_v6 && now < *t.v4_from) {
      wake_by(*t.v4_from);
      return std::nullopt;
    }
    // RFC 8305 §4: the families take turns, IPv6 first (C02).
    const bool v6 = t.v4.empty() || (!t.v6.empty() && !t.v6_was_last);
    auto& from = v6 ? t.v6 : t.v4;
    const running picked{index, from.front()};
    from.pop_front();
    t.v6_was_last = v6;
    return picked;
  }
  return std::nullopt;
}

bool dial_schedule::awaiting_answers() const {
  return std::ranges::any_of(groups_[group_], [this](std::size_t index) {
    const auto& t = targets_[index];
    return !t.known || t.awaiting_v4 || t.awaiting_v6;
  });
}

void dial_schedule::wake_by(clock::time_point when) {
  wake_ = wake_ ? std::min(*wake_, when) : when;
}

std::vector<dial_schedule::command> dial_schedule::due(clock::time_point now) {
  wake_.reset();
  while (!exhausted_ && !winner_) {
    if (now >= deadline_) {
      out_of_time_ = true;  // THREATS E2
      give_up();
      break;
    }
    wake_by(deadline_);
    if (groups_.empty()) {
      give_up();
      break;
    }
    if (!group_open_) {
      begin_group(now);
    }
    if (!running_.empty() && now < next_start_) {
      wake_by(next_start_);
      break;
    }
    if (started_ >= rules_.attempts) {
      if (running_.empty()) {
        give_up();
      }
      break;
    }
    if (const auto picked = pick(now)) {
      running_.emplace(started_, *picked);
      commands_.emplace_back(start{started_, picked->target, picked->address});
      ++started_;
      next_start_ = now + rules_.attempt_delay;
      continue;
    }
    if (!running_.empty() || awaiting_answers()) {
      break;
    }
    if (!to_next_group(now)) {
      give_up();
    }
  }
  return std::exchange(commands_, {});
}

}  // namespace comity::connection
