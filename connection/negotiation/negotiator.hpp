// connection/negotiation/negotiator.hpp: the receiving entity's side of a stream's negotiation (RFC 6120 §4.2–§4.4).
//
// Pure: events in, an ordered list of actions out; no sockets, clocks or threads. The driver performs the actions in
// order. `|` lists what each state takes as legal; everything else gets its answer from one function (`unexpected`).
//
//   state          header        element                          tls_done   answer          next
//   expects_header | features                                                                negotiating or proving
//   proving                                                                  | of the peer   negotiating
//   negotiating                  | of an offered feature                                     by the feature's step
//   exchanging                   | of the feature in exchange                                by the feature's step
//   asking                                                                   | to feature    by the feature's step
//   securing                                                      |                          expects_header
//   established                  | of a feature, or a stanza                                 established
//   ended          nothing happens any more
//
// Clients are established once a resource is bound, and their stanzas go past the machine. Servers are once a flow is
// authorised, and their stanzas go through it, for each is held against the authorised flows. A server's certificate is
// judged before features are offered, in proving. Answers to what a feature asked aside are legal wherever elements
// are, and ignored where nobody waits for them any more.
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

#include "connection/negotiation/events.hpp"
#include "connection/negotiation/facts.hpp"
#include "connection/negotiation/stream_feature.hpp"
#include "connection/negotiation/stream_header.hpp"
#include "connection/vocabulary.hpp"
#include "connection/xml/parser.hpp"

namespace comity::connection {

using negotiation_event =
    std::variant<event::header, event::element, event::peer_closed, event::broken, event::tls_done, event::tls_failed,
                 event::tls_refused, event::answered, event::timed_out, event::dismissed, event::gone>;

using negotiation_action = std::variant<action::send, action::start_tls, action::restart_stream, action::ask,
                                        action::refused, action::authenticated, action::established,
                                        action::flow_authorised, action::received, action::ignored, action::finish>;
using negotiation_actions = std::vector<negotiation_action>;

struct negotiator_settings {
  std::string_view content_ns = xml::ns_client;           // a literal
  std::vector<std::unique_ptr<stream_feature>> features;  // in the order of advertising, which is policy
  std::function<bool(std::string_view)> hosts;            // is the enforced domain one of ours?
  std::string default_domain;                             // `from` of our header where the peer named none of ours
  std::function<std::string()> new_stream_id;             // unpredictable; injected for tests
  std::function<bool(std::string_view)> allows = {};      // servers: may that remote domain have streams with us?
};

/// What a stream error says besides its condition.
struct error_detail {
  bool too_big = false;
  std::string_view application;  // condition, as XML
};

class negotiator {
public:
  /// `facts` says what is known before the first byte. Where the method has TLS before it (direct TLS, WebSocket) and
  /// nothing is encrypted yet, the machine starts out securing, and is told tls_done before anything else. With a bound
  /// user in it the machine starts out established, to answer what a client still asks of features then.
  negotiator(negotiator_settings settings, stream_facts facts);

  [[nodiscard]] negotiation_actions on(negotiation_event);

  [[nodiscard]] const stream_facts& facts() const noexcept { return facts_; }
  /// An answer is awaited: feed no header or element until it came (the peer's bytes wait).
  [[nodiscard]] bool paused() const noexcept;
  [[nodiscard]] bool ended() const noexcept;
  [[nodiscard]] connection::phase phase() const noexcept;

private:
  struct expects_header {};
  struct proving {};
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
  using state =
      std::variant<expects_header, proving, negotiating, exchanging, asking, securing, established, ended_state>;

  struct header_fault {
    stream_condition condition;
    std::string_view text;
  };
  [[nodiscard]] std::optional<header_fault> fault_of_client(const accepted_header&) const;
  [[nodiscard]] std::optional<header_fault> fault_of_server(const accepted_header&) const;

  void handle(expects_header, event::header&, negotiation_actions&);
  void handle(negotiating, event::element&, negotiation_actions&);
  void handle(exchanging, event::element&, negotiation_actions&);
  void handle(established, event::element&, negotiation_actions&);
  void handle(proving, event::answered&, negotiation_actions&);
  void handle(asking, event::answered&, negotiation_actions&);
  template <typename State>
  void handle(State, event::answered&, negotiation_actions&);
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
  void apply_aside(step, negotiation_actions&);
  void end(step::end&, negotiation_actions&);
  void restart(negotiation_actions&);
  [[nodiscard]] state resting() const noexcept;
  void authorise(domain_flow, proof, authorised_by, negotiation_actions&);
  void offer_features(negotiation_actions&);
  void take_stanza(const xml::element&, negotiation_actions&);
  [[nodiscard]] bool between_servers() const noexcept { return facts_.route.scope == scope::s2s; }
  void unclaimed(const xml::element&, negotiation_actions&);
  void send_features(negotiation_actions&) const;
  void open_if_needed(negotiation_actions&);
  void fail(stream_condition, cause, std::string_view text, negotiation_actions&, const error_detail& = {});
  void finish(action::finish, negotiation_actions&);

  negotiator_settings settings_;
  stream_facts facts_;
  state state_ = expects_header{};
  bool opened_ = false;           // our header is out in this stream
  std::string peer_from_;         // `from` of its header, to answer with
  std::optional<cause> refused_;  // the last refusal: why the peer leaves, should it leave now
};

}  // namespace comity::connection
