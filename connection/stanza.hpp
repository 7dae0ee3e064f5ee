// connection/stanza.hpp: one stanza, immutable, on its way through the server (RFC 6120 §8).
//
// Its bytes are serialised once, when it is made, and shared by everybody it is sent to, on any thread. Only `to`
// differs between recipients, so the wire form is `<kind to='…'` + tail, where the tail (`from`, `id`, `type`, content,
// end tag) is shared. Nothing of the peer's own bytes is kept: the tail is written by xml::writer from the validated
// document. A content-namespace element carries no xmlns, so the same bytes serve client and server streams; a stanza
// that goes out as a document of its own gets one on the way (wire_alone).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "connection/xml/document.hpp"
#include "connection/xml/writer.hpp"

namespace comity {

enum class stanza_kind : std::uint8_t { message, presence, iq };
[[nodiscard]] std::string_view to_string(stanza_kind) noexcept;

/// The type attribute, for all three kinds. `available` is a presence without type; `normal` a message without one or
/// with one we do not know (RFC 6121 §5.2.2).
enum class stanza_type : std::uint8_t {
  normal,
  chat,
  groupchat,
  headline,  // message
  available,
  unavailable,
  subscribe,
  subscribed,
  unsubscribe,
  unsubscribed,
  probe,  // presence
  get,
  set,
  result,   // iq
  error,    // all
  invalid,  // presence or iq: not a type of the RFC
};
[[nodiscard]] std::string_view to_string(stanza_type) noexcept;

/// Children that rules ask about, found once while the stanza is made.
struct stanza_flags {
  bool body : 1 = false;             // message: a <body/>
  bool chat_state_only : 1 = false;  // message: nothing but XEP-0085 states (and thread, hints)
  bool delay : 1 = false;            // a XEP-0203 <delay/>
  bool stanza_id : 1 = false;        // message: a XEP-0359 <stanza-id/>
};

class stanza;
/// How stanzas are held everywhere: shared, never changed.
using stanza_ref = std::shared_ptr<const stanza>;

/// Whom stanzas are sent to again and again: an address with all that sending to it takes. Shared, never changed.
struct addressee {
  explicit addressee(jid);
  jid address;
  std::uint32_t written_size;  // of the address as an attribute's value
};
using addressee_ref = std::shared_ptr<const addressee>;

class stanza {
public:
  stanza(const stanza&) = delete;
  stanza& operator=(const stanza&) = delete;

  /// Makes a stanza out of a parsed one. `from` and `to` replace whatever the element carries; an empty jid leaves the
  /// attribute out. An IQ keeps its document (moved in), for its handler; other kinds are parsed again on demand.
  /// The root must be message, presence or iq; the caller has checked its namespace. A document in jabber:server is
  /// taken over into jabber:client, so its readers need to know one namespace only.
  [[nodiscard]] static stanza_ref make(xml::document&& parsed, const jid& from, jid to);

  /// Parses bytes in wire form (what wire() writes), as storage keeps them. nullptr when they are damaged.
  [[nodiscard]] static stanza_ref from_wire(std::string_view bytes);

  [[nodiscard]] stanza_kind kind() const noexcept { return content_->kind; }
  [[nodiscard]] stanza_type type() const noexcept { return content_->type; }
  [[nodiscard]] const jid& from() const noexcept { return content_->from; }
  [[nodiscard]] const jid& to() const noexcept { return *to_; }
  [[nodiscard]] const std::string& id() const noexcept { return content_->id; }  // "" where absent
  [[nodiscard]] bool has_id() const noexcept { return content_->has_id; }
  [[nodiscard]] const std::string& lang() const noexcept { return content_->lang; }
  [[nodiscard]] stanza_flags flags() const noexcept { return content_->flags; }
  /// Presence: the <priority/> of an available one, 0 where absent; nullopt where it is no integer from -128 to 127.
  [[nodiscard]] std::optional<std::int8_t> priority() const noexcept { return content_->priority; }

  /// The condition of an error that this server made (error_reply); nullopt for everything else.
  [[nodiscard]] std::optional<stanza_condition> own_error() const noexcept { return content_->own_error; }

