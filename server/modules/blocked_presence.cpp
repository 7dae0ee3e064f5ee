// What blocking does to presence (XEP-0191 §3.3, §3.4): who is blocked sees the user go; who is unblocked sees the user
// again, and is seen.
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::presence {
namespace {

/// Each contact in such a state that the change names, and each resource that it names of one.
template <typename Tell>
void among_contacts(const account& who, const block_list& named, bool in_state(subscription_state), Tell tell) {
  for (const auto& [bare, item] : who.roster->items()) {
    if (in_state(state_of(item)) && named.matches(item.contact)) {
      tell(item.contact);
    }
  }
  for (const auto& each : named.items()) {
    if (each.has_resource() && in_state(who.roster->state(each.bare_text())) && !named.matches(each.bare())) {
      tell(each);
    }
  }
}

}  // namespace

void blocking(exchange& x, account& who, const block_list& more) {
  among_contacts(who, more, shares_with_contact, [&](const jid& subscriber) { send_unavailable(x, who, subscriber); });
  for (auto& r : who.resources) {
    std::erase_if(r.directed, [&](const jid& entity) {  // RFC 6121 §4.6: who was shown more than that
      const bool goes = who.can_block(entity) && more.matches(entity);
      if (goes && !(r.available() && who.roster->shares_with(entity.bare_text()))) {
        x.route(stanza_builder{stanza_kind::presence, stanza_type::unavailable, r.full, entity, {}}.finish());
      }
      return goes;
    });
  }
}

void unblocked(exchange& x, account& who, const block_list& fewer) {
  among_contacts(who, fewer, shares_with_contact, [&](const jid& subscriber) {
    if (!who.blocks(subscriber)) {  // by another item
      send_current(x, who, subscriber);
    }
  });
  // What its presence was meanwhile has been dropped, so it is asked for.
  among_contacts(who, fewer, subscribed_to_contact, [&](const jid& contact) {
    if (who.any_available() && !who.blocks(contact)) {
      x.route(stanza_builder{stanza_kind::presence, stanza_type::probe, who.user, contact.bare(), {}}.finish());
    }
  });
}

}  // namespace comity::server::presence
