// XEP-0160: messages for users who are not there, kept and handed over with the time they came (XEP-0203).
#include <algorithm>

#include "server/exchange.hpp"
#include "server/modules/modules.hpp"
#include "server/modules/timestamp.hpp"

namespace comity::server::offline {

void serve(iq_table& table) {
  table.add_feature("msgoffline", true, false);
}

job<void> keep(exchange& x, account& who, stanza_ref s, std::chrono::system_clock::time_point sent) {
  const auto there = co_await x.exists(who);
  if (!there) {
    x.refuse(*s, stanza_condition::internal_server_error);
    co_return;
  }
  const auto condition = *there ? who.condition() : recipient_condition::no_such_user;
  // Whoever has bound that resource since is not who it was sent to.
  const auto form = s->to().has_resource() ? address_form::full_no_match : address_form::bare;
  if (deliver_message(s->type(), condition, form) != message_action::store_offline) {
    x.refuse(*s, stanza_condition::service_unavailable);  // RFC 6121 §8.5.1
    co_return;
  }
  if (s->flags().chat_state_only) {
    co_return;  // XEP-0160 §3: worth nothing later
  }
  const auto domain = jid::make({}, who.user.domainpart(), {});
  std::string wire;
  with_delay(*s, domain.value_or(who.user), utc_stamp(sent))->wire(wire);
  who.offline_unread = true;
  const auto kept = co_await x.stored<void>(who, [&](auto done) {
    x.store().offline_add(who.user, std::move(wire), x.limits().offline_messages, std::move(done));
  });
  if (!kept) {
    // XEP-0160 §2 step 3, RFC 6121 §8.5.2.2.1: what cannot be kept is answered, the quota included (THREATS F14).
    x.refuse(*s, stanza_condition::service_unavailable);
  }
}

job<void> hand_over(exchange& x, account& who, connection::session_ref session) {
  const auto kept = co_await x.stored<std::vector<storage::offline_message>>(
      who, [&](auto done) { x.store().offline_load(who.user, std::move(done)); });
  if (!kept) {
    co_return;  // they stay, and so does the sign that they are there
  }
  const auto found = std::ranges::find(who.resources, session, &bound_resource::session);
  if (found == who.resources.end() || found->ending) {
    co_return;
  }
  for (const auto& one : *kept) {
    if (const auto s = stanza::from_wire(one.wire); s && who.blocks(s->from())) {
      x.refuse(*s, stanza_condition::service_unavailable);  // XEP-0191 §3.3: since it came
    } else if (s) {
      x.send(*found, s);
    } else {
      x.log().write(log::level::error, "offline.damaged",
                    {{"user", who.user.text()}, {"id", static_cast<std::int64_t>(one.id)}});
    }
  }
  if (kept->empty()) {
    who.offline_unread = false;
    co_return;
  }
  // Only now: a crash before this hands them over again rather than never.
  const auto removed = co_await x.stored<void>(
      who, [&](auto done) { x.store().offline_remove(who.user, kept->back().id, std::move(done)); });
  if (removed) {
    who.offline_unread = false;
  }
}

}  // namespace comity::server::offline
