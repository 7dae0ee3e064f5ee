// Presence subscriptions (RFC 6121 §3): carries out what subscription_state decides. A change is committed before
// anybody hears of it.
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::subscription {
namespace {

subscription_event event_of(stanza_type t) noexcept {
  switch (t) {
    case stanza_type::unsubscribe:
      return subscription_event::unsubscribe;
    case stanza_type::subscribed:
      return subscription_event::subscribed;
    case stanza_type::unsubscribed:
      return subscription_event::unsubscribed;
    default:
      return subscription_event::subscribe;
  }
}

stanza_condition condition_of(storage::error e) noexcept {
  return e == storage::error::full ? stanza_condition::resource_constraint : stanza_condition::internal_server_error;
}

/// RFC 6121 §3: always from bare JID to bare JID, lest a resource leak.
stanza_ref between_bare(const stanza_ref& s) {
  if (!s->from().has_resource() && !s->to().has_resource()) {
    return s;
  }
  auto document = *s->document();
  return stanza::make(std::move(document), s->from().bare(), s->to().bare());
}

storage::roster_item item_for(const contacts& roster, const jid& contact) {
  if (const auto* known = roster.find(contact.text())) {
    return *known;
  }
  storage::roster_item fresh;
  fresh.contact = contact;
  fresh.in_roster = false;
  return fresh;
}

/// The wire form in which a request waits for its answer (§3.1.3). One too large to keep keeps its addresses only.
std::string kept_request(const stanza& s, std::size_t limit) {
  std::string wire;
  if (s.wire_size() <= limit) {
    s.wire(wire);
  } else {
    stanza_builder{stanza_kind::presence, stanza_type::subscribe, s.from(), s.to(), {}}.finish()->wire(wire);
  }
  return wire;
}

/// §3.1.3: requests and nothing else go to available resources; the rest to those who watch the roster.
void deliver(exchange& x, const account& who, const stanza_ref& s) {
  for (const auto& r : who.resources) {
    if (s->type() == stanza_type::subscribe ? r.available() : r.interested) {
      x.send(r, s);
    }
  }
}

void auto_reply(exchange& x, const account& who, const stanza& request, subscription_step::reply r) {
  if (r != subscription_step::reply::none) {
    x.route(
        stanza_builder{stanza_kind::presence,
                       r == subscription_step::reply::subscribed ? stanza_type::subscribed : stanza_type::unsubscribed,
                       who.user, request.from(), request.id()}
            .finish());
  }
}

}  // namespace

job<void> outbound(exchange& x, account& who, stanza_ref original) {
  const auto roster = co_await x.roster_of(who);
  if (!roster) {
    x.answer_error(who, *original, condition_of(roster.error()));
    co_return;
  }
  const auto s = between_bare(original);
  const auto event = event_of(s->type());
  auto item = item_for(**roster, s->to());
  const auto before = state_of(item);
  const auto step = outbound_subscription(before, item.approved, event);
  const bool was_shown = item.in_roster;
  put_state(item, step.next);
  item.approved = step.approved;
  // A.1 state 3: the contact enters the roster when the user asks or approves, not before.
  item.in_roster = was_shown || (step.changed &&
                                 (event == subscription_event::subscribe || event == subscription_event::subscribed));
  if (item.in_roster && !was_shown && (*roster)->visible() >= x.limits().roster_items) {
    x.answer_error(who, *original, stanza_condition::resource_constraint);  // THREATS F14
    co_return;
  }
  if (step.changed) {
    if (const auto stored = co_await x.store_item(who, item); !stored) {
      x.answer_error(who, *original, condition_of(stored.error()));
      co_return;
    }
  }
  const bool stops_sharing = shares_with_contact(before) && !shares_with_contact(step.next);
  if (stops_sharing) {
    presence::send_unavailable(x, who, s->to());  // §3.2.2: before the word itself
  }
  if (step.pass) {
    x.route(s);
  }
  if (item.in_roster && (step.push || !was_shown)) {
    if (const auto* now = who.roster->find(s->to().text())) {
      roster::push(x, who, *now);
    }
  }
  if (!shares_with_contact(before) && shares_with_contact(step.next)) {
    presence::send_current(x, who, s->to());  // §3.1.5
  }
}

job<void> inbound(exchange& x, account& who, stanza_ref original) {
  if (original->from().bare_text() == who.user.text()) {
    co_return;
  }
  const auto there = co_await x.exists(who);
  if (there && !*there) {
    co_return;  // RFC 6121 §8.5.1
  }
  const auto roster = co_await x.roster_of(who);
  if (!there || !roster) {
    x.refuse(*original, stanza_condition::internal_server_error);
    co_return;
  }
  const auto s = between_bare(original);
  const jid& contact = s->from();
  auto item = item_for(**roster, contact);
  const auto before = state_of(item);
  const auto step = inbound_subscription(before, item.approved, event_of(s->type()));
  const bool unknown = (*roster)->find(contact.text()) == nullptr;
  put_state(item, step.next);
  if (pending_in(step.next) && !pending_in(before)) {
    if (unknown && (*roster)->hidden() >= x.limits().pending_requests) {
      // §3.1.3, security warning: nobody fills the disk with requests.
      x.log().write(log::level::warn, "subscription.too_many_requests", {{"user", who.user.text()}});
      co_return;
    }
    item.request = kept_request(*s, x.limits().request_bytes);
  }
  if (step.changed) {
    if (const auto stored = co_await x.store_item(who, item); !stored) {
      x.refuse(*original, condition_of(stored.error()));
      co_return;
    }
  }
  if (step.pass) {
    deliver(x, who, s);  // §3.1.6, §3.2.3, §3.3.3: before the push
  }
  if (step.push && item.in_roster) {
    if (const auto* now = who.roster->find(contact.text())) {
      roster::push(x, who, *now);
    }
  }
  if (shares_with_contact(before) && !shares_with_contact(step.next)) {
    presence::send_unavailable(x, who, contact);  // §3.3.3
  }
  auto_reply(x, who, *s, step.answer);
  if (step.answer == subscription_step::reply::subscribed) {
    presence::send_current(x, who, contact);  // §3.1.5: as for every approval
  }
}

}  // namespace comity::server::subscription
