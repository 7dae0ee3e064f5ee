#include "connection/negotiation/negotiator.hpp"

#include <type_traits>
#include <utility>

#include "connection/negotiation/starttls.hpp"
#include "connection/negotiation/stream_header.hpp"

namespace comity::connection {

namespace {

template <typename Event>
constexpr bool always_ends = std::is_same_v<Event, event::peer_closed> || std::is_same_v<Event, event::broken> ||
                             std::is_same_v<Event, event::timed_out> || std::is_same_v<Event, event::dismissed> ||
                             std::is_same_v<Event, event::gone>;

cause cause_of(stream_condition condition) {
  return condition == stream_condition::host_unknown ? cause::host_unknown : cause::stream_error;
}

/// The condition inside a <stream:error/> that the peer sent; undefined_condition where we know none of it.
stream_condition condition_in(const xml::element& error) {
  for (const auto child : error.children()) {
    for (std::size_t i = 0; i < stream_condition_count; ++i) {
      const auto condition = static_cast<stream_condition>(i);
      if (child.is(to_string(condition), "urn:ietf:params:xml:ns:xmpp-streams")) {
        return condition;
      }
    }
  }
  return stream_condition::undefined_condition;
}

}  // namespace

negotiator::negotiator(negotiator_settings settings, stream_facts facts)
    : settings_{std::move(settings)}, facts_{std::move(facts)} {
  if (facts_.bound) {
    state_ = established{};
    opened_ = true;
  } else if (facts_.route.method == method::direct_tls && !facts_.encrypted) {
    state_ = securing{};
  }
}

bool negotiator::paused() const noexcept {
  return std::holds_alternative<asking>(state_) || std::holds_alternative<securing>(state_);
}

bool negotiator::ended() const noexcept {
  return std::holds_alternative<ended_state>(state_);
}

phase negotiator::phase() const noexcept {
  if (std::holds_alternative<securing>(state_)) {
    return phase::tls;
  }
  if (facts_.authenticated) {
    return phase::bind;
  }
  if (std::holds_alternative<expects_header>(state_) || !facts_.encrypted) {
    return phase::stream;
  }
  return phase::authentication;
}

negotiation_actions negotiator::on(negotiation_event happened) {
  negotiation_actions out;
  if (ended()) {
    return out;
  }
  std::visit(
      [&](auto& e) {
        using event_type = std::remove_cvref_t<decltype(e)>;
        if constexpr (always_ends<event_type>) {
          ends(e, out);
        } else {
          const auto now = state_;  // a handler consumes its state
          std::visit([&](auto s) { handle(s, e, out); }, now);
        }
      },
      happened);
  return out;
}

// --- legal pairs -----------------------------------------------------------------------------------------------------

void negotiator::handle(expects_header, event::header& e, negotiation_actions& out) {
  const auto accepted = check_initial_header(e.stream, settings_.content_ns);
  if (accepted && accepted->from) {
    peer_from_ = accepted->from->text();
  }
  if (!accepted) {
    return fail(accepted.error(), cause_of(accepted.error()), {}, out);
  }
  if (!settings_.hosts(accepted->local_domain)) {
    return fail(stream_condition::host_unknown, cause::host_unknown, accepted->local_domain, out);
  }
  if (facts_.authenticated) {
    // RFC 6120 §6.4.6: the stream after authentication is the same user's at the same host (THREATS C5, A9).
    if (accepted->local_domain != facts_.authenticated->domainpart()) {
      return fail(stream_condition::not_authorized, cause::policy, "another host after authentication", out);
    }
    if (accepted->from && accepted->from->bare_text() != facts_.authenticated->text()) {
      return fail(stream_condition::invalid_from, cause::policy, "another user after authentication", out);
    }
  }
  facts_.local_domain = accepted->local_domain;
  open_if_needed(out);
  state_ = negotiating{};
  send_features(out);
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
  opened_ = false;
  state_ = expects_header{};
  out.emplace_back(action::restart_stream{});
}

void negotiator::handle(securing, event::tls_failed& e, negotiation_actions& out) {
  // RFC 6120 §5.4.3.2: TLS failed, so nothing more is said on this connection, not even a closing tag (E06).
  finish({.cause = e.cause, .phase = phase::tls, .sent = {}, .received = {}, .text = std::move(e.text), .abrupt = true},
         out);
}

void negotiator::handle(securing, event::tls_refused&, negotiation_actions& out) {
  // RFC 6120 §5.4.2.2: <failure/>, then the stream and the connection end (E06).
  out.emplace_back(action::send{starttls_failure()});
  out.emplace_back(action::send{std::string{stream_end}});
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
  const bool after_binding = facts_.bound.has_value();
  std::visit(
      [&](auto& then) {
        using then_type = std::remove_cvref_t<decltype(then)>;
        if constexpr (std::is_same_v<then_type, step::nothing>) {
          state_ = after_binding ? state{established{}} : state{negotiating{}};
        } else if constexpr (std::is_same_v<then_type, step::refused>) {
          refused_ = then.cause;
          state_ = negotiating{};
          out.emplace_back(action::refused{then.cause, std::move(then.what), std::move(then.user)});
        } else if constexpr (std::is_same_v<then_type, step::exchange>) {
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
          opened_ = false;
          state_ = expects_header{};
          out.emplace_back(action::authenticated{std::move(then.user), then.by});
          out.emplace_back(action::restart_stream{});
        } else if constexpr (std::is_same_v<then_type, step::bound>) {
          facts_.bound = then.full;
          state_ = established{};
          out.emplace_back(action::established{std::move(then.full)});
        } else {
          static_assert(std::is_same_v<then_type, step::end>);
          if (then.condition) {
            fail(*then.condition, then.cause, then.text, out);
          } else {
            out.emplace_back(action::send{std::string{stream_end}});
            finish({.cause = then.cause,
                    .phase = phase(),
                    .sent = {},
                    .received = {},
                    .text = std::move(then.text),
                    .abrupt = false},
                   out);
          }
        }
      },
      taken.then);
}

void negotiator::unclaimed(const xml::element& e, negotiation_actions& out) {
  if (e.ns() == xml::ns_streams) {
    if (e.name() == "error") {
      const auto received = condition_in(e);
      out.emplace_back(action::send{std::string{stream_end}});
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
  if (!facts_.bound) {
    // RFC 6120 §4.9.3.12, §7.1; THREATS C7: nothing but negotiation before authentication and binding.
    return fail(stream_condition::not_authorized, cause::policy, e.name(), out);
  }
  fail(stream_condition::unsupported_stanza_type, cause::stream_error, e.name(), out);
}

// --- ends, legal in every state --------------------------------------------------------------------------------------

void negotiator::ends(event::peer_closed&, negotiation_actions& out) {
  if (opened_) {
    out.emplace_back(action::send{std::string{stream_end}});  // RFC 6120 §4.4: answered in kind
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
       e.too_big);
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
  fail(e.condition, e.cause, e.text, out);
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
  std::string features = "<stream:features>";
  xml::writer w{features, settings_.content_ns};
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
  out.emplace_back(
      action::send{write({settings_.content_ns, from, std::string_view{peer_from_}, settings_.new_stream_id()})});
}

void negotiator::fail(stream_condition condition, cause why, std::string_view text, negotiation_actions& out,
                      bool too_big) {
  open_if_needed(out);  // RFC 6120 §4.9.1.3: an error is sent inside an opened stream (H03)
  out.emplace_back(action::send{write_stream_error(condition, {}, too_big)});
  out.emplace_back(action::send{std::string{stream_end}});
  finish(
      {.cause = why, .phase = phase(), .sent = condition, .received = {}, .text = std::string{text}, .abrupt = false},
      out);
}

void negotiator::finish(action::finish end, negotiation_actions& out) {
  out.emplace_back(std::move(end));
  state_ = ended_state{};
}

}  // namespace comity::connection
