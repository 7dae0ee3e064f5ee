// connection/s2s/connect_budget.hpp: how many connections one peer may have us make by what it wants verified.
#pragma once

#include <atomic>

namespace comity::connection {

/// One for each stream, shared by all searches that its questions lead to (THREATS D5). Any thread.
class connect_budget {
public:
  explicit connect_budget(int connections = 32) noexcept : left_{connections} {}
  /// False where there is nothing left.
  [[nodiscard]] bool take() noexcept { return left_.fetch_sub(1, std::memory_order_relaxed) > 0; }

private:
  std::atomic<int> left_;
};

}  // namespace comity::connection
