// server/subscription_state.hpp: presence subscriptions as a pure state machine (RFC 6121 §3 and appendix A).
//
// One user's view of one contact. What the function decides, the subscription module carries out; nothing here knows of
// stanzas, storage or sessions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "server/storage/store.hpp"

namespace comity::server {

/// RFC 6121 appendix A.1: the nine states, from the user's point of view. A contact outside the roster is in `none` or,
/// with a request that waits for an answer, in `none_pending_in`.
enum class subscription_state : std::uint8_t {
  none,
  none_pending_out,
  none_pending_in,
  none_pending_out_in,
  to,
  to_pending_in,
  from,
  from_pending_out,
  both,
};
inline constexpr std::size_t subscription_state_count = 9;

/// The four presence types that manage subscriptions.
enum class subscription_event : std::uint8_t { subscribe, unsubscribe, subscribed, unsubscribed };

/// What has to be done. `next` and `approved` are the state afterwards.
struct subscription_step {
  subscription_state next = subscription_state::none;
  bool approved = false;  // RFC 6121 §3.4: a pre-approval is on record
  bool pass = false;      // outbound: route to the contact; inbound: deliver to the user
  bool changed = false;   // something has to be stored
  bool push = false;      // the change shows in the roster: subscription, ask or approved
  enum class reply : std::uint8_t { none, subscribed, unsubscribed };
  reply answer = reply::none;  // inbound only: sent to the contact on behalf of the user
};

/// The user sends `event` to the contact (appendix A.2). Unknown contacts are `none`.
[[nodiscard]] subscription_step outbound_subscription(subscription_state, bool approved, subscription_event) noexcept;
/// The contact's `event` arrives for the user (appendix A.3).
[[nodiscard]] subscription_step inbound_subscription(subscription_state, bool approved, subscription_event) noexcept;

/// The state that a stored item is in, and back. A combination that appendix A does not have (a request pending from
/// somebody who is subscribed already) counts as answered.
[[nodiscard]] subscription_state state_of(const storage::roster_item&) noexcept;
void put_state(storage::roster_item&, subscription_state) noexcept;

/// The contact receives the user's presence: `from`, `from + pending out`, `both`.
[[nodiscard]] constexpr bool shares_with_contact(subscription_state s) noexcept {
  return s == subscription_state::from || s == subscription_state::from_pending_out || s == subscription_state::both;
}
/// The user receives the contact's presence: `to`, `to + pending in`, `both`.
[[nodiscard]] constexpr bool subscribed_to_contact(subscription_state s) noexcept {
  return s == subscription_state::to || s == subscription_state::to_pending_in || s == subscription_state::both;
}
[[nodiscard]] constexpr bool pending_in(subscription_state s) noexcept {
  return s == subscription_state::none_pending_in || s == subscription_state::none_pending_out_in ||
         s == subscription_state::to_pending_in;
}
[[nodiscard]] constexpr bool pending_out(subscription_state s) noexcept {
  return s == subscription_state::none_pending_out || s == subscription_state::none_pending_out_in ||
         s == subscription_state::from_pending_out;
}

}  // namespace comity::server
