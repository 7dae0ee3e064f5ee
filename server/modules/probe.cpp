// Presence probes: who may know what, and the exact answers (RFC 6121 §4.3.2, §4.6.6).
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"
#include "server/modules/presence_parts.hpp"
#include "server/modules/timestamp.hpp"

namespace comity::server::presence {
namespace {

bool was_sent_directed_presence(const bound_resource& r, const jid& prober) {
  return r.directed.contains(prober) || (prober.has_resource() && r.directed.contains(prober.bare()));
}

/// No more than the fact itself.
void send_mere(exchange& x, const jid& from, stanza_type type, const jid& prober) {
  x.route(stanza_builder{stanza_kind::presence, type, from, prober, {}}.finish());
}

/// §4.3.2 rule 1: one answer from the bare JID, the same whether the account exists or not, with the probe's id
/// (§4.3.2.1).
void send_unsubscribed(exchange& x, const account& who, const stanza& probe) {
  x.route(stanza_builder{stanza_kind::presence, stanza_type::unsubscribed, who.user, probe.from().bare(), probe.id()}
              .finish());
}

/// The prober has no subscription: what directed presence has told, it may hear again (§4.6.6).
void answer_stranger(exchange& x, account& who, const stanza& probe) {
  const jid& prober = probe.from();
  bool answered = false;
  for (const auto& r : who.resources) {
    if ((!probe.to().has_resource() || probe.to() == r.full) && was_sent_directed_presence(r, prober)) {
      send_mere(x, r.full, stanza_type::available, prober);
      answered = true;
    }
  }
  if (!answered) {
    send_unsubscribed(x, who, probe);
  }
}

/// To a subscriber, about one resource (§4.3.2, probes to a full JID).
void answer_about_resource(exchange& x, account& who, const stanza& probe) {
  const auto* r = who.find(probe.to().resourcepart());
  send_mere(x, probe.to(), r != nullptr && r->available() ? stanza_type::available : stanza_type::unavailable,
            probe.from());
}

/// Rule 3: nobody there; since when, if we know.
job<void> answer_unavailable(exchange& x, account& who, stanza_ref probe) {
  const auto left = co_await x.stored<std::optional<storage::store::last_presence>>(
      who, [&](auto done) { x.store().last_load(who.user, std::move(done)); });
  stanza_builder b{stanza_kind::presence, stanza_type::unavailable, who.user, probe->from(), probe->id()};
  if (left && left->has_value()) {
    const std::chrono::system_clock::time_point at{std::chrono::seconds{(*left)->unix_seconds}};
    b.writer().open("delay", "urn:xmpp:delay").attribute("stamp", utc_stamp(at)).close();
  }
  x.route(b.finish());
}

/// Everything that is known is in memory. False: rule 3 needs the store.
bool answer(exchange& x, account& who, const stanza& probe) {
  const jid& prober = probe.from();
  const bool own = prober.bare_text() == who.user.text();
  if (!own && (!who.roster || !who.roster->shares_with(prober.bare_text()))) {
    answer_stranger(x, who, probe);
  } else if (probe.to().has_resource()) {
    answer_about_resource(x, who, probe);
  } else if (who.any_available()) {
    send_current(x, who, prober);  // rule 4: the full stanzas, ids included
  } else {
    return false;
  }
  return true;
}

job<void> answer_after_loading(exchange& x, account& who, stanza_ref probe) {
  const auto there = co_await x.exists(who);
  if (!there) {
    co_return;  // no word is better than a wrong one: unsubscribed would end a subscription
  }
  if (!*there) {
    send_unsubscribed(x, who, *probe);
    co_return;
  }
  if (const auto roster = co_await x.roster_of(who); !roster) {
    co_return;
  }
  if (!answer(x, who, *probe)) {
    co_await answer_unavailable(x, who, probe);
  }
}

}  // namespace

void probed(exchange& x, account& who, const stanza_ref& s) {
  // Most probes are for users who are there, and wait for nothing.
  if (who.roster && who.any_available()) {
    answer(x, who, *s);
  } else {
    x.begin(who, answer_after_loading(x, who, s));
  }
}

}  // namespace comity::server::presence
