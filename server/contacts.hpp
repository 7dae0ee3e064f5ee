// server/contacts.hpp: a user's roster as held in memory while the user has sessions (RFC 6121 §2).
//
// A copy of what the store has, changed only after the store has committed the change. Belongs to the account, on its
// home loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "connection/jid.hpp"
#include "connection/stanza.hpp"
#include "connection/xml/writer.hpp"
#include "server/storage/store.hpp"
#include "server/subscription_state.hpp"

namespace comity::server {

inline constexpr std::string_view ns_roster = "jabber:iq:roster";

class contacts {
public:
  explicit contacts(storage::roster stored);

  /// The item of that bare JID, hidden ones (a request only) included; nullptr where there is none.
  [[nodiscard]] const storage::roster_item* find(std::string_view bare) const noexcept;
  [[nodiscard]] subscription_state state(std::string_view bare) const noexcept;
  /// The contact receives the user's presence (RFC 6121: "from" or "both").
  [[nodiscard]] bool shares_with(std::string_view bare) const noexcept;

  /// All of those, in the order of their JIDs: what a broadcast goes over.
  [[nodiscard]] std::span<const addressee_ref> subscribers() const noexcept { return subscribers_; }

  /// All items, hidden ones included, in the order of their JIDs.
  [[nodiscard]] const std::map<std::string, storage::roster_item, std::less<>>& items() const noexcept {
    return items_;
  }
  /// Items that clients see, and items that only remember a request.
  [[nodiscard]] std::size_t visible() const noexcept { return visible_; }
  [[nodiscard]] std::size_t hidden() const noexcept { return items_.size() - visible_; }
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }

  /// What was committed.
  void put(storage::roster_item item, std::uint64_t version);
  void removed(const jid& contact, std::uint64_t version);

  /// One thing a client that stopped at an earlier version has to be told; `item` nullptr: the contact was removed.
  struct change {
    std::uint64_t version = 0;
    jid contact;
    const storage::roster_item* item = nullptr;
  };
  /// The changes since `version`, in order of version (RFC 6121 §2.6.3); nullopt where they are not known or where the
  /// whole roster is the shorter answer.
  [[nodiscard]] std::optional<std::vector<change>> since(std::uint64_t version) const;

private:
  void share(const jid& contact, bool shares);

  std::map<std::string, storage::roster_item, std::less<>> items_;
  std::vector<addressee_ref> subscribers_;
  std::map<std::string, std::uint64_t, std::less<>> removed_;
  std::size_t visible_ = 0;
  std::uint64_t version_ = 0;
  std::uint64_t complete_since_ = 0;
};

/// Writes one <item/> as clients see it; `removed_item` one with subscription='remove'.
void write_item(xml::writer&, const storage::roster_item&);
void write_removed_item(xml::writer&, const jid& contact);

}  // namespace comity::server
