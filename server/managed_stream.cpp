#include "server/managed_stream.hpp"

#include <utility>

namespace comity::server {

void managed_stream::sent(entry e) {
  if (e.shared) {
    ++e.shared->outstanding;
  }
  queue_.push_back(std::move(e));
}

bool managed_stream::acknowledge(std::uint32_t handled) {
  const bool news = handled != acknowledged_;
  for (; acknowledged_ != handled; ++acknowledged_) {
    if (const auto& shared = queue_.front().shared) {
      shared->taken = true;
      --shared->outstanding;
    }
    queue_.pop_front();
  }
  return news;
}

std::deque<managed_stream::entry> managed_stream::take_lost() {
  return lost_of(std::exchange(queue_, {}));
}

std::deque<managed_stream::entry> managed_stream::lost_of(std::deque<entry> all) {
  std::deque<entry> lost;
  for (auto& e : all) {
    if (e.shared) {
      --e.shared->outstanding;
      if (e.shared->taken || e.shared->outstanding > 0) {
        continue;
      }
      e.shared->taken = true;  // by whoever it goes to now
    }
    lost.push_back(std::move(e));
  }
  return lost;
}

}  // namespace comity::server
