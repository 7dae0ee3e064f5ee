#include "connection/s2s/server_stream.hpp"

#include <algorithm>
#include <optional>

#include "connection/memory_reserve.hpp"
#include "connection/negotiation/stream_header.hpp"
#include "connection/s2s/connect_budget.hpp"
#include "connection/s2s/federation.hpp"
#include "connection/s2s/known_certificates.hpp"
#include "connection/s2s/s2s_metrics.hpp"
#include "connection/stanza.hpp"

namespace comity::connection {

namespace {
/// How long the peer's closing tag is waited for after ours (RFC 6120 §4.4: a reasonable amount of time).
constexpr std::chrono::seconds leave_time{5};
}  // namespace

stream_limits limits_of(const s2s_settings& s) noexcept {
  stream_limits said{.max_bytes = static_cast<std::uint32_t>(s.after_authentication.stanza_bytes), .idle_seconds = {}};
  if (const auto whole = std::chrono::floor<std::chrono::seconds>(s.idle_timeout).count(); whole > 0) {
    said.idle_seconds = static_cast<std::uint32_t>(whole);
  }
  return said;
}

server_stream::server_stream(const s2s_collaborators& with, std::shared_ptr<const s2s_settings> settings, setup s)
    : stream_driver{std::move(s)}, with_{with}, settings_{std::move(settings)} {
}

// --- live_connection -------------------------------------------------------------------------------------------------

void server_stream::dismiss(stream_condition condition, cause why, std::string text) {
  happen(event::dismissed{condition, why, std::move(text)});
  settle();
}

void server_stream::leave(cause why, std::string text) {
  if (!established_ || ended() || leaving_) {
    happen(event::dismissed{std::nullopt, why, std::move(text)});
    return settle();
  }
  // RFC 6120 §4.4: nothing more is sent, but what the other side sent before it heard of that is still taken.
  leaving_ = action::finish{.cause = why,
                            .phase = phase::authentication,
                            .sent = {},
                            .received = {},
                            .text = std::move(text),
                            .abrupt = false};
  say_over(*leaving_);
  send_bytes(stream_end);
  deadline(clock::now() + leave_time);
  settle();
}

void server_stream::fault(std::string_view what) noexcept {
  log(log::level::error, "s2s.fault", log::field{"detail", what});
  end(true);
  account({.cause = cause::internal, .phase = phase::stream, .sent = {}, .received = {}, .text = {}, .abrupt = true});
  settle();
}

connection_info server_stream::describe_server() const {
  auto i = describe();
  i.peer = remote();
  i.domain = local();
  i.established = established_ && !ended();
  if (established_) {
    i.authentication = to_string(how_);
    i.trust = to_string(proof_);
  }
  return i;
}

// --- TLS and time ----------------------------------------------------------------------------------------------------

void server_stream::tls_done() {
  happen(event::tls_done{.bindings = {}});  // of no use to EXTERNAL and dialback
}

void server_stream::tls_failed(const tls::tls_failure& failure) {
  const bool no_overlap = failure.what == tls::tls_failure::kind::no_application_protocol;
  happen(event::tls_failed{no_overlap ? cause::alpn_mismatch : cause::tls_alert, failure.text});
}

void server_stream::timed_out() {
  const auto now = clock::now();
  if (leaving_) {
    return happen(event::dismissed{std::nullopt, leaving_->cause, leaving_->text});
  }
  if (!established_) {
    return happen(event::timed_out{});
  }
  if (expires_ && now >= *expires_) {
    // RFC 6120 §13.7.2.3: whoever connects anew shows a certificate that is good (G12).
    return happen(event::dismissed{stream_condition::reset, cause::cert_expired, "the peer's certificate has expired"});
  }
  if (now >= last_heard_ + idle_after_) {
    return leave(cause::stream_timeout, "idle");
  }
  arm_idle();
}

void server_stream::arm_idle() {
  const auto idle = last_heard_ + idle_after_;
  deadline(expires_ ? std::min(idle, *expires_) : idle);
}

void server_stream::proof_expires(std::optional<std::chrono::system_clock::time_point> when) {
  if (!when) {
    return;
  }
  // Years ahead are beyond what a deadline needs to know, and what a clock of nanoseconds can hold.
  constexpr std::chrono::hours horizon{24 * 365};
  const auto left = std::chrono::ceil<std::chrono::seconds>(*when - std::chrono::system_clock::now());
  const auto by = clock::now() + std::min<std::chrono::seconds>(left, horizon);
  expires_ = expires_ ? std::min(*expires_, by) : by;
  if (established_ && !leaving_) {
    arm_idle();
  }
}

void server_stream::established(clock::time_point began, const action::flow_authorised& first,
                                const stream_limits& theirs) {
  if (std::exchange(established_, true)) {
    return;
  }
  how_ = first.how;
  proof_ = first.by;
  limits(settings_->after_authentication);
  const auto now = begin_phase(phase::authentication);
  metrics().setup_took(route(), now - began);
  metrics().established(route());
  last_heard_ = now;
  idle_after_ = settings_->idle_timeout;
  if (theirs.idle_seconds.value_or(0) > 0) {
    // XEP-0478 §4.1: whoever is left in the middle of a word may lose it, so we leave first.
    idle_after_ = std::min<clock::duration>(idle_after_, std::chrono::seconds{*theirs.idle_seconds} * 9 / 10);
  }
  arm_idle();
  const auto facts = wire().tls().facts();
  log(log::level::info, "s2s.established", log::field{"peer", remote()}, log::field{"local", local()},
      log::field{"direction", to_string(route().direction)}, log::field{"mechanism", to_string(first.how)},
      log::field{"proof", to_string(first.by)}, log::field{"tls", facts.version}, log::field{"cipher", facts.cipher},
      log::field{"resumed", facts.resumed});
  if (facts.peer) {
    // RFC 7590 §3.6: an operator may want to know (L11).
    const auto& shown = facts.peer->sha256;
    if (const auto before = with_.known.seen(std::string{remote()}, route().direction, shown)) {
      log(log::level::warn, "s2s.certificate_changed", log::field{"peer", remote()}, log::field{"before", *before},
          log::field{"now", shown}, log::field{"issuer", facts.peer->issuer});
    }
  }
}

// --- what comes in ---------------------------------------------------------------------------------------------------

void server_stream::take_element(xml::document& document) {
  // THREATS X13: what a proven peer has sent is carried through.
  std::optional<memory_policy> policy;
  if (established_) {
    policy.emplace(memory_policy::work::begun);
  }
  taken_ = &document;
  happen(event::element{document.root()});
  taken_ = nullptr;
}

void server_stream::perform(action::send& a) {
  if (!leaving_) {
    send_bytes(a.bytes);
  }
}

void server_stream::perform(action::received& a) {
  heard();
  const bool forbidden = taken_->forbidden_namespace();
  auto stanza = stanza::make(std::move(*taken_), a.from, a.to);
  metrics().stanza_received(route(), stanza->kind());
  if (!a.refusal && !forbidden) {
    return with_.host.received(std::move(stanza));
  }
  // THREATS A5: elements that would be a stream's own are not relayed.
  if (auto reply = error_reply(*stanza, a.refusal.value_or(stanza_condition::policy_violation))) {
    with_.federation.send(std::move(reply));
  }
}

void server_stream::perform(action::refused& a) {
  log(log::level::info, "auth.failed", log::field{"cause", to_string(a.cause)}, log::field{"detail", a.what},
      log::field{"user", a.user});
}

void server_stream::perform(action::ignored& a) {
  log(log::level::debug, "s2s.ignored", log::field{"peer", remote()}, log::field{"detail", a.what});
}

// --- questions -------------------------------------------------------------------------------------------------------

peer_prover& server_stream::prover() {
  if (!prover_) {
    const auto role = route().direction == direction::inbound ? tls::peer_role::client : tls::peer_role::server;
    auto credentials = wire().tls().peer();
    prover_ = std::make_unique<peer_prover>(
        with_, credentials, role,
        [this, credentials](const std::string& domain, std::move_only_function<void(posh_answer)> then) {
          with_.posh.check(domain, credentials, back_here(std::move(then)));
        });
  }
  return *prover_;
}

void server_stream::perform(action::ask& a) {
  const memory_policy policy{memory_policy::work::begun};  // what is asked is answered
  std::visit([this](auto& question) { this->ask(question); }, a.question);
}

void server_stream::ask(prove_peer& question) {
  const auto domain = question.flow.sender;
  prover().prove(domain, [this, flow = std::move(question.flow)](const peer_prover::proven& p) {
    if (const auto* no = std::get_if<trust::refused>(&p.verdict.is)) {
      with_.metrics.verification_failed(route().direction, no->why, p.dns);
      // One is for the operator; a stream that names many domains does not fill the log (THREATS D5).
      const auto level = std::exchange(unproven_told_, true) ? log::level::debug : log::level::info;
      log(level, "s2s.unproven", log::field{"peer", flow.sender}, log::field{"cause", to_string(no->why)},
          log::field{"reason", p.verdict.reason}, log::field{"detail", p.text});
    } else if (p.verdict.accepted()) {
      proof_expires(p.expires);
    }
    happen(event::answered{peer_proof{.flow = flow, .verdict = p.verdict}});
  });
}

void server_stream::ask(verify_key& question) {
  if (!verify_budget_) {
    verify_budget_ = std::make_shared<connect_budget>();
  }
  with_.federation.verify(std::move(question), verify_budget_,
                          back_here<key_verdict>([this](key_verdict v) { happen(event::answered{std::move(v)}); }));
}

// --- the end ---------------------------------------------------------------------------------------------------------

void server_stream::perform(action::finish& a) {
  end(a.abrupt);
  account(leaving_ ? *leaving_ : a);
}

void server_stream::say_over(const action::finish& a) {
  if (!std::exchange(over_said_, true)) {
    over(a);
  }
}

void server_stream::account(const action::finish& a) {
  if (std::exchange(accounted_, true)) {
    return;
  }
  if (a.sent) {
    metrics().stream_error_sent(route(), *a.sent);
  }
  if (a.received) {
    metrics().stream_error_received(route(), *a.received);
  }
  const auto error = a.sent ? to_string(*a.sent) : a.received ? to_string(*a.received) : std::string_view{};
  if (established_) {
    metrics().closed(route(), a.cause);
    log(log::level::info, "s2s.closed", log::field{"peer", remote()}, log::field{"local", local()},
        log::field{"direction", to_string(route().direction)}, log::field{"cause", to_string(a.cause)},
        log::field{"error", error}, log::field{"detail", a.text},
        log::field{"received", static_cast<std::int64_t>(bytes_received())},
        log::field{"sent", static_cast<std::int64_t>(wire().bytes_sent())});
  } else {
    metrics().failed(route(), a.phase, a.cause);
    // One that is not wanted any more, as those that lost a race, is nobody's failure.
    log(a.cause == cause::shutdown ? log::level::debug : log::level::info, "s2s.failed", log::field{"peer", remote()},
        log::field{"direction", to_string(route().direction)}, log::field{"phase", to_string(a.phase)},
        log::field{"cause", to_string(a.cause)}, log::field{"error", error}, log::field{"detail", a.text});
  }
  say_over(a);
}

}  // namespace comity::connection
