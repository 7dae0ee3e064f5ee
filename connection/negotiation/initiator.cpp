#include "connection/negotiation/initiator.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "connection/negotiation/bidi.hpp"
#include "connection/negotiation/dialback_key.hpp"
#include "connection/negotiation/machine.hpp"
#include "connection/negotiation/sasl.hpp"
#include "connection/negotiation/starttls.hpp"
#include "connection/negotiation/stream_header.hpp"
#include "connection/negotiation/stream_limits.hpp"

namespace comity::connection {

namespace {

/// The condition inside a SASL <failure/>; not_authorized where we know none of it.
sasl_condition failure_in(const xml::element& failure) {
  for (const auto child : failure.children()) {
    for (std::size_t i = 0; i < sasl_condition_count; ++i) {
      const auto condition = static_cast<sasl_condition>(i);
      if (child.is(to_string(condition), ns_sasl)) {
        return condition;
      }
    }
  }
  return sasl_condition::not_authorized;
}

}  // namespace

initiator::initiator(initiator_settings settings, connection::route route)
    : settings_{std::move(settings)}, requests_{settings_.dialback_secret, settings_.domains} {
  facts_.route = route;
  facts_.local_domain = settings_.flow.sender;
  facts_.peer_domain = settings_.flow.target;
  if (route.method == method::direct_tls) {
    state_ = securing{};
  }
}

initiator_actions initiator::start() {
  initiator_actions out;
  if (std::holds_alternative<expects_header>(state_)) {
    open(out);
  }
  return out;
}

bool initiator::paused() const noexcept {
  return std::holds_alternative<securing>(state_) || std::holds_alternative<judging>(state_);
}

bool initiator::ended() const noexcept {
  return std::holds_alternative<ended_state>(state_);
}

phase initiator::phase() const noexcept {
  if (paused() || std::holds_alternative<expects_proceed>(state_)) {
    return phase::tls;
  }
  const bool before_choice = std::holds_alternative<expects_header>(state_) ||
                             std::holds_alternative<expects_features>(state_) || std::holds_alternative<ready>(state_);
  return before_choice && !facts_.authenticated ? phase::stream : phase::authentication;
}

initiator_actions initiator::on(initiator_event happened) {
  initiator_actions out;
  if (ended()) {
    return out;
  }
  dispatch(state_, happened, [&](auto& e) { ends(e, out); }, [&](auto s, auto& e) { handle(s, e, out); });
  return out;
}

// --- the stream and TLS ----------------------------------------------------------------------------------------------

/// RFC 6120 §4.7 (H01): `to` and `from` each time, no id.
void initiator::open(initiator_actions& out) {
  out.emplace_back(action::send{write(initial_header{settings_.flow.sender, settings_.flow.target})});
  opened_ = true;
  offers_ = {};
  state_ = expects_header{};
}

void initiator::handle(expects_header, event::header& e, initiator_actions& out) {
  const auto accepted = check_response_header(e.stream);
  if (!accepted) {
    return fail(accepted.error(), cause::stream_error, {}, out);
  }
  facts_.stream_id = accepted->id;
  offers_.dialback = accepted->dialback;
  // RFC 6120 §4.9.1.3: a server that does not know the domain opens the stream as another, and says so in what follows.
  const bool foreign = accepted->from && accepted->from->text() != settings_.flow.target;
  state_ = expects_features{foreign};
  if (!accepted->has_features) {
    features_came(expects_features{foreign}, out);  // RFC 6120 §4.7.5
  }
}

void initiator::handle(expects_features s, event::element& e, initiator_actions& out) {
  if (!e.root.is("features", xml::ns_streams)) {
    return unclaimed(e.root, out);
  }
  read_features(e.root);
  features_came(s, out);
}

void initiator::read_features(const xml::element& features) {
  const auto mechanisms = features.child("mechanisms", ns_sasl);
  for (const auto child : mechanisms.children()) {
    offers_.external |= child.is("mechanism", ns_sasl) && child.text() == to_string(mechanism::external);
  }
  if (const auto dialback = features.child("dialback", ns_dialback_feature)) {
    offers_.dialback = true;
    offers_.dialback_errors = static_cast<bool>(dialback.child("errors", ns_dialback_feature));  // J05
  }
  offers_.bidi = static_cast<bool>(features.child("bidi", ns_bidi_feature));
  facts_.peer_limits = limits_in(features);  // L03
}

void initiator::features_came(expects_features s, initiator_actions& out) {
  if (!facts_.encrypted) {
    // RFC 7590 §3.1 (E08), THREATS B3: asked for whether it is offered or not.
    out.emplace_back(action::send{"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"});
    state_ = expects_proceed{};
    return;
  }
  if (s.foreign) {
    // RFC 6120 §13.7.2 (G11): who answers is not who was called, and proven.
    return fail(stream_condition::invalid_from, cause::host_unknown, "the stream is another domain's", out);
  }
  if (facts_.authenticated) {
    state_ = established{};
    authorise(settings_.flow, proof_of_peer(), authorised_by::external, out);
    return ask_what_waits(out);
  }
  if (!may_use_external() && !may_dial_back()) {
    return leave(cause::auth_no_common_mechanism, "neither EXTERNAL nor dialback", out);
  }
  state_ = ready{};
  out.emplace_back(action::verified{});
  ask_what_waits(out);
}

void initiator::handle(expects_proceed, event::element& e, initiator_actions& out) {
  if (e.root.is("proceed", ns_starttls)) {
    state_ = securing{};
    out.emplace_back(action::start_tls{});
    return;
  }
  if (e.root.is("failure", ns_starttls)) {
    return leave(cause::tls_not_offered, "starttls refused", out);
  }
  unclaimed(e.root, out);
}

void initiator::handle(securing, event::tls_done& e, initiator_actions& out) {
  facts_.encrypted = true;
  facts_.bindings = std::move(e.bindings);
  // RFC 6120 §5.4.3.3 (E04), THREATS B2: nothing of what was said in clear is kept.
  facts_.stream_id.clear();
  facts_.peer_limits = {};
  offers_ = {};
  opened_ = false;
  state_ = judging{};
  out.emplace_back(action::restart_stream{});
  out.emplace_back(action::judge{});
}

void initiator::handle(securing, event::tls_failed& e, initiator_actions& out) {
  finish({.cause = e.cause, .phase = phase::tls, .sent = {}, .received = {}, .text = std::move(e.text), .abrupt = true},
         out);
}

void initiator::handle(securing, event::tls_refused&, initiator_actions& out) {
  // RFC 6120 §5.4.3.3, THREATS B2: what came behind <proceed/> is somebody else's.
  finish({.cause = cause::tls_alert,
          .phase = phase::tls,
          .sent = {},
          .received = {},
          .text = "bytes behind <proceed/>",
          .abrupt = true},
         out);
}

void initiator::handle(judging, event::judged& e, initiator_actions& out) {
  facts_.judgment = e.verdict;
  if (e.verdict.accepted() || std::holds_alternative<trust::needs_dialback>(e.verdict.is)) {
    return open(out);
  }
  // RFC 6120 §13.7.2: the connection ends; the stream behind TLS was never opened.
  const auto* refusal = std::get_if<trust::refused>(&e.verdict.is);
  finish({.cause = refusal != nullptr ? refusal->why : cause::internal,
          .phase = phase::tls,
          .sent = {},
          .received = {},
          .text = std::string{e.verdict.reason},
          .abrupt = true},
         out);
}

// --- authentication --------------------------------------------------------------------------------------------------

/// A peer that only dialback can prove is held to dialback.
bool initiator::may_use_external() const noexcept {
  return offers_.external && facts_.judgment && facts_.judgment->accepted();
}

bool initiator::may_dial_back() const noexcept {
  return offers_.dialback && !facts_.stream_id.empty();
}

void initiator::handle(ready, event::chosen&, initiator_actions& out) {
  if (offers_.bidi && settings_.bidi) {
    // XEP-0288 §2.2 (L01): before SASL and dialback; XEP-0478 §4.2: with what we take.
    std::string request;
    xml::writer w{request, xml::ns_server};
    w.open("bidi", ns_bidi);
    write_limits(w, settings_.limits);
    w.close();
    out.emplace_back(action::send{std::move(request)});
    facts_.bidi = true;
  }
  if (!may_use_external()) {
    state_ = dialling_back{};
    return dial_back(settings_.flow, proof_of_peer(), out);
  }
  // XEP-0178 §3 (10) (I02): the identity is told, for servers that look at nothing else.
  settings_.metrics.authentication_attempted(facts_.route, mechanism::external);
  out.emplace_back(action::send{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>" +
                                tls::base64_encode(settings_.flow.sender) + "</auth>"});
  state_ = authenticating{};
}

void initiator::handle(authenticating, event::element& e, initiator_actions& out) {
  if (e.root.is("success", ns_sasl)) {
    // RFC 6120 §6.4.6 (I05): a new stream, and no dialback for this flow.
    facts_.authenticated = jid::parse(settings_.flow.target).value_or(jid{});
    facts_.authenticated_by = mechanism::external;
    out.emplace_back(action::restart_stream{});
    return open(out);
  }
  if (!e.root.is("failure", ns_sasl)) {
    return take(e.root, out);
  }
  const auto condition = failure_in(e.root);
  settings_.metrics.authentication_failed(facts_.route, mechanism::external, condition);
  refused_ = cause::auth_rejected;
  std::string what = "EXTERNAL ";
  what += to_string(condition);
  out.emplace_back(action::refused{cause::auth_rejected, what, settings_.flow.sender});
  if (!may_dial_back()) {
    return leave(cause::auth_rejected, std::move(what), out);
  }
  state_ = dialling_back{};  // XEP-0178 §3 (11)
  dial_back(settings_.flow, proof_of_peer(), out);
}

proof initiator::proof_of_peer() const noexcept {
  return facts_.judgment->accepted() ? facts_.judgment->by() : proof::dialback;
}

void initiator::authorise(const domain_flow& flow, proof by, authorised_by how, initiator_actions& out) {
  refused_.reset();
  authorised_.insert(flow);
  if (facts_.bidi) {
    facts_.flows.insert(reversed(flow));  // XEP-0288 §2.2 (L02)
  }
  out.emplace_back(action::flow_authorised{flow, by, how});
}

template <typename State>
void initiator::handle(State, event::answered& e, initiator_actions& out) {
  if (!requests_.awaits(e.answer)) {
    return unexpected(out);
  }
  perform(requests_.on(std::move(e.answer), facts_), out);
}

template <typename State>
void initiator::handle(State, event::verify& e, initiator_actions& out) {
  if constexpr (std::is_same_v<State, ready> || std::is_same_v<State, dialling_back> ||
                std::is_same_v<State, established>) {
    ask_about(std::move(e.key), out);
  } else {
    kept_.push_back(std::move(e.key));
  }
}

// --- ends, legal in every state --------------------------------------------------------------------------------------

void initiator::ends(event::peer_closed&, initiator_actions& out) {
  leave(refused_.value_or(cause::peer_closed), {}, out);
}

void initiator::ends(event::broken& e, initiator_actions& out) {
  fail(e.condition, e.condition == stream_condition::policy_violation ? cause::limit : cause::stream_error, {}, out,
       e.too_big);
}

void initiator::ends(event::timed_out&, initiator_actions& out) {
  if (paused()) {
    const bool handshake = std::holds_alternative<securing>(state_);
    return finish({.cause = handshake ? cause::tls_timeout : cause::auth_timeout,
                   .phase = phase::tls,
                   .sent = {},
                   .received = {},
                   .text = handshake ? "" : "the certificate could not be judged in time",
                   .abrupt = true},
                  out);
  }
  const auto now = phase();
  const auto why = now == phase::tls      ? cause::tls_timeout
                   : now == phase::stream ? cause::stream_timeout
                                          : refused_.value_or(cause::auth_timeout);
  fail(stream_condition::connection_timeout, why, {}, out);
}

void initiator::ends(event::dismissed& e, initiator_actions& out) {
  if (paused()) {
    return finish(
        {.cause = e.cause, .phase = phase::tls, .sent = {}, .received = {}, .text = std::move(e.text), .abrupt = true},
        out);
  }
  e.condition ? fail(*e.condition, e.cause, e.text, out) : leave(e.cause, std::move(e.text), out);
}

void initiator::ends(event::gone& e, initiator_actions& out) {
  finish({.cause = !e.tls_failure.empty() ? cause::tls_alert : refused_.value_or(cause::peer_closed),
          .phase = phase(),
          .sent = {},
          .received = {},
          .text = std::move(e.tls_failure),
          .abrupt = true},
         out);
}

// --- everything else -------------------------------------------------------------------------------------------------

void initiator::unexpected(initiator_actions& out) {
  // A header where none is due, a verdict nobody asked for, TLS news outside TLS: the driver is at fault, and the
  // stream that suffered it ends without harm to others.
  fail(stream_condition::internal_server_error, cause::internal, {}, out);
}

void initiator::fail(stream_condition condition, cause why, std::string_view text, initiator_actions& out,
                     bool too_big) {
  if (opened_) {
    out.emplace_back(action::send{write_stream_error(condition, {}, too_big)});
    out.emplace_back(action::send{std::string{stream_end}});
  }
  finish({.cause = why,
          .phase = phase(),
          .sent = opened_ ? std::optional{condition} : std::nullopt,
          .received = {},
          .text = std::string{text},
          .abrupt = !opened_},
         out);
}

/// Ends the stream without an error, which a stream that is not open has no way to say.
void initiator::leave(cause why, std::string text, initiator_actions& out) {
  if (opened_) {
    out.emplace_back(action::send{std::string{stream_end}});
  }
  finish({.cause = why, .phase = phase(), .sent = {}, .received = {}, .text = std::move(text), .abrupt = !opened_},
         out);
}

void initiator::finish(action::finish end, initiator_actions& out) {
  // XEP-0220 §2.1.1, §2.1.2: what was asked, or was to be, has no answer any more.
  for (const auto& [flow, by] : asked_) {
    if (flow != settings_.flow) {
      refuse(flow, end.cause, stanza_condition::remote_server_timeout, "the stream ended", out);
    }
  }
  for (const auto* keys : {&asking_, &kept_}) {
    for (const auto& key : *keys) {
      out.emplace_back(
          action::key_verified{{key.flow, key.stream_id, std::unexpected{stanza_condition::remote_server_timeout}}});
    }
  }
  asked_.clear();
  asking_.clear();
  kept_.clear();
  out.emplace_back(std::move(end));
  state_ = ended_state{};
}

}  // namespace comity::connection
