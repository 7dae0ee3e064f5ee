// server/modules/modules.hpp: the modules, each with the way in that the exchange uses. A module is one .cpp beside
// this file; all functions run on the home loop of the account they are given, as a piece of its work.
#pragma once

#include "server/account.hpp"
#include "server/modules/module.hpp"

namespace comity::server {

class exchange;

namespace presence {
/// A client's presence, whatever its type and addressee (RFC 6121 §4; subscriptions are handed on).
void outbound(exchange&, account&, bound_resource& sender, const stanza_ref&);
void inbound(exchange&, account&, const stanza_ref&);
/// The resource has ended and is no longer in the account: whoever saw it available is told (RFC 6121 §4.5.2).
void ended(exchange&, account&, bound_resource gone);
/// The last presence of every available resource, to one contact; or unavailable presence in its place.
void send_current(exchange&, account&, const jid& contact);
void send_unavailable(exchange&, account&, const jid& contact);
/// These are about to be blocked (XEP-0191 §3.3), or have just been unblocked (§3.4): who is, of those that may see the
/// user, sees the user go, or come again. The roster is loaded.
void blocking(exchange&, account&, const block_list& more);
void unblocked(exchange&, account&, const block_list& fewer);
}  // namespace presence

namespace subscription {
/// A stanza of type subscribe, subscribed, unsubscribe, unsubscribed (RFC 6121 §3).
job<void> outbound(exchange&, account&, stanza_ref);
job<void> inbound(exchange&, account&, stanza_ref);
}  // namespace subscription

namespace roster {
void serve(iq_table&, exchange&);
/// A roster push of the item to all interested resources (RFC 6121 §2.1.6).
void push(exchange&, account&, const storage::roster_item&);
}  // namespace roster

namespace message {
/// RFC 6121 §8.5. Also called outside the account's work where it is idle and somebody is bound: then nothing of it
/// waits for the store.
void inbound(exchange&, account&, const stanza_ref&);
/// What was sent to a session that ended before it had it (XEP-0198 §4); the last act of a piece of work.
void again(exchange&, account&, const stanza_ref&, std::chrono::system_clock::time_point sent);
}  // namespace message

namespace carbons {
void serve(iq_table&);
/// Copies of a message that `sender` has sent, to its siblings that asked for them (XEP-0280 §8).
void copy_sent(exchange&, account&, const bound_resource& sender, const stanza_ref&);
/// Copies of a message that came for the account, to those who asked for them and do not get it itself (§7). `action`
/// is what becomes of it.
void copy_received(exchange&, account&, const stanza_ref&, message_action action);
}  // namespace carbons

namespace offline {
void serve(iq_table&);
/// Keeps the message for later, or tells its sender (XEP-0160).
job<void> keep(exchange&, account&, stanza_ref, std::chrono::system_clock::time_point sent);
/// Hands all that is kept to that session, then forgets it.
job<void> hand_over(exchange&, account&, connection::session_ref);
}  // namespace offline

namespace blocking {
inline constexpr std::string_view ns_errors = "urn:xmpp:blocking:errors";
void serve(iq_table&, exchange&);
}  // namespace blocking

namespace disco {
void serve(iq_table&, exchange&);
}
namespace ping {
void serve(iq_table&);
}
namespace version {
void serve(iq_table&, exchange&);
}
namespace time {
void serve(iq_table&, exchange&);
}
namespace vcard {
void serve(iq_table&, exchange&);
}
namespace last {
void serve(iq_table&, exchange&);
}

}  // namespace comity::server
