// connection/negotiation/domain_flow.hpp: the two domains between which stanzas flow one way (XEP-0220 §1.3: a domain
// pair), and the set of those that a stream has been authorised for.
#pragma once

#include <compare>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

namespace comity::connection {

/// Both enforced. Swapped, they would be the flow the other way, which is authorised on its own.
struct domain_flow {
  std::string sender;  // domain of the stanzas' `from`
  std::string target;  // domain of their `to`
  friend auto operator<=>(const domain_flow&, const domain_flow&) = default;
};

[[nodiscard]] inline domain_flow reversed(const domain_flow& f) {
  return {.sender = f.target, .target = f.sender};
}

/// A flow as views, to look one up by without making it.
struct domain_flow_view {
  std::string_view sender;
  std::string_view target;
};

struct domain_flow_less {
  using is_transparent = void;
  template <typename A, typename B>
  bool operator()(const A& a, const B& b) const noexcept {
    return std::tuple<std::string_view, std::string_view>{a.sender, a.target} <
           std::tuple<std::string_view, std::string_view>{b.sender, b.target};
  }
};
using domain_flows = std::set<domain_flow, domain_flow_less>;

}  // namespace comity::connection
