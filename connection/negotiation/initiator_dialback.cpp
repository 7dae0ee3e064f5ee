#include <algorithm>
#include <type_traits>
#include <utility>

#include "connection/negotiation/dialback_key.hpp"
#include "connection/negotiation/initiator.hpp"
#include "connection/negotiation/machine.hpp"
#include "connection/negotiation/stream_header.hpp"

// What the machine says and hears once the peer's features are known: dialback in both directions, keys to verify for
// others, and on a bidirectional stream stanzas.

namespace comity::connection {

namespace {

/// Why a flow was refused by that dialback error (XEP-0220 §2.4.2).
cause cause_of(stanza_condition error) {
  switch (error) {
    case stanza_condition::item_not_found:
      return cause::host_unknown;
    case stanza_condition::remote_server_timeout:
      return cause::auth_timeout;
    case stanza_condition::forbidden:
      return cause::dialback_invalid;
    case stanza_condition::resource_constraint:
      return cause::limit;
    default:
      return cause::auth_rejected;
  }
}

}  // namespace

// --- flows that we ask for (XEP-0220 §2.1.1)
// ---------------------------------------------------------------------------

/// XEP-0220 §2.1.1, J02.
void initiator::dial_back(const domain_flow& flow, proof by, initiator_actions& out) {
  asked_.insert_or_assign(flow, by);
  out.emplace_back(
      action::send{write(dialback_element{.what = dialback_element::kind::result,
                                          .says = dialback_element::type::request,
                                          .flow = flow,
                                          .id = {},
                                          .key = dialback_key(settings_.dialback_secret, flow, facts_.stream_id)})});
}

void initiator::handle(established, event::wants_flow& e, initiator_actions& out) {
  const auto by = e.by == proof::none ? proof_of_peer() : e.by;
  if (authorised_.contains(e.flow)) {
    return authorise(e.flow, by, authorised_by::dialback, out);
  }
  if (asked_.contains(e.flow)) {
    return;  // J12: once is enough
  }
  if (!may_dial_back() || (e.flow.target != settings_.flow.target && !takes_other_targets())) {
    // XEP-0220 §2.6.2 (J10): an error about it might cost the other flows their stream.
    return refuse(e.flow, cause::auth_no_common_mechanism, stanza_condition::remote_server_timeout,
                  "the peer takes no other flows on this stream", out);
  }
  dial_back(e.flow, by, out);
}

void initiator::refuse(const domain_flow& flow, cause why, stanza_condition bounce, std::string text,
                       initiator_actions& out) {
  out.emplace_back(action::flow_refused{flow, why, bounce, std::move(text)});
}

// --- what comes in once features are known ---------------------------------------------------------------------------

void initiator::handle(ready, event::element& e, initiator_actions& out) {
  take(e.root, out);
}

void initiator::handle(dialling_back, event::element& e, initiator_actions& out) {
  take(e.root, out);
}

void initiator::handle(established, event::element& e, initiator_actions& out) {
  if (facts_.bidi && is_stanza(e.root, xml::ns_server)) {
    return take_stanza(e.root, out);
  }
  take(e.root, out);
}

void initiator::take(const xml::element& e, initiator_actions& out) {
  if (e.ns() != ns_dialback) {
    return unclaimed(e, out);
  }
  const auto said = read_dialback(e);
  if (!said) {
    return fail(stream_condition::improper_addressing, cause::stream_error, "dialback without addresses", out);
  }
  if (said->says == dialback_element::type::request) {
    // XEP-0288 §2.2: what the peer may ask of us once the stream goes both ways.
    if (facts_.bidi && std::holds_alternative<established>(state_)) {
      return perform(requests_.on(e, facts_), out);
    }
    out.emplace_back(action::ignored{"a dialback request on a stream that goes one way"});
    return;
  }
  said->what == dialback_element::kind::result ? take_result(*said, out) : take_verdict(*said, out);
}

void initiator::take_result(const dialback_element& said, initiator_actions& out) {
  using enum dialback_element::type;
  using enum stanza_condition;
  const bool first = std::holds_alternative<dialling_back>(state_) && said.flow == settings_.flow;
  const auto asked = asked_.find(said.flow);
  if (said.says == unknown || asked == asked_.end()) {
    // XEP-0220 §3.1; THREATS D1: only what was asked on this stream can be answered on it.
    out.emplace_back(action::ignored{"an unsolicited dialback answer"});
    return;
  }
  const auto by = asked->second;
  asked_.erase(asked);
  if (said.says == valid) {
    if (first) {
      state_ = established{};
    }
    return authorise(said.flow, by, authorised_by::dialback, out);
  }
  const auto why = said.says == invalid ? cause::dialback_invalid : cause_of(said.condition);
  std::string text = "dialback ";
  text += said.says == invalid ? "invalid" : to_string(said.condition);
  // XEP-0220 §2.1.1 (J01): senders are told of an invalid key in other words than of an error.
  refuse(said.flow, why, said.says == invalid ? internal_server_error : remote_server_timeout, text, out);
  if (first || said.says == invalid) {
    // And after it nothing more is sent on this stream, whoever's it is.
    return leave(why, std::move(text), out);
  }
}

void initiator::take_verdict(const dialback_element& said, initiator_actions& out) {
  using enum dialback_element::type;
  const auto asked =
      std::ranges::find_if(asking_, [&](const verify_key& k) { return k.flow == said.flow && k.stream_id == said.id; });
  if (said.says == unknown || asked == asking_.end()) {
    out.emplace_back(action::ignored{"an unsolicited dialback answer"});  // J03; THREATS D1
    return;
  }
  key_verdict verdict{.flow = said.flow, .stream_id = said.id, .valid = said.says == valid};
  if (said.says == error) {
    verdict.valid = std::unexpected{stanza_condition::remote_server_not_found};  // XEP-0220 §2.4 (J07)
  }
  asking_.erase(asked);
  out.emplace_back(action::key_verified{std::move(verdict)});
}

void initiator::take_stanza(const xml::element& e, initiator_actions& out) {
  take_addressed(e, facts_.flows, out, [&](stream_condition condition) {
    fail(condition, cause::policy, e.attribute("from").value_or(""), out);
  });
}

/// What the peer's own dialback request on a bidirectional stream led to.
void initiator::perform(step taken, initiator_actions& out) {
  if (!taken.send.empty()) {
    out.emplace_back(action::send{std::move(taken.send)});
  }
  std::visit(
      [&](auto& then) {
        using then_type = std::remove_cvref_t<decltype(then)>;
        if constexpr (std::is_same_v<then_type, step::refused>) {
          out.emplace_back(action::refused{then.cause, std::move(then.what), std::move(then.user)});
        } else if constexpr (std::is_same_v<then_type, step::ask_aside>) {
          out.emplace_back(action::ask{std::move(then.question)});
        } else if constexpr (std::is_same_v<then_type, step::authorised>) {
          // XEP-0288 §2.2: a domain that was a sender may be a target without further negotiation.
          const auto away = reversed(then.flow);
          facts_.flows.insert(std::move(then.flow));
          authorised_.insert(away);
          out.emplace_back(action::flow_authorised{away, then.by, authorised_by::dialback});
        } else if constexpr (std::is_same_v<then_type, step::ignored>) {
          out.emplace_back(action::ignored{std::move(then.what)});
        } else if constexpr (std::is_same_v<then_type, step::end>) {
          if (then.condition) {
            fail(*then.condition, then.cause, then.text, out);
          } else {
            leave(then.cause, std::move(then.text), out);
          }
        } else if constexpr (!std::is_same_v<then_type, step::nothing>) {
          unexpected(out);  // no other step is dialback's
        }
      },
      taken.then);
}

void initiator::unclaimed(const xml::element& e, initiator_actions& out) {
  if (e.is("error", xml::ns_streams)) {
    const auto received = condition_in(e);
    const bool authentication =
        std::holds_alternative<authenticating>(state_) || std::holds_alternative<dialling_back>(state_);
    auto why = cause_of(received);
    if (why == cause::stream_error && std::holds_alternative<expects_proceed>(state_)) {
      why = cause::tls_not_offered;
    } else if (why == cause::stream_error && authentication) {
      why = cause::auth_rejected;
    }
    out.emplace_back(action::send{std::string{stream_end}});
    return finish({.cause = why,
                   .phase = phase(),
                   .sent = {},
                   .received = received,
                   .text = std::string{to_string(received)},
                   .abrupt = false},
                  out);
  }
  if (e.ns() == xml::ns_streams) {
    return fail(stream_condition::bad_format, cause::stream_error, {}, out);
  }
  if (is_stanza(e, xml::ns_server)) {
    // RFC 6120 §4.9.3.12 (H07, L02): on a stream that goes one way, or does not yet go both, nobody may send us any.
    return fail(stream_condition::not_authorized, cause::policy, e.name(), out);
  }
  fail(stream_condition::unsupported_stanza_type, cause::stream_error, e.name(), out);
}

// --- keys to verify (XEP-0220 §2.1.2) --------------------------------------------------------------------------------

void initiator::ask_about(verify_key key, initiator_actions& out) {
  if (!offers_.dialback) {
    out.emplace_back(
        action::key_verified{{key.flow, key.stream_id, std::unexpected{stanza_condition::remote_server_not_found}}});
    return;
  }
  out.emplace_back(action::send{write(dialback_element{.what = dialback_element::kind::verify,
                                                       .says = dialback_element::type::request,
                                                       .flow = key.flow,
                                                       .id = key.stream_id,
                                                       .key = key.key})});
  asking_.push_back(std::move(key));
}

void initiator::ask_what_waits(initiator_actions& out) {
  for (auto& key : std::exchange(kept_, {})) {
    ask_about(std::move(key), out);
  }
}

}  // namespace comity::connection
