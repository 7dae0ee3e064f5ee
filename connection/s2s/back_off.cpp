#include "connection/s2s/back_off.hpp"

#include <algorithm>

namespace comity::connection {

namespace {
constexpr std::uint32_t doublings = 16;  // enough to reach any cap
}

back_off::clock::time_point back_off::failed(clock::time_point now, const back_off_rules& rules,
                                             const random_below& random) {
  using std::chrono::milliseconds;
  const auto between = [&](milliseconds low, milliseconds high) {
    return low + milliseconds{random(static_cast<std::uint64_t>((high - low).count()))};
  };
  // RFC 6120 §3.3: the first delay is an unpredictable number between 0 and 60 seconds (L06).
  milliseconds delay = between(milliseconds{0}, std::min(rules.first, rules.cap));
  if (failures_ != 0) {
    // Truncated binary exponential back-off, in a way that leaves room for the fifth above it.
    const auto steady =
        std::min<milliseconds>(rules.first * (1LL << std::min(failures_, doublings)), rules.cap * 5 / 6);
    delay = between(steady * 4 / 5, steady * 6 / 5);
  }
  ++failures_;
  until_ = now + delay;
  return until_;
}

void endpoint_health::failed(const std::string& endpoint, clock::time_point now, const back_off_rules& rules,
                             const random_below& random) {
  if (!known_.contains(endpoint) && known_.size() >= limit_) {
    make_room(now);
  }
  known_[endpoint].failed(now, rules, random);
}

void endpoint_health::succeeded(const std::string& endpoint) {
  known_.erase(endpoint);
}

bool endpoint_health::healthy(const std::string& endpoint, clock::time_point now) const {
  const auto found = known_.find(endpoint);
  return found == known_.end() || !found->second.waiting(now);
}

void endpoint_health::make_room(clock::time_point now) {
  std::erase_if(known_, [&](const auto& entry) { return !entry.second.waiting(now); });
  if (known_.size() >= limit_) {
    known_.erase(std::ranges::min_element(known_, {}, [](const auto& entry) { return entry.second.until(); }));
  }
}

}  // namespace comity::connection
