// server/account.hpp: what the server knows of a local user at this moment: bound resources, presence, roster.
//
// An account exists in memory while it has sessions or work in progress. It belongs to the user's home loop; nothing
// else touches it. Work on it runs one piece after another (`active`, `waiting`): a piece that waits for the store
// holds up whatever comes after it for this user, so no rule of RFC 6121 sees half-made changes and stanzas keep their
// order.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "connection/jid.hpp"
#include "connection/session_ref.hpp"
#include "connection/stanza.hpp"
#include "server/block_list.hpp"
#include "server/contacts.hpp"
#include "server/delivery_rules.hpp"
#include "server/held_back.hpp"
#include "server/job.hpp"
#include "server/managed_stream.hpp"
#include "server/receipt.hpp"

namespace comity::server {

/// A connected resource (RFC 6120 §7); available once it has sent presence (RFC 6121 §4.2).
struct bound_resource {
  connection::session_ref session;
  jid full;
  stanza_ref presence;  // the last broadcast, without `to`; nullptr while not available
  std::int8_t priority = 0;
  bool interested = false;                  // has asked for the roster (RFC 6121 §2.2)
  bool sees_blocks = false;                 // has asked for the block list (XEP-0191)
  bool carbons = false;                     // has asked for copies of its siblings' messages (XEP-0280)
  bool ending = false;                      // its stream is gone, its end has yet to be told
  std::unique_ptr<managed_stream> managed;  // XEP-0198; nullptr where the client has not enabled it
  std::unique_ptr<held_back> held;          // XEP-0352; nullptr while the user looks
  std::set<jid> directed;                   // who was sent directed presence and is owed the end of it (RFC 6121 §4.6)
  [[nodiscard]] bool available() const noexcept { return presence != nullptr; }
  /// Takes messages that are for the account (RFC 6121 §8.5.2.1.1).
  [[nodiscard]] bool listening() const noexcept { return available() && !ending && priority >= 0; }
};

struct account {
  explicit account(jid bare) : user{std::move(bare)} {}

  const jid user;  // bare
  std::vector<bound_resource> resources;
  std::unique_ptr<contacts> roster;     // nullptr until loaded
  bool blocks_known = false;            // the block list has been loaded; always where there are resources
  std::unique_ptr<block_list> blocked;  // nullptr: nobody is blocked, as far as is known
  std::uint64_t block_pushes = 0;
  bool offline_unread = true;  // the store may hold messages for this user

  // The order of work.
  bool active = false;
  bool on_stack = false;          // a piece is running at this very moment, as opposed to waiting
  job<void> current;              // the piece that waits for the store
  std::shared_ptr<receipt> held;  // of the stanza that the piece is about: until the piece is done
  std::list<std::move_only_function<void(account&)>> waiting;

  [[nodiscard]] bound_resource* find(std::string_view resourcepart) noexcept {
    for (auto& r : resources) {
      if (r.full.resourcepart() == resourcepart) {
        return &r;
      }
    }
    return nullptr;
  }
  /// The user wants to hear nothing from that address, nor to send to it (XEP-0191). The list is known.
  /// DEVIATION: as the user's own resources, which can never be blocked, so the server itself: whoever blocks its
  /// domain means the people there, and could not even ask what the list is.
  /// (Blocking.NeverOfOneselfNorOfTheServerItself)
  [[nodiscard]] bool blocks(const jid& other) const noexcept {
    return blocked != nullptr && can_block(other) && blocked->matches(other);
  }
  [[nodiscard]] bool can_block(const jid& other) const noexcept {
    return other.bare_text() != user.text() && other.bare_text() != user.domainpart();
  }
  [[nodiscard]] bool any_available() const noexcept {
    for (const auto& r : resources) {
      if (r.available()) {
        return true;
      }
    }
    return false;
  }
  /// Of an account that exists.
  [[nodiscard]] recipient_condition condition() const noexcept {
    auto best = recipient_condition::no_available_resource;
    for (const auto& r : resources) {
      if (r.listening()) {
        return recipient_condition::non_negative;
      }
      if (r.available()) {
        best = recipient_condition::negative_only;
      }
    }
    return best;
  }
  [[nodiscard]] address_form form_of(const jid& to) noexcept {
    if (!to.has_resource()) {
      return address_form::bare;
    }
    const auto* r = find(to.resourcepart());
    return r != nullptr && !r->ending ? address_form::full_match : address_form::full_no_match;
  }
};

}  // namespace comity::server
