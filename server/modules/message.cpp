// Messages to local users (RFC 6121 §8.5). The rules are in delivery_rules; here they are carried out.
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::message {

void inbound(exchange& x, account& who, const stanza_ref& s) {
  // Whether an account without sessions exists is asked of the store by whoever needs to know.
  const auto action = deliver_message(s->type(), who.condition(), who.form_of(s->to()));
  carbons::copy_received(x, who, s, action);
  switch (action) {
    case message_action::to_resource:
      x.send(*who.find(s->to().resourcepart()), s);
      return;
    case message_action::to_non_negative:
      for (const auto& r : who.resources) {
        if (r.listening()) {
          x.send(r, s);
        }
      }
      return;
    case message_action::store_offline:
      x.begin(who, offline::keep(x, who, s));
      return;
    case message_action::answer_error:
      x.refuse(*s, stanza_condition::service_unavailable);
      return;
    case message_action::ignore:
      return;
  }
}

}  // namespace comity::server::message
