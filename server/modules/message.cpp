// Messages to local users (RFC 6121 §8.5). The rules are in delivery_rules; here they are carried out.
#include <algorithm>

#include "server/exchange.hpp"
#include "server/modules/modules.hpp"
#include "server/modules/timestamp.hpp"

namespace comity::server::message {

namespace {

void to_listening(exchange& x, const account& who, const stanza_ref& s) {
  // Copies under stream management, and those that wait, know of each other: what one device has is not lost with
  // another.
  const auto kept = std::ranges::count_if(
      who.resources, [](const auto& r) { return r.listening() && (r.managed != nullptr || r.held != nullptr); });
  const auto all = std::ranges::count_if(who.resources, &bound_resource::listening);
  const auto shared = kept > 0 && all > 1 ? std::make_shared<managed_stream::copies>() : nullptr;
  for (const auto& r : who.resources) {
    if (r.listening()) {
      x.send(r, s, shared);
    }
  }
}

}  // namespace

void again(exchange& x, account& who, const stanza_ref& s, std::chrono::system_clock::time_point sent) {
  // Whoever has the resource by now is not who it was sent to.
  const auto form = s->to().has_resource() ? address_form::full_no_match : address_form::bare;
  switch (deliver_message(s->type(), who.condition(), form)) {
    case message_action::to_resource:
    case message_action::to_non_negative:
      to_listening(x, who,
                   with_delay(*s, jid::make({}, who.user.domainpart(), {}).value_or(who.user), utc_stamp(sent)));
      return;
    case message_action::store_offline:
      x.begin(who, offline::keep(x, who, s, sent));
      return;
    case message_action::answer_error:
      x.refuse(*s, stanza_condition::service_unavailable);
      return;
    case message_action::ignore:
      return;
  }
}

void inbound(exchange& x, account& who, const stanza_ref& said) {
  const auto s = without_forged_marks(said, who.user);
  // Whether an account without sessions exists is asked of the store by whoever needs to know.
  const auto action = deliver_message(s->type(), who.condition(), who.form_of(s->to()));
  carbons::copy_received(x, who, s, action);
  switch (action) {
    case message_action::to_resource:
      x.send(*who.find(s->to().resourcepart()), s);
      return;
    case message_action::to_non_negative:
      to_listening(x, who, s);
      return;
    case message_action::store_offline:
      x.begin(who, offline::keep(x, who, s, x.now()));
      return;
    case message_action::answer_error:
      x.refuse(*s, stanza_condition::service_unavailable);
      return;
    case message_action::ignore:
      return;
  }
}

}  // namespace comity::server::message
