// server/ended_sessions.hpp: how much was handled of sessions that nobody resumed in time. Their clients come later and
// learn from it what need not be sent once more (XEP-0198 §5).
//
// Pure. Kept at the users' homes. The last so many are known; none after a restart.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "server/receipt.hpp"

namespace comity::server {

class ended_sessions {
public:
  struct ended {
    std::string id;
    std::string user;  // bare
    std::uint32_t handled = 0;
    std::weak_ptr<receipt> unstored;  // as managed_stream has it
  };
  static constexpr std::size_t most = 1'024;

  /// Forgets the oldest where there are too many.
  void remember(ended e) {
    all_.push_back(std::move(e));
    if (all_.size() > most) {
      all_.pop_front();
    }
  }
  /// nullptr where it is not known, or somebody else's (THREATS F1).
  [[nodiscard]] const ended* find(std::string_view id, std::string_view user) const noexcept {
    const auto found = std::ranges::find_if(all_, [&](const ended& e) { return e.id == id && e.user == user; });
    return found != all_.end() ? &*found : nullptr;
  }

private:
  std::deque<ended> all_;
};

}  // namespace comity::server
