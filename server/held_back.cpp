#include "server/held_back.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "connection/xml/parser.hpp"

namespace comity::server {
namespace {

constexpr std::string_view ns_muc_user = "http://jabber.org/protocol/muc#user";
constexpr std::string_view ns_pubsub_event = "http://jabber.org/protocol/pubsub#event";
constexpr std::string_view ns_chat_states = "http://jabber.org/protocol/chatstates";
constexpr std::string_view ns_carbons = "urn:xmpp:carbons:2";
constexpr std::string_view ns_forward = "urn:xmpp:forward:0";
constexpr std::string_view ns_hints = "urn:xmpp:hints";

bool is_presence_of_somebody(const stanza& s) noexcept {
  return s.type() == stanza_type::available || s.type() == stanza_type::unavailable;
}

/// Most presence is read no further than to see that no room has written it.
bool is_own_presence_in_a_room(const stanza& s) {
  std::string wire;
  s.wire(wire);
  if (!wire.contains(ns_muc_user)) {
    return false;
  }
  const auto document = s.document();
  const auto room = document->root().child("x", ns_muc_user);
  return room && std::ranges::any_of(room.children(), [](xml::element e) {
           return e.is("status", ns_muc_user) && e.attribute("code") == "110";
         });
}

/// Nothing but chat states, and what may stand beside them.
bool is_chat_state(xml::element message) {
  bool states = false;
  for (const auto child : message.children()) {
    if (child.ns() == ns_chat_states) {
      states = true;
    } else if (child.ns() != ns_hints && !child.is("thread", xml::ns_client)) {
      return false;
    }
  }
  return states;
}

/// The message that a carbon wraps.
xml::element copied(xml::element message) {
  for (const auto* const direction : {"received", "sent"}) {
    if (const auto carbon = message.child(direction, ns_carbons)) {
      const auto forwarded = carbon.child("forwarded", ns_forward);
      return forwarded ? forwarded.child("message", xml::ns_client) : xml::element{};
    }
  }
  return {};
}

}  // namespace

bool may_wait(const stanza& s) {
  switch (s.kind()) {
    case stanza_kind::presence:
      return is_presence_of_somebody(s) && !is_own_presence_in_a_room(s);
    case stanza_kind::message: {
      if (s.type() == stanza_type::error || s.flags().body) {
        return false;
      }
      if (s.flags().chat_state_only) {
        return true;
      }
      const auto document = s.document();
      const auto carbon = copied(document->root());
      return carbon ? is_chat_state(carbon) : static_cast<bool>(document->root().child("event", ns_pubsub_event));
    }
    case stanza_kind::iq:
      return false;
  }
  std::unreachable();
}

void held_back::hold(entry e) {
  if (e.stanza->kind() == stanza_kind::presence) {
    const auto older = std::ranges::find_if(queue_, [&](const entry& waits) {
      return waits.stanza->kind() == stanza_kind::presence && waits.stanza->from() == e.stanza->from();
    });
    if (older != queue_.end()) {
      octets_ -= older->stanza->wire_size();
      queue_.erase(older);
    }
  }
  if (e.shared) {
    ++e.shared->outstanding;
  }
  octets_ += e.stanza->wire_size();
  queue_.push_back(std::move(e));
}

std::deque<held_back::entry> held_back::release() {
  octets_ = 0;
  for (const auto& e : queue_) {
    if (e.shared) {
      --e.shared->outstanding;
    }
  }
  return std::exchange(queue_, {});
}

std::deque<held_back::entry> held_back::take_lost() {
  octets_ = 0;
  return managed_stream::lost_of(std::exchange(queue_, {}));
}

}  // namespace comity::server
