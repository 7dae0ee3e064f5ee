// connection/negotiation/stream_feature.hpp: one stream feature (RFC 6120 §4.3), as a pure machine in a file of its
// own.
//
// A feature says when it may be offered, how it is advertised, which first-level elements are its own, and what each of
// them leads to. It never sees bytes, sockets or timers; what it needs from outside it asks for by a `step`, and is
// told by on(answer). Owned by the negotiator of one stream; the loop's thread.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "connection/negotiation/facts.hpp"
#include "connection/sasl/mechanism.hpp"
#include "connection/vocabulary.hpp"
#include "connection/xml/document.hpp"
#include "connection/xml/parser.hpp"
#include "connection/xml/writer.hpp"

namespace comity::connection {

/// Questions a stream may have for the server; the answer comes back as the `answer` below of the same place.
struct find_keys {
  jid user;
  tls::hash hash = tls::hash::sha1;
};
struct check_password {
  jid user;
  secret password;
};
struct bind_resource {
  jid user;
  std::string wanted;  // "": the server chooses
};
/// Is the peer, by its certificate, the sender of this flow (RFC 6120 §13.7.2, RFC 7712 §4.4.1)?
struct prove_peer {
  domain_flow flow;
};
/// Ask the authoritative server of the flow's sender whether it made that key (XEP-0220 §2.1.2): on another connection
/// than the one the key came on, always (XEP-0288 §2.2).
struct verify_key {
  domain_flow flow;
  std::string stream_id;  // of the stream the key came on
  std::string key;
};
/// Go on with a session whose stream is gone (XEP-0198 §5).
struct resume_session {
  jid user;
  std::string id;
  std::uint32_t handled = 0;  // of what was sent to the client
};
using question = std::variant<find_keys, check_password, bind_resource, prove_peer, verify_key, resume_session>;

struct found_keys {
  scram_keys keys;
  bool real = false;  // false: made up for an absent user
};
/// Why a resource was not bound, as the stanza error to answer.
struct bind_refusal {
  stanza_condition condition = stanza_condition::internal_server_error;
  std::string type;             // of the error element; "" : the condition's own
  bool resource_limit = false;  // add <resource-limit-exceeded xmlns='urn:xmpp:errors'/> (XEP-0205)
};
using keys_answer = std::expected<found_keys, sasl_condition>;
using password_answer = std::expected<bool, sasl_condition>;
using bind_answer = std::expected<jid, bind_refusal>;
/// Where POSH is needed it has been asked for: `needs_posh` is no answer.
struct peer_proof {
  domain_flow flow;
  trust::verdict verdict;
};
struct key_verdict {
  domain_flow flow;
  std::string stream_id;
  /// What the authoritative server said, or why it could not be asked (XEP-0220 §2.4.2): remote_server_not_found,
  /// remote_server_timeout…
  std::expected<bool, stanza_condition> valid;
};
struct resumed_session {
  jid full;
  std::uint32_t handled = 0;  // of what the client sent
};
struct resume_refusal {
  stanza_condition condition = stanza_condition::item_not_found;
  std::optional<std::uint32_t> sent;     // how many were, where the client says that it has handled more
  std::optional<std::uint32_t> handled;  // of what the client sent, where it is too late and that is still known
};
using resume_answer = std::expected<resumed_session, resume_refusal>;
using answer = std::variant<keys_answer, password_answer, bind_answer, peer_proof, key_verdict, resume_answer>;

/// What has authorised a flow of stanzas between domains.
enum class authorised_by : std::uint8_t { external, dialback };
/// "EXTERNAL", "dialback".
[[nodiscard]] std::string_view to_string(authorised_by) noexcept;

/// What an element or an answer led to. `send` goes out first, whatever follows.
struct step {
  struct nothing {};  // the stream goes on as it was
  struct refused {    // it goes on, but something was refused: why the peer leaves, should it leave now
    connection::cause cause = cause::auth_rejected;
    std::string what;    // for the log: "SCRAM-SHA-1 not-authorized"
    std::string user;    // who was claimed, "" where that is not known
    bool guess = false;  // what proves them was judged, and is wrong
  };
  struct exchange {};  // more elements of this feature are expected, and no others
  struct upgrade {};   // TLS starts with the next byte
  struct ask {         // the stream waits for the answer
    connection::question question;
  };
  struct ask_aside {  // the stream goes on meanwhile; the feature must claim the answer by awaits()
    connection::question question;
  };
  struct authenticated {
    jid user;
    mechanism by = mechanism::unknown;
  };
  struct bound {
    jid full;
    bool resumed = false;  // it was bound before, on a stream that is gone
  };
  struct authorised {  // by dialback: stanzas may come in for this flow
    domain_flow flow;
    proof by = proof::none;
  };
  struct bidirectional {   // stanzas go both ways, for flows that are authorised (XEP-0288)
    stream_limits limits;  // of the peer
  };
  struct ignored {  // unsolicited, and of no consequence: for the log alone
    std::string what;
  };
  /// The stream ends: with a stream error, or without one where the protocol says so (a failed STARTTLS).
  struct end {
    std::optional<stream_condition> condition;
    connection::cause cause = cause::internal;
    std::string text;
    std::string application = {};  // the application-specific condition, as XML (RFC 6120 §4.9.4)
  };
  using consequence = std::variant<nothing, refused, exchange, upgrade, ask, ask_aside, authenticated, bound,
                                   authorised, bidirectional, ignored, end>;

  std::string send;
  consequence then;
};

/// The namespace in force around a first-level element of ours, where a writer begins: none where each is a document of
/// its own (RFC 7395 §3.3.3).
[[nodiscard]] std::string_view namespace_around(const stream_facts&) noexcept;

class stream_feature {
public:
  virtual ~stream_feature() = default;

  /// May it be offered, given these facts?
  [[nodiscard]] virtual bool offered(const stream_facts&) const = 0;
  /// Nothing else is offered beside it (RFC 6120 §5.3.1: STARTTLS where it is mandatory).
  [[nodiscard]] virtual bool exclusive() const { return false; }
  /// Writes its child of <stream:features/>.
  virtual void advertise(xml::writer&, const stream_facts&) const = 0;
  /// Is this first-level element its own, offered or not?
  [[nodiscard]] virtual bool claims(const xml::element&) const = 0;
  /// A claimed element; it may come unoffered, twice or out of order, and has to be answered all the same.
  [[nodiscard]] virtual step on(const xml::element&, const stream_facts&) = 0;
  /// The answer to what it asked. Only features that ask override it.
  [[nodiscard]] virtual step on(answer, const stream_facts&);
  /// Is this the answer to something it asked aside?
  [[nodiscard]] virtual bool awaits(const answer&) const { return false; }
  /// The stream restarts: what is under way on it is void, and late answers are not awaited.
  virtual void restarted() {}
};

}  // namespace comity::connection
