// server/config/cross_rules.hpp: what options must be to each other. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/settings.hpp"

namespace comity::config {

/// Where a value stands in the file, by "table.key". Nothing for one that was refused on its own; absent for a default.
using value_places = std::map<std::string, std::optional<position>, std::less<>>;

struct placed_fault {
  position at;
  std::string text;
};

/// Two options of which the first must not exceed the second.
struct ordered_pair {
  std::string_view smaller, larger;
};
[[nodiscard]] std::span<const ordered_pair> ordered_pairs() noexcept;

/// All faults at once. Values that were refused on their own take no part.
[[nodiscard]] std::vector<placed_fault> cross_faults(const settings&, const value_places&);

}  // namespace comity::config
