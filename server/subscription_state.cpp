#include "server/subscription_state.hpp"

namespace comity::server {
namespace {

using enum subscription_state;
using enum subscription_event;

/// The four facts that the nine states are made of; easier to compute with than the names.
struct facts {
  bool to = false;    // the user is subscribed to the contact
  bool from = false;  // the contact is subscribed to the user
  bool out = false;   // the user's request waits at the contact
  bool in = false;    // the contact's request waits here
};

constexpr facts facts_of(subscription_state s) noexcept {
  return {.to = subscribed_to_contact(s), .from = shares_with_contact(s), .out = pending_out(s), .in = pending_in(s)};
}

constexpr subscription_state state_of_facts(facts f) noexcept {
  if (f.to && f.from) {
    return both;
  }
  if (f.to) {
    return f.in ? to_pending_in : to;
  }
  if (f.from) {
    return f.out ? from_pending_out : from;
  }
  if (f.out) {
    return f.in ? none_pending_out_in : none_pending_out;
  }
  return f.in ? none_pending_in : none;
}

subscription_step step(subscription_state before, bool approved_before, facts after, bool approved,
                       bool pass) noexcept {
  const facts was = facts_of(before);
  subscription_step s;
  s.next = state_of_facts(after);
  s.approved = approved;
  s.pass = pass;
  s.changed = s.next != before || approved != approved_before;
  // A pending inbound request is not part of the roster that clients see (RFC 6121 A.1 state 3).
  s.push = was.to != after.to || was.from != after.from || was.out != after.out || approved != approved_before;
  return s;
}

}  // namespace

subscription_step outbound_subscription(subscription_state before, bool approved, subscription_event event) noexcept {
  facts f = facts_of(before);
  switch (event) {
    case subscribe:  // RFC 6121 A.2.1: always routed
      f.out = f.out || !f.to;
      return step(before, approved, f, approved, true);
    case unsubscribe:  // A.2.2: always routed
      f.to = f.out = false;
      return step(before, approved, f, approved, true);
    case subscribed:  // A.2.3
      if (f.in) {
        f.in = false;
        f.from = true;
        return step(before, approved, f, approved, true);
      }
      // §3.4.2: nobody has asked yet, so it is a pre-approval; whoever is subscribed already needs none.
      return step(before, approved, f, approved || !f.from, false);
    case unsubscribed: {  // A.2.4; in every state it takes a pre-approval back (§3.4, note 1)
      const bool routed = f.from || f.in;
      f.from = f.in = false;
      return step(before, approved, f, false, routed);
    }
  }
  return step(before, approved, f, approved, false);
}

subscription_step inbound_subscription(subscription_state before, bool approved, subscription_event event) noexcept {
  facts f = facts_of(before);
  switch (event) {
    case subscribe: {  // A.3.1
      if (f.from || approved) {
        // Note 2, and note 1 with §3.4.2: answered on behalf of the user, who never sees it.
        f.from = true;
        f.in = false;
        auto s = step(before, approved, f, approved, false);
        s.answer = subscription_step::reply::subscribed;
        return s;
      }
      const bool news = !f.in;
      f.in = true;
      return step(before, approved, f, approved, news);
    }
    case unsubscribe: {  // A.3.2
      const bool change = f.from || f.in;
      f.from = f.in = false;
      auto s = step(before, approved, f, approved, change);
      if (change) {
        s.answer = subscription_step::reply::unsubscribed;
      }
      return s;
    }
    case subscribed: {  // A.3.3
      const bool asked = f.out;
      f.to = f.to || asked;
      f.out = false;
      return step(before, approved, f, approved, asked);
    }
    case unsubscribed: {  // A.3.4
      const bool change = f.to || f.out;
      f.to = f.out = false;
      return step(before, approved, f, approved, change);
    }
  }
  return step(before, approved, f, approved, false);
}

subscription_state state_of(const storage::roster_item& item) noexcept {
  facts f{.out = item.pending_out, .in = item.pending_in};
  f.to = item.subscription == storage::subscription::to || item.subscription == storage::subscription::both;
  f.from = item.subscription == storage::subscription::from || item.subscription == storage::subscription::both;
  f.out = f.out && !f.to;
  f.in = f.in && !f.from;
  return state_of_facts(f);
}

void put_state(storage::roster_item& item, subscription_state s) noexcept {
  const facts f = facts_of(s);
  if (f.to && f.from) {
    item.subscription = storage::subscription::both;
  } else if (f.to) {
    item.subscription = storage::subscription::to;
  } else {
    item.subscription = f.from ? storage::subscription::from : storage::subscription::none;
  }
  item.pending_out = f.out;
  item.pending_in = f.in;
  if (!f.in) {
    item.request.clear();
  }
}

}  // namespace comity::server
