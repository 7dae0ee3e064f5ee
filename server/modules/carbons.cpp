// XEP-0280: Message Carbons. Every device of a user that asks for it sees both sides of all conversations.
//
// Copies are made here alone and handed to sessions at once; nothing in this namespace that comes by a stream is ever
// taken for one, and none is copied in turn (THREATS F8). What a client answers to a copy is addressed to its own
// account, where errors end: it never reaches who wrote the message (§10.3).
#include <algorithm>
#include <array>

#include "connection/xml/parser.hpp"
#include "server/exchange.hpp"
#include "server/modules/modules.hpp"

namespace comity::server::carbons {
namespace {

constexpr std::string_view ns = "urn:xmpp:carbons:2";
constexpr std::string_view ns_forward = "urn:xmpp:forward:0";

/// What the rules of §6.1 ask of a message's content.
struct content {
  bool body = false;
  bool conversation = false;  // chat states, receipts, markers, an invitation to a room
  bool room = false;          // written by a room, and no invitation (XEP-0045)
  bool no_copy = false;       // by its sender's wish (§9, XEP-0334), or for being a copy
};

content content_of(xml::element message) {
  constexpr std::string_view ns_muc_user = "http://jabber.org/protocol/muc#user";
  constexpr std::array<std::string_view, 4> ns_conversation{
      "http://jabber.org/protocol/chatstates", "urn:xmpp:receipts", "urn:xmpp:chat-markers:0", "jabber:x:conference"};
  content found;
  for (const auto child : message.children()) {
    if (child.is("body", xml::ns_client)) {
      found.body = true;
    } else if (child.ns() == ns || child.is("no-copy", "urn:xmpp:hints")) {
      found.no_copy = true;  // <private/>; <received/> and <sent/>
    } else if (child.is("x", ns_muc_user)) {
      (child.child("invite", ns_muc_user) ? found.conversation : found.room) = true;
    } else if (std::ranges::find(ns_conversation, child.ns()) != ns_conversation.end()) {
      found.conversation = true;
    }
  }
  return found;
}

/// Of the copied message.
enum class direction : std::uint8_t { sent, received };

/// §6.1.
bool eligible(const stanza& s, const content& c, direction way) {
  if (c.no_copy || s.type() == stanza_type::groupchat) {
    return false;
  }
  if (s.type() == stanza_type::error) {
    // Conversations begin at bare addresses, and errors about them come from there. What a message that is answered so
    // had in it is not kept.
    return way == direction::received && !s.from().has_resource();
  }
  if (way == direction::received && c.room && s.from().has_resource()) {
    // What one occupant of a room tells another in private, the room itself tells to every device that is in it.
    return false;
  }
  return s.type() == stanza_type::chat || (s.type() == stanza_type::normal && c.body) || c.conversation;
}

/// Copies to those that asked for them and of whom `takes` holds. The message is read and wrapped once, if at all.
void copy(exchange& x, const account& who, const stanza& original, direction way, auto takes) {
  stanza_ref wrapped;
  for (const auto& r : who.resources) {
    if (!r.carbons || r.ending || !takes(r)) {
      continue;
    }
    if (wrapped) {
      wrapped = wrapped->readdressed(r.full);
    } else {
      const auto document = original.document();
      if (!eligible(original, content_of(document->root()), way)) {
        return;
      }
      stanza_builder b{stanza_kind::message, original.type(), who.user, r.full, {}};
      b.writer().open(way == direction::sent ? "sent" : "received", ns).open("forwarded", ns_forward);
      b.writer().copy(document->root()).close().close();
      wrapped = b.finish();
    }
    x.send(r, wrapped);
  }
}

/// Whether the resource gets the message itself.
bool gets_it(const bound_resource& r, const jid& to, message_action action) {
  return (action == message_action::to_resource && r.full == to) ||
         (action == message_action::to_non_negative && r.listening());
}

job<iq_answer> turn(iq_request request, account& who, bool on) {
  auto* sender = request.own ? who.find(request.stanza->from().resourcepart()) : nullptr;
  if (sender == nullptr) {
    co_return error_reply(*request.stanza, stanza_condition::not_allowed);  // §4, §5
  }
  sender->carbons = on;  // §10.1: as often as it likes
  co_return iq_result(*request.stanza);
}

}  // namespace

void copy_sent(exchange& x, account& who, const bound_resource& sender, const stanza_ref& s) {
  // To oneself: who gets the message needs no copy of it.
  const auto action = s->to().bare_text() == who.user.text()
                          ? deliver_message(s->type(), who.condition(), who.form_of(s->to()))
                          : message_action::ignore;
  copy(x, who, *s, direction::sent,
       [&](const bound_resource& r) { return &r != &sender && !gets_it(r, s->to(), action); });
}

void copy_received(exchange& x, account& who, const stanza_ref& s, message_action action) {
  if (action == message_action::ignore || action == message_action::answer_error ||
      s->from().bare_text() == who.user.text()) {  // those have been copied as sent
    return;
  }
  copy(x, who, *s, direction::received, [&](const bound_resource& r) {
    // What is stored is handed over to whoever comes; to those of negative priority it never is.
    return !gets_it(r, s->to(), action) && (action != message_action::store_offline || r.available());
  });
}

void serve(iq_table& table) {
  for (const bool on : {true, false}) {
    table.add({.name = on ? "enable" : "disable",
               .ns = ns,
               .feature = ns,
               .of_account = [on](iq_request request, account& who) { return turn(std::move(request), who, on); },
               .get = false,
               .set = true});
  }
  table.add_feature(ns, true, true);  // §3: the server says so
}

}  // namespace comity::server::carbons
