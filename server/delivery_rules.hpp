// server/delivery_rules.hpp: what becomes of a stanza addressed to a local user (RFC 6121 §8.5), as pure functions.
//
// Where the RFC leaves a choice, the choice is made here and nowhere else:
//  - account does not exist: messages of type normal, chat and groupchat are answered with an error, so that a
//    mistyped address is noticed; headlines vanish.
//  - no active resource, or negative ones only: normal and chat go to offline storage.
//  - DEVIATION: chat to a bare JID goes to every resource with non-negative priority although none can opt in
//    (§8.5.4 note *): people use several devices, and a message shown on one of them only is a message lost.
//    normal likewise. (DeliveryRules.ChatToBareGoesToAllNonNegative)
//  - chat to a full JID that is gone is treated as chat to the bare JID; normal and groupchat are answered with an
//    error, headlines vanish.
#pragma once

#include <cstdint>

#include "connection/stanza.hpp"

namespace comity::server {

/// Who there is to receive. An available resource has sent presence; a connected one has only bound.
enum class recipient_condition : std::uint8_t {
  no_such_user,
  no_available_resource,
  negative_only,  // available resources, all of negative priority
  non_negative,   // at least one available resource of priority 0 or more
};

/// How it is addressed. "Matches" takes connected resources into account, not only available ones (§8.5.3.1).
enum class address_form : std::uint8_t { bare, full_match, full_no_match };

enum class message_action : std::uint8_t {
  to_resource,      // the one addressed
  to_non_negative,  // every available resource of priority 0 or more
  store_offline,
  answer_error,  // <service-unavailable/>
  ignore,
};
[[nodiscard]] message_action deliver_message(stanza_type, recipient_condition, address_form) noexcept;

enum class presence_action : std::uint8_t {
  to_resource,
  to_available,  // every available resource
  subscription,  // by the rules of §3
  probe,         // by the rules of §4.3
  ignore,
};
[[nodiscard]] presence_action deliver_presence(stanza_type, recipient_condition, address_form) noexcept;

enum class iq_action : std::uint8_t {
  by_server,    // answered on behalf of the user
  to_resource,  // requests only where presence is shared (§8.5.3.1)
  answer_error,
  ignore,
};
[[nodiscard]] iq_action deliver_iq(stanza_type, recipient_condition, address_form) noexcept;

}  // namespace comity::server
