// Presence: broadcast, directed, unavailable, and its delivery to local users (RFC 6121 §4). Probes: probe.cpp.
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"
#include "server/modules/presence_parts.hpp"

namespace comity::server::presence {
namespace {

/// To everybody who is subscribed to the user.
void to_subscribers(exchange& x, const account& who, const stanza_ref& s) {
  if (who.blocked == nullptr) {
    x.route_to_each(*s, who.roster->subscribers());
    return;
  }
  for (const auto& each : who.roster->subscribers()) {
    if (!who.blocks(each->address)) {
      x.route(s->readdressed(each->address));
    }
  }
}

/// An entity is subscribed to its own presence (§4.2.2, §4.4.2, §4.5.2).
void to_own_resources(exchange& x, const account& who, const stanza_ref& s) {
  for (const auto& r : who.resources) {
    if (r.available()) {
      x.send(r, s->readdressed(r.full));
    }
  }
}

/// What a resource that has just become available is told: its siblings, requests that wait, and, in answer to probes,
/// its contacts.
void welcome(exchange& x, const account& who, const bound_resource& newcomer) {
  for (const auto& r : who.resources) {
    if (r.available() && &r != &newcomer) {
      x.send(newcomer, r.presence->readdressed(newcomer.full));
    }
  }
  for (const auto& [bare, item] : who.roster->items()) {
    if (who.blocks(item.contact)) {
      continue;  // XEP-0191 §3.3
    }
    const auto state = state_of(item);
    if (pending_in(state)) {
      // §3.1.3: at each initial presence, until the user answers.
      if (const auto request = item.request.empty() ? nullptr : stanza::from_wire(item.request)) {
        x.send(newcomer, request);
      }
    }
    if (subscribed_to_contact(state)) {
      // §4.3.1: from the bare JID. A probe that stays in this server names the resource that wants the answers, so that
      // its siblings are not told again.
      const auto& prober = x.hosts(item.contact.domainpart()) ? newcomer.full : who.user;
      x.route(stanza_builder{stanza_kind::presence, stanza_type::probe, prober, item.contact, {}}.finish());
    }
    if (pending_out(state)) {
      // §3.1.2: asked again, in case the first request was lost on its way.
      x.route(stanza_builder{stanza_kind::presence, stanza_type::subscribe, who.user, item.contact, {}}.finish());
    }
  }
}

/// The roster is loaded.
void announce(exchange& x, account& who, bound_resource& sender, const stanza_ref& s) {
  const bool initial = !sender.available();
  sender.presence = s;
  sender.priority = s->priority().value_or(0);
  to_subscribers(x, who, s);
  to_own_resources(x, who, s);
  if (initial) {
    welcome(x, who, sender);
  }
}

/// §4.4.2, §4.2.2; and XEP-0160 §2 step 5.
job<void> announce_after_loading(exchange& x, account& who, bound_resource& sender, stanza_ref s) {
  const bool was_listening = sender.listening();
  if (const auto roster = co_await x.roster_of(who); !roster) {
    x.answer_error(who, *s, stanza_condition::internal_server_error);
    co_return;
  }
  announce(x, who, sender, s);
  if (!was_listening && sender.listening() && who.offline_unread) {
    co_await offline::hand_over(x, who, sender.session);
  }
}

void available(exchange& x, account& who, bound_resource& sender, const stanza_ref& s) {
  if (!s->priority()) {
    x.answer_error(who, *s, stanza_condition::bad_request);  // §4.7.2.3
    return;
  }
  const bool stored_mail = who.offline_unread && !sender.listening() && *s->priority() >= 0;
  if (who.roster && !stored_mail) {
    announce(x, who, sender, s);
  } else {
    x.begin(who, announce_after_loading(x, who, sender, s));
  }
}

/// Whatever is asked of the account next waits for it, lest it be answered from the time before.
job<void> keep_going(exchange& x, account& who, storage::store::last_presence left) {
  // The store has logged what went wrong; there is nobody to tell.
  (void)co_await x.stored<void>(who,
                                [&](auto done) { x.store().last_put(who.user, std::move(left), std::move(done)); });
}

/// The user has gone altogether: remembered for probes and XEP-0012.
void remember_going(exchange& x, account& who, const stanza& s) {
  storage::store::last_presence left;
  left.unix_seconds = std::chrono::duration_cast<std::chrono::seconds>(x.now().time_since_epoch()).count();
  if (const auto document = s.document()) {
    for (const auto child : document->root().children()) {
      if (child.name() == "status" && child.ns() == document->root().ns()) {
        left.status = child.text();
        break;
      }
    }
  }
  x.begin(who, keep_going(x, who, std::move(left)));
}

/// `gone` ends its presence session with `s` (§4.5.2); it may be in the account still, or not any more.
void unavailable(exchange& x, account& who, bound_resource& gone, const stanza_ref& s) {
  const bool was_available = gone.available();
  if (was_available) {
    to_subscribers(x, who, s);
    to_own_resources(x, who, s);
  }
  gone.presence = nullptr;
  gone.priority = 0;
  // §4.6.3 rule 2: everybody who was sent directed presence, unless told just now.
  const auto directed = std::exchange(gone.directed, {});
  for (const auto& entity : directed) {
    if (!was_available || !who.roster->shares_with(entity.bare_text())) {
      x.route(s->readdressed(entity));
    }
  }
  if (was_available && !who.any_available()) {
    remember_going(x, who, *s);
  }
}

void directed(exchange& x, account& who, bound_resource& sender, const stanza_ref& s) {
  const jid& to = s->to();
  if (s->type() == stanza_type::unavailable) {
    sender.directed.erase(to);  // §4.6.1
  } else {
    // §4.6.3: those who get the broadcasts anyway need no entry.
    const bool gets_broadcasts = sender.available() && (to.bare_text() == who.user.text() ||
                                                        (who.roster && who.roster->shares_with(to.bare_text())));
    if (!gets_broadcasts && !sender.directed.contains(to)) {
      if (sender.directed.size() >= x.limits().directed_presences) {  // THREATS D7
        x.answer_error(who, *s, stanza_condition::resource_constraint);
        return;
      }
      sender.directed.insert(to);
    }
  }
  x.route(s);
}

void subscription_request(exchange& x, account& who, const stanza_ref& s) {
  if (s->to().empty()) {
    x.answer_error(who, *s, stanza_condition::bad_request);
  } else if (s->to().bare_text() != who.user.text()) {  // one is subscribed to oneself already (§4.2.2)
    x.begin(who, subscription::outbound(x, who, s));
  }
}

}  // namespace

void outbound(exchange& x, account& who, bound_resource& sender, const stanza_ref& s) {
  switch (s->type()) {
    case stanza_type::available:
      if (s->to().empty()) {
        available(x, who, sender, s);
      } else {
        directed(x, who, sender, s);
      }
      return;
    case stanza_type::unavailable:
      if (s->to().empty()) {
        if (sender.available() || !sender.directed.empty()) {
          unavailable(x, who, sender, s);
        }
      } else {
        directed(x, who, sender, s);
      }
      return;
    case stanza_type::subscribe:
    case stanza_type::subscribed:
    case stanza_type::unsubscribe:
    case stanza_type::unsubscribed:
      subscription_request(x, who, s);
      return;
    case stanza_type::probe:  // §4.3: not for clients to send, and no reason to refuse
    case stanza_type::error:
      if (!s->to().empty()) {
        x.route(s);
      }
      return;
    default:
      x.answer_error(who, *s, stanza_condition::bad_request);  // §4.7.1
      return;
  }
}

void inbound(exchange& x, account& who, const stanza_ref& s) {
  // An account that may not exist: nothing but subscriptions and probes would make a difference, and they ask the
  // store.
  switch (deliver_presence(s->type(), who.condition(), who.form_of(s->to()))) {
    case presence_action::to_resource:
      x.send(*who.find(s->to().resourcepart()), s);
      break;
    case presence_action::to_available:
      for (const auto& r : who.resources) {
        if (r.available()) {
          x.send(r, s);
        }
      }
      break;
    case presence_action::subscription:
      x.begin(who, subscription::inbound(x, who, s));
      return;
    case presence_action::probe:
      probed(x, who, s);
      return;
    case presence_action::ignore:
      break;
  }
  if (s->type() == stanza_type::unavailable) {
    for (auto& r : who.resources) {
      r.directed.erase(s->from());  // §4.6.1: who has gone needs no notice of our going
    }
  }
}

void ended(exchange& x, account& who, bound_resource gone) {
  if (!gone.available() && gone.directed.empty()) {
    return;
  }
  unavailable(x, who, gone,
              stanza_builder{stanza_kind::presence, stanza_type::unavailable, gone.full, jid{}, {}}.finish());
}

void send_current(exchange& x, account& who, const jid& contact) {
  for (const auto& r : who.resources) {
    if (r.available()) {
      x.route(r.presence->readdressed(contact));
    }
  }
}

void send_unavailable(exchange& x, account& who, const jid& contact) {
  if (who.blocks(contact)) {
    return;  // and has been told already
  }
  for (const auto& r : who.resources) {
    if (r.available()) {
      x.route(stanza_builder{stanza_kind::presence, stanza_type::unavailable, r.full, contact, {}}.finish());
    }
  }
}

}  // namespace comity::server::presence
