// connection/s2s/attempt_history.hpp: the last attempts to reach each remote domain, for the operator.
//
// Bounded: whoever can make us dial, a user with a list of domains or a server with a list of keys, must not fill our
// memory (THREATS D5). Loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <vector>

#include "connection/negotiation/domain_flow.hpp"
#include "connection/s2s/explanation.hpp"

namespace comity::connection {

class attempt_history {
public:
  static constexpr std::size_t kept = 20;        // of one pair of domains
  static constexpr std::size_t text_most = 256;  // bytes of what a peer said
  explicit attempt_history(std::size_t pairs = 256) noexcept : most_{pairs} {}

  /// Remembered without its details. Where there are too many pairs, the one that was quiet for longest goes.
  void note(const domain_flow&, attempt_record);
  /// Oldest first.
  [[nodiscard]] std::vector<attempt_record> of(const domain_flow&) const;
  [[nodiscard]] std::size_t pairs() const noexcept { return known_.size(); }

private:
  struct attempts {
    std::uint64_t touched = 0;
    std::deque<attempt_record> last;
  };
  std::size_t most_;
  std::uint64_t clock_ = 0;
  std::map<domain_flow, attempts> known_;
};

}  // namespace comity::connection