  /// The parsed stanza, in jabber:client. For an IQ at once; for others parsed from the bytes anew at each call (keep
  /// the result).
  [[nodiscard]] std::shared_ptr<const xml::document> document() const;

  /// The same stanza to somebody else: shares all but `to`.
  [[nodiscard]] stanza_ref readdressed(const jid& to) const;
  /// The same to each of up to so many, in their order, into as many places. They take their memory together, and give
  /// it back with the last of them.
  static constexpr std::size_t at_once = 16;
  void readdressed(std::span<const addressee_ref> to, std::span<stanza_ref> into) const;

  /// Appends the bytes as sent. wire_size() is their exact number.
  void wire(std::string& out) const;
  [[nodiscard]] std::size_t wire_size() const noexcept { return head_size_ + content_->tail_size; }
  /// The same as a document of its own, in jabber:client (RFC 7395 §3.3.3): `<kind xmlns='jabber:client' to='…'` +
  /// tail.
  void wire_alone(std::string& out) const;
  [[nodiscard]] std::size_t wire_alone_size() const noexcept;

private:
  friend class stanza_builder;
  friend struct stanza_making;  // stanza.cpp
  /// What is the same for all that it goes to.
  struct content : std::enable_shared_from_this<content> {
    stanza_kind kind = stanza_kind::message;
    stanza_type type = stanza_type::normal;
    stanza_flags flags;
    bool has_id = false;
    std::optional<std::int8_t> priority;
    std::optional<stanza_condition> own_error;
    std::uint32_t tail_size = 0;
    std::shared_ptr<const char[]> tail;  // in one allocation with its count
    jid from;
    std::string id, lang;
    std::shared_ptr<const xml::document> document;
  };
  stanza() = default;
  void wire_behind_name(std::string& out) const;

  const content* content_ = nullptr;  // this and the address: kept by the object that this is part of
  const jid* to_ = nullptr;
  std::uint32_t head_size_ = 0;  // octets up to the tail
  bool plain_ = true;            // the address is written as it is
};

/// Writes a stanza of our own: head here, content through writer(), then finish().
///   stanza_builder b{stanza_kind::iq, stanza_type::result, from, to, id};
///   b.writer().open("query", ns)….close();  auto s = b.finish();
class stanza_builder {
public:
  stanza_builder(stanza_kind, stanza_type, const jid& from, const jid& to, std::string_view id,
                 std::string_view lang = {});
  [[nodiscard]] xml::writer& writer() noexcept;
  [[nodiscard]] stanza_ref finish();
  ~stanza_builder();
  stanza_builder(const stanza_builder&) = delete;
  stanza_builder& operator=(const stanza_builder&) = delete;

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// The error answer to `request` (RFC 6120 §8.3): to its sender, from its recipient, type='error', same id, with the
/// condition and optional text; `content` repeats the request's children, as §8.3.1 allows, when it is an IQ or asked
/// for. nullptr where none may be sent: to an error, or to an IQ result (RFC 6120 §8.3.1, THREATS D8).
[[nodiscard]] stanza_ref error_reply(const stanza& request, stanza_condition, std::string_view text = {});
/// The same with the error type given ("modify" for resource-constraint…) or an application-specific condition.
[[nodiscard]] stanza_ref error_reply(const stanza& request, stanza_condition, std::string_view type,
                                     std::string_view text, std::string_view app_condition, std::string_view app_ns);

/// The message as it is without what it claims in our name: every XEP-0359 <stanza-id/> `by` that account or its
/// domain, and every XEP-0203 <delay/> from its domain, however it spells the address (THREATS F9). Others' stay. The
/// same message where there is nothing of that kind, which costs no more than to look at two flags.
[[nodiscard]] stanza_ref without_forged_marks(const stanza_ref& message, const jid& account);

/// The same stanza with a XEP-0203 <delay/> of that origin and time added, existing ones by the same origin taken out.
[[nodiscard]] stanza_ref with_delay(const stanza&, const jid& from, std::string_view stamp);

}  // namespace comity
