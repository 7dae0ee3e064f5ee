// connection/negotiation/initiator.hpp: the initiating entity's side of a stream to another server (RFC 6120 §4–§6,
// XEP-0178, XEP-0220, XEP-0288, XEP-0478).
//
// The twin of negotiator: pure, events in, an ordered list of actions out. It never speaks to the peer without TLS but
// to ask for TLS, trusts nothing it heard before TLS, and sends nothing of ours before the peer's certificate has been
// judged. Once the peer's features are in it says `verified` and waits: streams to several addresses may be under way,
// and the dialler chooses one of those that came this far. A stream that is only to verify a key is never chosen.
//
//   state             legal                                                         next
//   expects_header    header                                                        expects_features, or as on features
//   expects_features  <features/>     in clear: STARTTLS, offered or not (E08)      expects_proceed
//                                     under TLS                                     ready
//                                     after SASL                                    established
//   expects_proceed   <proceed/>                                                    securing
//   securing          tls_done                                                      judging
//   judging           judged                                                        expects_header
//   ready             chosen          by EXTERNAL                                   authenticating
//                                     by dialback                                   dialling_back
//   authenticating    <success/>                                                    expects_header
//                     <failure/>      dialback where the peer takes it              dialling_back
//   dialling_back     <db:result/>    valid                                         established
//   established       wants_flow, <db:result/>; on a bidirectional stream stanzas and dialback requests
//   ended             nothing happens any more
//
// `verify` is kept until ready and legal from then on, but between <auth/> and the features behind <success/>, where it
// is kept again; answers to it are legal wherever elements are. Dialback elements that answer nothing we asked are
// ignored (THREATS D1). peer_closed, broken, timed_out, dismissed and gone are legal in every state but ended.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "connection/negotiation/dialback.hpp"
#include "connection/negotiation/events.hpp"
#include "connection/negotiation/facts.hpp"

namespace comity::connection {

using initiator_event =
    std::variant<event::header, event::element, event::peer_closed, event::broken, event::tls_done, event::tls_failed,
                 event::tls_refused, event::answered, event::judged, event::chosen, event::wants_flow, event::verify,
                 event::timed_out, event::dismissed, event::gone>;
using initiator_action =
    std::variant<action::send, action::start_tls, action::restart_stream, action::judge, action::verified, action::ask,
                 action::refused, action::flow_authorised, action::flow_refused, action::key_verified, action::received,
                 action::ignored, action::finish>;
using initiator_actions = std::vector<initiator_action>;

struct initiator_settings {
  domain_flow flow;                  // from our domain to the one that is called
  std::string_view dialback_secret;  // outlives the machine
  domain_rules domains;
  metrics_cell& metrics;  // counts attempts of EXTERNAL and their failures; outlives the machine
  stream_limits limits;   // what we take on a bidirectional stream
  bool bidi = true;       // ask for one where the peer offers it
};

class initiator {
public:
  /// On the route of direct TLS the machine starts out securing, and is told tls_done before anything else.
  initiator(initiator_settings, connection::route);

  /// What to do first; once. Nothing on direct TLS.
  [[nodiscard]] initiator_actions start();
  [[nodiscard]] initiator_actions on(initiator_event);

  /// `flows` are those towards us.
  [[nodiscard]] const stream_facts& facts() const noexcept { return facts_; }
  /// Those away from us that are authorised.
  [[nodiscard]] const domain_flows& authorised() const noexcept { return authorised_; }
  /// The peer answers dialback errors, so flows to other targets may be tried on this stream (J10, RFC 7712 §4.4.2).
  [[nodiscard]] bool takes_other_targets() const noexcept { return offers_.dialback && offers_.dialback_errors; }
  /// A verdict or TLS is awaited: feed no header or element until it came (the peer's bytes wait).
  [[nodiscard]] bool paused() const noexcept;
  [[nodiscard]] bool ended() const noexcept;
  [[nodiscard]] connection::phase phase() const noexcept;

private:
  struct expects_header {};
  struct expects_features {
    bool foreign;  // the header is another domain's than the one called
  };
  struct expects_proceed {};
  struct securing {};
  struct judging {};
  struct ready {};
  struct authenticating {};
  struct dialling_back {};
  struct established {};
  struct ended_state {};
  using state = std::variant<expects_header, expects_features, expects_proceed, securing, judging, ready,
                             authenticating, dialling_back, established, ended_state>;

