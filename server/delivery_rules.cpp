#include "server/delivery_rules.hpp"

namespace comity::server {
namespace {

using enum stanza_type;

/// Chat, and normal to a bare JID: whoever listens, else the store.
message_action to_whoever_listens(recipient_condition who) noexcept {
  switch (who) {
    case recipient_condition::no_such_user:
      return message_action::answer_error;
    case recipient_condition::no_available_resource:
    case recipient_condition::negative_only:
      return message_action::store_offline;
    case recipient_condition::non_negative:
      return message_action::to_non_negative;
  }
  return message_action::ignore;
}

}  // namespace

message_action deliver_message(stanza_type type, recipient_condition who, address_form address) noexcept {
  if (address == address_form::full_match) {
    return message_action::to_resource;  // §8.5.3.1: whatever its type and priority
  }
  switch (type) {
    case error:  // §8.5.2.1.1, §8.5.3.2.1
      return message_action::ignore;
    case headline:
      return address == address_form::bare && who == recipient_condition::non_negative ? message_action::to_non_negative
                                                                                       : message_action::ignore;
    case groupchat:  // §8.5.2.1.1: never delivered to a bare JID
      return message_action::answer_error;
    case normal:
      return address == address_form::bare ? to_whoever_listens(who) : message_action::answer_error;
    case chat:
      return to_whoever_listens(who);
    case available:
    case unavailable:
    case subscribe:
    case subscribed:
    case unsubscribe:
    case unsubscribed:
    case probe:
    case get:
    case set:
    case result:
    case invalid:
      break;
  }
  return message_action::ignore;
}

presence_action deliver_presence(stanza_type type, recipient_condition who, address_form address) noexcept {
  switch (type) {
    case subscribe:
      return who == recipient_condition::no_such_user ? presence_action::ignore : presence_action::subscription;
    case subscribed:
    case unsubscribe:
    case unsubscribed:
      // §8.5.3.2.2: not for a resource that is gone.
      return who == recipient_condition::no_such_user || address == address_form::full_no_match
                 ? presence_action::ignore
                 : presence_action::subscription;
    case probe:
      return presence_action::probe;  // §4.3.2 answers for absent users too
    case available:
    case unavailable:
    case error:  // an error to a bare JID answers what the server sent in the user's name: a subscription request
      if (address == address_form::full_match) {
        return presence_action::to_resource;
      }
      return address == address_form::bare &&
                     (who == recipient_condition::negative_only || who == recipient_condition::non_negative)
                 ? presence_action::to_available
                 : presence_action::ignore;
    case normal:
    case chat:
    case groupchat:
    case headline:
    case get:
    case set:
    case result:
    case invalid:
      break;
  }
  return presence_action::ignore;
}

iq_action deliver_iq(stanza_type type, recipient_condition who, address_form address) noexcept {
  const bool request = type == get || type == set;
  if (!request) {  // never answered; an answer nobody waits for at the account itself is dropped
    return address == address_form::full_match && (type == result || type == error) ? iq_action::to_resource
                                                                                    : iq_action::ignore;
  }
  if (who == recipient_condition::no_such_user || address == address_form::full_no_match) {
    return iq_action::answer_error;
  }
  return address == address_form::bare ? iq_action::by_server : iq_action::to_resource;
}

}  // namespace comity::server
