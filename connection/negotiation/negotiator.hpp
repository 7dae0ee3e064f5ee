// connection/negotiation/negotiator.hpp: the receiving entity's side of a stream's negotiation (RFC 6120 §4.2–§4.4).
//
// Pure: events in, an ordered list of actions out; no sockets, clocks or threads. The driver performs the actions in
// order. `|` lists what each state takes as legal; everything else gets its answer from one function (`unexpected`).
//
//   state          header        element                          tls_done   answer          next
//   expects_header | features                                                                negotiating
//   negotiating                  | of an offered feature                                     by the feature's step
//   exchanging                   | of the feature in exchange                                by the feature's step
//   asking                                                                   | to feature    by the feature's step
//   securing                                                      |                          expects_header
//   established                  | of a feature (refusals)                                   established
//   ended          nothing happens any more
//
// peer_closed (the closing tag), broken (framer or parser), timed_out, dismissed (our own end) and gone (the transport)
// are legal in every state but ended, and lead to ended.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "connection/negotiation/facts.hpp"
#include "connection/negotiation/stream_feature.hpp"
#include "connection/vocabulary.hpp"
#include "connection/xml/parser.hpp"

namespace comity::connection {

namespace event {
struct header {
  xml::stream_header stream;
};
struct element {
  xml::element root;  // lives for the call
};
struct peer_closed {};  // </stream:stream>
struct broken {         // what came is no XML stream, or over a limit
  stream_condition condition = stream_condition::not_well_formed;
  bool too_big = false;
};
struct tls_done {
  channel_bindings bindings;
};
struct tls_failed {
  connection::cause cause = cause::tls_alert;
  std::string text;
};
struct tls_refused {};  // bytes that are no TLS stood where the ClientHello was due, before <proceed/> went out
struct answered {
  connection::answer answer;
};
struct timed_out {};
struct dismissed {  // we end it: shutdown, an operator, a conflict…
  stream_condition condition = stream_condition::undefined_condition;
  connection::cause cause = cause::shutdown;
  std::string text;
};
struct gone {               // the transport ended without a closing tag
  std::string tls_failure;  // what TLS found wrong, where that ended it
};
}  // namespace event

using negotiation_event =
    std::variant<event::header, event::element, event::peer_closed, event::broken, event::tls_done, event::tls_failed,
                 event::tls_refused, event::answered, event::timed_out, event::dismissed, event::gone>;

namespace action {
struct send {
  std::string bytes;
};
/// RFC 6120 §5.4.3: `proceed` goes out in clear, and the next byte each way is TLS. Where bytes that are no TLS have
/// come already, nothing of it happens: the driver says event::tls_refused instead (THREATS B1).
struct start_tls {
  std::string proceed;
};
struct restart_stream {};  // RFC 6120 §4.3.3: parser, unread bytes and offers are dropped; a header comes next
struct ask {
  connection::question question;
};
struct refused {  // authentication was refused; the stream goes on
  connection::cause cause = cause::auth_rejected;
  std::string what;
  std::string user;
};
struct authenticated {
  jid user;
  mechanism by = mechanism::unknown;
};
struct established {
  jid full;
};
/// The last action: flush what was sent, then close. `phase` is where the negotiation stood.
struct finish {
  connection::cause cause = cause::internal;
  connection::phase phase = phase::stream;
  std::optional<stream_condition> sent;      // the stream error we sent
  std::optional<stream_condition> received;  // the one the peer sent
  std::string text;                          // for the log
  bool abrupt = false;                       // nothing more can be said: close the transport at once
};
}  // namespace action

using negotiation_action = std::variant<action::send, action::start_tls, action::restart_stream, action::ask,
                                        action::refused, action::authenticated, action::established, action::finish>;
using negotiation_actions = std::vector<negotiation_action>;

struct negotiator_settings {
  std::string_view content_ns = xml::ns_client;           // a literal
  std::vector<std::unique_ptr<stream_feature>> features;  // in the order of advertising, which is policy
  std::function<bool(std::string_view)> hosts;            // is the enforced domain one of ours?
  std::string default_domain;                             // `from` of our header where the peer named none of ours
  std::function<std::string()> new_stream_id;             // unpredictable; injected for tests
};

class negotiator {
public:
  /// `facts` says what is known before the first byte. On the route of direct TLS the machine starts out securing, and
  /// is told tls_done before anything else. With a bound user in it the machine starts out established, to answer what
  /// a client still asks of features then.
  negotiator(negotiator_settings settings, stream_facts facts);

  [[nodiscard]] negotiation_actions on(negotiation_event);

  [[nodiscard]] const stream_facts& facts() const noexcept { return facts_; }
  /// An answer is awaited: feed no header or element until it came (the peer's bytes wait).
  [[nodiscard]] bool paused() const noexcept;
  [[nodiscard]] bool ended() const noexcept;
  [[nodiscard]] connection::phase phase() const noexcept;

private:
  struct expects_header {};
  struct negotiating {};
  struct exchanging {
    stream_feature* feature;
  };
  struct asking {
    stream_feature* feature;
  };
  struct securing {};
  struct established {};
  struct ended_state {};
  using state = std::variant<expects_header, negotiating, exchanging, asking, securing, established, ended_state>;

  void handle(expects_header, event::header&, negotiation_actions&);
  void handle(negotiating, event::element&, negotiation_actions&);
  void handle(exchanging, event::element&, negotiation_actions&);
  void handle(established, event::element&, negotiation_actions&);
  void handle(asking, event::answered&, negotiation_actions&);
  void handle(securing, event::tls_done&, negotiation_actions&);
  void handle(securing, event::tls_failed&, negotiation_actions&);
  void handle(securing, event::tls_refused&, negotiation_actions&);
  template <typename State, typename Event>
  void handle(State, Event&, negotiation_actions& out) {
    unexpected(out);
  }
  void ends(event::peer_closed&, negotiation_actions&);
  void ends(event::broken&, negotiation_actions&);
  void ends(event::timed_out&, negotiation_actions&);
  void ends(event::dismissed&, negotiation_actions&);
  void ends(event::gone&, negotiation_actions&);

  void unexpected(negotiation_actions&);
  void apply(stream_feature&, step, negotiation_actions&);
  void unclaimed(const xml::element&, negotiation_actions&);
  void send_features(negotiation_actions&) const;
  void open_if_needed(negotiation_actions&);
  void fail(stream_condition, cause, std::string_view text, negotiation_actions&, bool too_big = false);
  void finish(action::finish, negotiation_actions&);

  negotiator_settings settings_;
  stream_facts facts_;
  state state_ = expects_header{};
  bool opened_ = false;           // our header is out in this stream
  std::string peer_from_;         // `from` of its header, to answer with
  std::optional<cause> refused_;  // the last refusal: why the peer leaves, should it leave now
};

}  // namespace comity::connection
