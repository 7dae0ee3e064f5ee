// server/kept_session.hpp: a session under stream management (XEP-0198) on its way over a restart, as text for the
// store.
//
// Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "connection/jid.hpp"
#include "connection/stanza.hpp"

namespace comity::server {

struct kept_session {
  struct entry {
    stanza_ref stanza;
    std::chrono::system_clock::time_point at;
    std::uint64_t copies = 0;  // the same number for copies of one message; 0: there are none
  };
  std::string id;
  jid full;
  std::chrono::seconds resume_within{};
  std::uint32_t handled = 0;
  std::uint32_t acknowledged = 0;
  stanza_ref presence;  // nullptr: it was not available
  bool interested = false;
  bool sees_blocks = false;
  bool carbons = false;
  std::set<jid> directed;
  std::vector<entry> unacknowledged;
};

[[nodiscard]] std::string written(const kept_session&);
/// nullopt where it is damaged.
[[nodiscard]] std::optional<kept_session> read_session(std::string_view);

}  // namespace comity::server
