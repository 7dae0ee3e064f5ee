// server/block_list.hpp: whom a user blocks (XEP-0191), as held in memory while the user has sessions or work.
//
// A copy of what the store has, changed only after the store has committed the change. Belongs to the account, on its
// home loop.
#pragma once

#include <cstddef>
#include <set>
#include <string_view>
#include <vector>

#include "connection/jid.hpp"

namespace comity::server {

class block_list {
public:
  /// JIDs as stored: full, bare, a domain with or without a resource.
  explicit block_list(std::vector<jid> stored = {});

  /// What was committed. Those that are there already, or are not, make no difference.
  void add(const std::vector<jid>&);
  void remove(const std::vector<jid>&);

  /// Whether a stanza from or to that address is blocked (XEP-0191, "JID Matching"): by itself, as a resource of a user
  /// or of a domain; by its user; by its domain.
  [[nodiscard]] bool matches(const jid&) const noexcept;
  /// Whether it stands in the list itself.
  [[nodiscard]] bool has(const jid& item) const noexcept { return items_.contains(item.text()); }

  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  /// In the order of their texts.
  [[nodiscard]] const auto& items() const noexcept { return items_; }

private:
  struct by_text {
    using is_transparent = void;
    bool operator()(const jid& a, const jid& b) const noexcept { return a.text() < b.text(); }
    bool operator()(const jid& a, std::string_view b) const noexcept { return a.text() < b; }
    bool operator()(std::string_view a, const jid& b) const noexcept { return a < b.text(); }
  };
  std::set<jid, by_text> items_;  // ordered, not hashed: whom they name is the peers' choice (THREATS G9)
};

}  // namespace comity::server