  /// What the peer's features and header offer, on the stream that is open.
  struct peer_offers {
    bool external = false;
    bool dialback = false;
    bool dialback_errors = false;
    bool bidi = false;
  };

  void handle(expects_header, event::header&, initiator_actions&);
  void handle(expects_features, event::element&, initiator_actions&);
  void handle(expects_proceed, event::element&, initiator_actions&);
  void handle(securing, event::tls_done&, initiator_actions&);
  void handle(securing, event::tls_failed&, initiator_actions&);
  void handle(securing, event::tls_refused&, initiator_actions&);
  void handle(judging, event::judged&, initiator_actions&);
  void handle(ready, event::chosen&, initiator_actions&);
  void handle(ready, event::element&, initiator_actions&);
  void handle(authenticating, event::element&, initiator_actions&);
  void handle(dialling_back, event::element&, initiator_actions&);
  void handle(established, event::element&, initiator_actions&);
  void handle(established, event::wants_flow&, initiator_actions&);
  template <typename State>
  void handle(State, event::verify&, initiator_actions&);
  template <typename State>
  void handle(State, event::answered&, initiator_actions&);
  template <typename State, typename Event>
  void handle(State, Event&, initiator_actions& out) {
    unexpected(out);
  }
  void ends(event::peer_closed&, initiator_actions&);
  void ends(event::broken&, initiator_actions&);
  void ends(event::timed_out&, initiator_actions&);
  void ends(event::dismissed&, initiator_actions&);
  void ends(event::gone&, initiator_actions&);

  void open(initiator_actions&);
  void read_features(const xml::element&);
  void features_came(expects_features, initiator_actions&);
  void dial_back(const domain_flow&, proof, initiator_actions&);
  void authorise(const domain_flow&, proof, authorised_by, initiator_actions&);
  /// Of the domain that was called.
  [[nodiscard]] proof proof_of_peer() const noexcept;
  static void refuse(const domain_flow&, cause, stanza_condition bounce, std::string text, initiator_actions&);
  void take(const xml::element&, initiator_actions&);
  void take_result(const dialback_element&, initiator_actions&);
  void take_verdict(const dialback_element&, initiator_actions&);
  void take_stanza(const xml::element&, initiator_actions&);
  void perform(step, initiator_actions&);
  void ask_about(verify_key, initiator_actions&);
  void ask_what_waits(initiator_actions&);
  void unclaimed(const xml::element&, initiator_actions&);
  void unexpected(initiator_actions&);
  [[nodiscard]] bool may_dial_back() const noexcept;
  [[nodiscard]] bool may_use_external() const noexcept;
  void fail(stream_condition, cause, std::string_view text, initiator_actions&, bool too_big = false);
  void leave(cause, std::string text, initiator_actions&);
  void finish(action::finish, initiator_actions&);

  initiator_settings settings_;
  stream_facts facts_;
  peer_offers offers_;
  dialback requests_;  // what the peer asks of us on a bidirectional stream
  state state_ = expects_header{};
  bool opened_ = false;                                   // our header is out in this stream
  std::map<domain_flow, proof, domain_flow_less> asked_;  // by <db:result/>, not answered yet; what proves their target
  domain_flows authorised_;                               // away from us
  std::vector<verify_key> kept_;                          // to be asked once that may be
  std::vector<verify_key> asking_;                        // asked, not answered yet
  std::optional<cause> refused_;                          // the last refusal: why the peer leaves, should it leave now
};

}  // namespace comity::connection
