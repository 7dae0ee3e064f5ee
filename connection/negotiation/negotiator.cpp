#include "connection/negotiation/negotiator.hpp"

#include <type_traits>
#include <utility>

#include "connection/negotiation/machine.hpp"
#include "connection/negotiation/starttls.hpp"

namespace comity::connection {

negotiator::negotiator(negotiator_settings settings, stream_facts facts)
    : settings_{std::move(settings)}, facts_{std::move(facts)} {
  if (facts_.bound) {
    state_ = established{};
    opened_ = true;
  } else if (facts_.route.method != method::starttls && !facts_.encrypted) {
    state_ = securing{};
  }
}

bool negotiator::paused() const noexcept {
  return std::holds_alternative<asking>(state_) || std::holds_alternative<securing>(state_) ||
         std::holds_alternative<proving>(state_);
}

bool negotiator::ended() const noexcept {
  return std::holds_alternative<ended_state>(state_);
}

phase negotiator::phase() const noexcept {
  if (std::holds_alternative<securing>(state_)) {
    return phase::tls;
  }
  if (facts_.authenticated && !between_servers()) {
    return phase::bind;
  }
  if ((std::holds_alternative<expects_header>(state_) && !facts_.authenticated) || !facts_.encrypted) {
    return phase::stream;
  }
  return phase::authentication;
}

negotiation_actions negotiator::on(negotiation_event happened) {
  negotiation_actions out;
  if (ended()) {
    return out;
  }
  dispatch(state_, happened, [&](auto& e) { ends(e, out); }, [&](auto s, auto& e) { handle(s, e, out); });
  return out;
}

// --- legal pairs -----------------------------------------------------------------------------------------------------

void negotiator::handle(expects_header, event::header& e, negotiation_actions& out) {
  const auto accepted = check_initial_header(e.stream, settings_.content_ns, facts_.framing());
  if (accepted && accepted->from) {
    peer_from_ = accepted->from->text();
  }
  if (!accepted) {
    return fail(accepted.error(), cause_of(accepted.error()), {}, out);
  }
  if (!settings_.hosts(accepted->local_domain)) {
    return fail(stream_condition::host_unknown, cause::host_unknown, accepted->local_domain, out);
  }
  if (const auto fault = between_servers() ? fault_of_server(*accepted) : fault_of_client(*accepted)) {
    return fail(fault->condition, cause::policy, fault->text, out);
  }
  facts_.local_domain = accepted->local_domain;
  open_if_needed(out);
  if (between_servers() && facts_.encrypted && !facts_.authenticated && accepted->from) {
    // XEP-0178 §3 (9): what the certificate proves decides what is offered.
    facts_.peer_domain = accepted->from->text();
    state_ = proving{};
    out.emplace_back(action::ask{prove_peer{{.sender = facts_.peer_domain, .target = facts_.local_domain}}});
    return;
  }
  offer_features(out);
}

/// RFC 6120 §6.4.6: the stream after authentication is the same user's at the same host (THREATS C5, A9).
std::optional<negotiator::header_fault> negotiator::fault_of_client(const accepted_header& h) const {
  if (!facts_.authenticated) {
    return std::nullopt;
  }
  if (h.local_domain != facts_.authenticated->domainpart()) {
    return header_fault{stream_condition::not_authorized, "another host after authentication"};
  }
  // RFC 6120 §4.7.1: a client's `from` is a user. A domain alone claims none and means nothing here: XML::Stream, and
  // so sendxmpp, puts the machine's name there.
  if (h.from && h.from->has_localpart() && h.from->bare_text() != facts_.authenticated->text()) {
    return header_fault{stream_condition::invalid_from, "another user after authentication"};
  }
  return std::nullopt;
}

std::optional<negotiator::header_fault> negotiator::fault_of_server(const accepted_header& h) const {
  if (h.from) {
    if (h.from->has_localpart() || h.from->has_resource()) {
      return header_fault{stream_condition::invalid_from, "a server that is no domain"};
    }
    if (settings_.hosts(h.from->text())) {
      return header_fault{stream_condition::not_authorized, "a server with a domain of ours"};  // THREATS D4
    }
    if (settings_.allows && !settings_.allows(h.from->text())) {
      return header_fault{stream_condition::policy_violation, "not allowed"};
    }
  }
  if (facts_.authenticated) {
    // RFC 6120 §6.4.6, THREATS C5: what was proven was this domain's right to speak to that one.
    if (h.local_domain != facts_.local_domain) {
      return header_fault{stream_condition::not_authorized, "another host after authentication"};
    }
    if (h.from && *h.from != *facts_.authenticated) {
      return header_fault{stream_condition::improper_addressing, "another server after authentication"};
    }
  }
  return std::nullopt;
}

void negotiator::handle(proving, event::answered& e, negotiation_actions& out) {
  auto* proven = std::get_if<peer_proof>(&e.answer);
  if (proven == nullptr || proven->flow.sender != facts_.peer_domain || proven->flow.target != facts_.local_domain) {
    return unexpected(out);
  }
  facts_.judgment = proven->verdict;
  offer_features(out);
}

template <typename State>
void negotiator::handle(State, event::answered& e, negotiation_actions& out) {
  for (const auto& feature : settings_.features) {
    if (feature->awaits(e.answer)) {
      return apply_aside(feature->on(std::move(e.answer), facts_), out);
    }
  }
  if (std::holds_alternative<peer_proof>(e.answer) || std::holds_alternative<key_verdict>(e.answer)) {
    // What was under way when the stream restarted; the peer begins anew.
    out.emplace_back(action::ignored{"an answer to a stream that is gone"});
    return;
  }
  unexpected(out);
}

void negotiator::handle(negotiating, event::element& e, negotiation_actions& out) {
  for (const auto& feature : settings_.features) {
    if (feature->claims(e.root)) {
      return apply(*feature, feature->on(e.root, facts_), out);
    }
  }
  unclaimed(e.root, out);
}

void negotiator::handle(exchanging s, event::element& e, negotiation_actions& out) {
  if (s.feature->claims(e.root)) {
    return apply(*s.feature, s.feature->on(e.root, facts_), out);
  }
  unclaimed(e.root, out);
}

void negotiator::handle(established, event::element& e, negotiation_actions& out) {
  if (between_servers() && is_stanza(e.root, settings_.content_ns)) [[likely]] {
    return take_stanza(e.root, out);  // no feature claims one
  }
  handle(negotiating{}, e, out);
}

void negotiator::handle(asking s, event::answered& e, negotiation_actions& out) {
  apply(*s.feature, s.feature->on(std::move(e.answer), facts_), out);
}

void negotiator::handle(securing, event::tls_done& e, negotiation_actions& out) {
  facts_.encrypted = true;
  facts_.bindings = std::move(e.bindings);
  // RFC 6120 §5.4.3.3: a new header comes, and whatever was known of the old stream is gone.
  facts_.local_domain.clear();
  peer_from_.clear();
  restart(out);
}

void negotiator::handle(securing, event::tls_failed& e, negotiation_actions& out) {
  // RFC 6120 §5.4.3.2: TLS failed, so nothing more is said on this connection, not even a closing tag (E06).
  finish({.cause = e.cause, .phase = phase::tls, .sent = {}, .received = {}, .text = std::move(e.text), .abrupt = true},
         out);
}

void negotiator::handle(securing, event::tls_refused&, negotiation_actions& out) {
  // RFC 6120 §5.4.2.2: <failure/>, then the stream and the connection end (E06).
  out.emplace_back(action::send{starttls_failure()});
  out.emplace_back(action::send{end_of_stream(facts_.framing())});
  finish({.cause = cause::tls_alert,
          .phase = phase::tls,
          .sent = {},
          .received = {},
          .text = "no TLS after <starttls/>",
          .abrupt = false},
         out);
}

// --- what a step leads to --------------------------------------------------------------------------------------------

void negotiator::apply(stream_feature& feature, step taken, negotiation_actions& out) {
  const bool upgrades = std::holds_alternative<step::upgrade>(taken.then);
  if (!taken.send.empty() && !upgrades) {
    out.emplace_back(action::send{std::move(taken.send)});
  }
  std::visit(
      [&](auto& then) {
        using then_type = std::remove_cvref_t<decltype(then)>;
        if constexpr (std::is_same_v<then_type, step::exchange>) {
          state_ = exchanging{&feature};
        } else if constexpr (std::is_same_v<then_type, step::upgrade>) {
          state_ = securing{};
          out.emplace_back(action::start_tls{std::move(taken.send)});
        } else if constexpr (std::is_same_v<then_type, step::ask>) {
          state_ = asking{&feature};
          out.emplace_back(action::ask{std::move(then.question)});
        } else if constexpr (std::is_same_v<then_type, step::authenticated>) {
          facts_.authenticated = then.user;
          facts_.authenticated_by = then.by;
          refused_.reset();
          out.emplace_back(action::authenticated{std::move(then.user), then.by});
          restart(out);
        } else if constexpr (std::is_same_v<then_type, step::bound>) {
          facts_.bound = then.full;
          state_ = established{};
          out.emplace_back(action::established{std::move(then.full), then.resumed});
        } else {
          state_ = resting();
          apply_aside({{}, std::move(then)}, out);
        }
      },
      taken.then);
}

/// What leaves the state as it is, but for an end and for a first flow.
void negotiator::apply_aside(step taken, negotiation_actions& out) {
  if (!taken.send.empty()) {
    out.emplace_back(action::send{std::move(taken.send)});
  }
  std::visit(
      [&](auto& then) {
        using then_type = std::remove_cvref_t<decltype(then)>;
        if constexpr (std::is_same_v<then_type, step::refused>) {
          refused_ = then.cause;
          out.emplace_back(action::refused{then.cause, std::move(then.what), std::move(then.user), then.guess});
        } else if constexpr (std::is_same_v<then_type, step::ask_aside>) {
          out.emplace_back(action::ask{std::move(then.question)});
        } else if constexpr (std::is_same_v<then_type, step::authorised>) {
          authorise(std::move(then.flow), then.by, authorised_by::dialback, out);
        } else if constexpr (std::is_same_v<then_type, step::bidirectional>) {
          facts_.bidi = true;
          facts_.peer_limits = then.limits;
        } else if constexpr (std::is_same_v<then_type, step::ignored>) {
          out.emplace_back(action::ignored{std::move(then.what)});
        } else if constexpr (std::is_same_v<then_type, step::end>) {
          end(then, out);
        } else if constexpr (!std::is_same_v<then_type, step::nothing>) {
          unexpected(out);  // a feature changes the stream by an answer that the stream did not wait for
        }
      },
      taken.then);
}

void negotiator::end(step::end& why, negotiation_actions& out) {
  if (why.condition) {
    return fail(*why.condition, why.cause, why.text, out, {.too_big = false, .application = why.application});
  }
  out.emplace_back(action::send{end_of_stream(facts_.framing())});
  finish(
      {.cause = why.cause, .phase = phase(), .sent = {}, .received = {}, .text = std::move(why.text), .abrupt = false},
      out);
}

/// RFC 6120 §4.3.3: the stream begins anew on the same transport.
void negotiator::restart(negotiation_actions& out) {
  for (const auto& feature : settings_.features) {
    feature->restarted();
  }
  opened_ = false;
  state_ = expects_header{};
  out.emplace_back(action::restart_stream{});
}

negotiator::state negotiator::resting() const noexcept {
  const bool serving = between_servers() ? !facts_.flows.empty() : facts_.bound.has_value();
  return serving ? state{established{}} : state{negotiating{}};
}

void negotiator::authorise(domain_flow flow, proof by, authorised_by how, negotiation_actions& out) {
  refused_.reset();
  facts_.flows.insert(flow);
  if (std::holds_alternative<negotiating>(state_)) {
    state_ = established{};
  }
  out.emplace_back(action::flow_authorised{std::move(flow), by, how});
}

/// Features go out; a server that SASL has proven may send from here on.
void negotiator::offer_features(negotiation_actions& out) {
  state_ = resting();
  send_features(out);
  if (between_servers() && facts_.authenticated) {
    authorise({.sender = facts_.peer_domain, .target = facts_.local_domain}, facts_.judgment->by(),
              authorised_by::external, out);
  }
}

void negotiator::unclaimed(const xml::element& e, negotiation_actions& out) {
  if (e.ns() == xml::ns_streams) {
    if (e.name() == "error") {
      const auto received = condition_in(e);
      out.emplace_back(action::send{end_of_stream(facts_.framing())});
      return finish({.cause = cause::stream_error,
                     .phase = phase(),
                     .sent = {},
                     .received = received,
                     .text = std::string{to_string(received)},
                     .abrupt = false},
                    out);
    }
    return fail(stream_condition::bad_format, cause::stream_error, {}, out);  // THREATS A8: a stream inside a stream
  }
  if (between_servers() && is_stanza(e, settings_.content_ns)) {
    return take_stanza(e, out);
  }
  if (between_servers() ? facts_.flows.empty() : !facts_.bound) {
    // RFC 6120 §4.9.3.12, §7.1; THREATS C7: nothing but negotiation before authentication and binding.
    return fail(stream_condition::not_authorized, cause::policy, e.name(), out);
  }
  fail(stream_condition::unsupported_stanza_type, cause::stream_error, e.name(), out);
}

void negotiator::take_stanza(const xml::element& e, negotiation_actions& out) {
  take_addressed(e, facts_.flows, out, [&](stream_condition condition) {
    fail(condition, cause::policy, e.attribute("from").value_or(""), out);
  });
}

// --- ends, legal in every state --------------------------------------------------------------------------------------

void negotiator::ends(event::peer_closed&, negotiation_actions& out) {
  if (opened_) {
    out.emplace_back(action::send{end_of_stream(facts_.framing())});  // RFC 6120 §4.4: answered in kind
  }
  finish({.cause = refused_.value_or(cause::peer_closed),
          .phase = phase(),
          .sent = {},
          .received = {},
          .text = {},
          .abrupt = false},
         out);
}

void negotiator::ends(event::broken& e, negotiation_actions& out) {
  fail(e.condition, e.condition == stream_condition::policy_violation ? cause::limit : cause::stream_error, {}, out,
       {.too_big = e.too_big, .application = {}});
}

void negotiator::ends(event::timed_out&, negotiation_actions& out) {
  if (std::holds_alternative<securing>(state_)) {
    return finish(
        {.cause = cause::tls_timeout, .phase = phase::tls, .sent = {}, .received = {}, .text = {}, .abrupt = true},
        out);
  }
  const auto why = std::holds_alternative<expects_header>(state_) && !facts_.authenticated ? cause::stream_timeout
                   : !facts_.encrypted                                                     ? cause::tls_timeout
                                                                                           : cause::auth_timeout;
  fail(stream_condition::connection_timeout, why, {}, out);
}

void negotiator::ends(event::dismissed& e, negotiation_actions& out) {
  if (std::holds_alternative<securing>(state_)) {
    return finish(
        {.cause = e.cause, .phase = phase::tls, .sent = {}, .received = {}, .text = std::move(e.text), .abrupt = true},
        out);
  }
  if (e.condition) {
    return fail(*e.condition, e.cause, e.text, out, {.too_big = false, .application = e.application});
  }
  if (opened_) {
    out.emplace_back(action::send{end_of_stream(facts_.framing())});
  }
  finish({.cause = e.cause, .phase = phase(), .sent = {}, .received = {}, .text = std::move(e.text), .abrupt = false},
         out);
}

void negotiator::ends(event::gone& e, negotiation_actions& out) {
  finish({.cause = !e.tls_failure.empty() ? cause::tls_alert : refused_.value_or(cause::peer_closed),
          .phase = phase(),
          .sent = {},
          .received = {},
          .text = std::move(e.tls_failure),
          .abrupt = true},
         out);
}

// --- everything else -------------------------------------------------------------------------------------------------

void negotiator::unexpected(negotiation_actions& out) {
  // A header where none is due, an answer nobody asked for, TLS news outside TLS: the driver or a feature is at fault,
  // and the stream that suffered it ends without harm to others.
  fail(stream_condition::internal_server_error, cause::internal, {}, out);
}

void negotiator::send_features(negotiation_actions& out) const {
  auto features = start_of("features", facts_.framing());
  xml::writer w{features, namespace_around(facts_)};
  for (const auto& feature : settings_.features) {
    if (feature->offered(facts_)) {
      feature->advertise(w, facts_);
      if (feature->exclusive()) {
        break;
      }
    }
  }
  features += "</stream:features>";
  out.emplace_back(action::send{std::move(features)});
}

void negotiator::open_if_needed(negotiation_actions& out) {
  if (std::exchange(opened_, true)) {
    return;
  }
  const auto& from = facts_.local_domain.empty() ? settings_.default_domain : facts_.local_domain;
  facts_.stream_id = settings_.new_stream_id();
  out.emplace_back(action::send{
      write({settings_.content_ns, from, std::string_view{peer_from_}, facts_.stream_id}, facts_.framing())});
}

void negotiator::fail(stream_condition condition, cause why, std::string_view text, negotiation_actions& out,
                      const error_detail& detail) {
  open_if_needed(out);  // RFC 6120 §4.9.1.3: an error is sent inside an opened stream (H03)
  out.emplace_back(
      action::send{write_stream_error(condition, {}, detail.too_big, facts_.framing(), detail.application)});
  out.emplace_back(action::send{end_of_stream(facts_.framing())});
  finish(
      {.cause = why, .phase = phase(), .sent = condition, .received = {}, .text = std::string{text}, .abrupt = false},
      out);
}

void negotiator::finish(action::finish end, negotiation_actions& out) {
  out.emplace_back(std::move(end));
  state_ = ended_state{};
}

}  // namespace comity::connection
