#include "connection/s2s/outbound_stream.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "connection/jid.hpp"
#include "connection/s2s/s2s_metrics.hpp"
#include "connection/transport/tcp_connect.hpp"

namespace comity::connection {

namespace {

/// XEP-0368 §4: sent on every direct-TLS connection, and on no other (D02).
constexpr std::array<std::string_view, 1> server_alpn{"xmpp-server"};

route route_of(const dns::target& target) {
  return {scope::s2s, direction::outbound, target.direct_tls ? method::direct_tls : method::starttls};
}

}  // namespace

outbound_stream::outbound_stream(const s2s_collaborators& collaborators, std::shared_ptr<const s2s_settings> s, call c,
                                 int descriptor, stream_owner* owner)
    : server_stream{collaborators,
                    s,
                    {.loop = collaborators.loop,
                     .log = collaborators.log,
                     .descriptor = descriptor,
                     .address = endpoint_text(c.address, c.target.port),
                     .route = route_of(c.target),
                     .role = tls_role::connects,
                     .limits = s->before_authentication,
                     .send_queue_bytes = s->send_queue_bytes,
                     .bytes_per_second = s->bytes_per_second,
                     .tls_timeout = s->connect_timeout}},
      call_{std::move(c)},
      owner_{owner},
      machine_{
          {.flow = call_.flow,
           .dialback_secret = collaborators.host.dialback_secret().reveal(),
           .domains = {.hosts = [&host = collaborators.host](std::string_view d) { return host.hosts(d); },
                       .allows = [&host = collaborators.host](std::string_view d) { return host.policy(d).allow; }},
           .metrics = metrics(),
           .limits = limits_of(*s)},
          route()} {
}

outbound_stream::~outbound_stream() {
  if (owner_ != nullptr && !ending_) {
    owner_->ended(
        *this, {.cause = cause::shutdown, .received = {}, .text = {}, .abrupt = true, .unwritten = take_unwritten()});
  }
}

void outbound_stream::begin() {
  note_phase(phase::tcp, opened_at() - call_.began);
  // One deadline for the address, from the first SYN to an authenticated stream (THREATS B5).
  deadline(call_.began + settings().connect_timeout);
  perform(machine_.start());
  open();
}

void outbound_stream::choose() {
  drive(event::chosen{});
}
void outbound_stream::verify(verify_key key) {
  drive(event::verify{std::move(key)});
}
void outbound_stream::want(domain_flow flow, proof by) {
  drive(event::wants_flow{std::move(flow), by});
}

void outbound_stream::abandon() {
  owner_ = nullptr;
  drive(event::dismissed{std::nullopt, cause::shutdown, "not wanted"});
  settle();
}

bool outbound_stream::take(const stanza_ref& stanza) {
  if (ending_ || overflowed_ || !try_stanza(stanza)) {
    return false;
  }
  heard();
  return true;
}

void outbound_stream::give_up() {
  if (!std::exchange(overflowed_, true)) {
    dismiss(stream_condition::resource_constraint, cause::limit, "send queue full");
  }
}

// --- what the operator may know of the attempt
// ------------------------------------------------------------------------

void outbound_stream::note_phase(phase p, clock::duration took) {
  phases_.push_back({p, std::chrono::duration_cast<std::chrono::microseconds>(took)});
}

void outbound_stream::note_features(const xml::element& features) {
  constexpr std::size_t most = 32, length_most = 64;
  const auto is_mechanism = [](const std::string& each) { return each.starts_with("mechanism "); };
  if (std::ranges::any_of(features_, is_mechanism)) {
    return;  // these come behind SASL, and have no mechanisms any more
  }
  const auto add = [this](std::string text) {
    if (features_.size() < most) {
      features_.push_back(std::move(text));
    }
  };
  features_.clear();
  for (const auto& feature : features.children()) {
    const auto name = feature.name().substr(0, length_most);
    if (feature.name() != "mechanisms") {
      add(std::string{name});
      continue;
    }
    for (const auto& mechanism : feature.children()) {
      add("mechanism " + mechanism.text().substr(0, length_most));
    }
  }
}

attempt_record outbound_stream::record() const {
  attempt_record r;
  const auto now = clock::now();
  const auto took = now - call_.began;
  r.began = std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(took);
  r.took = std::chrono::duration_cast<std::chrono::milliseconds>(took);
  r.target = call_.target.host;
  r.address = address();
  r.method = route().method;
  r.phase = ending_ ? ending_->phase : machine_.phase();
  auto& more = r.more.emplace();
  more.phases = phases_;
  if (!peer_known()) {
    const auto so_far = std::chrono::duration_cast<std::chrono::microseconds>(now - phase_began());
    if (!more.phases.empty() && more.phases.back().phase == r.phase) {
      more.phases.back().took += so_far;  // TLS stands, and who the peer is takes longer
    } else {
      more.phases.push_back({r.phase, so_far});
    }
  }
  more.features = features_;
  if (wire().tls().encrypted()) {
    auto facts = wire().tls().facts();
    r.sni = facts.sni;
    r.alpn = facts.alpn;
    r.tls = facts.version + " " + facts.cipher;
    more.resumed = facts.resumed;
    more.certificate = std::move(facts.peer);
  }
  if (verdict_) {
    r.proof = verdict_->accepted() ? to_string(verdict_->by()) : std::string_view{};
    r.detail = verdict_->reason;
    more.judged = examined_.evidence;
    more.examined = examined_.text;
    more.reason = verdict_->reason;
  }
  if (peer_known()) {
    r.proof = describe_server().trust;  // dialback's comes after the certificate's verdict
  }
  if (ending_) {
    r.cause = ending_->cause;
    r.detail = ending_->text;
    if (const auto error = ending_->sent ? ending_->sent : ending_->received) {
      r.stream_error = to_string(*error);
      r.stream_error_ours = ending_->sent.has_value();
    }
  }
  return r;
}

// --- TLS -------------------------------------------------------------------------------------------------------------

tls::session_cache::key outbound_stream::session_key() const {
  return {.local_domain = call_.flow.sender,
          .remote_domain = call_.flow.target,
          .host = call_.target.host,
          .port = call_.target.port,
          .direct = call_.target.direct_tls};
}

void outbound_stream::begin_tls(connection::wire& wire) {
  const auto server_name = to_a_labels(call_.flow.target);  // D01; 7673 §4.1: the service domain, never the target
  const auto local_domain = to_a_labels(call_.flow.sender);
  wire.connect_tls(with().client_tls, {.server_name = server_name,
                                       .alpn = call_.target.direct_tls ? std::span<const std::string_view>{server_alpn}
                                                                       : std::span<const std::string_view>{},
                                       .local_domain = local_domain,
                                       .resume = with().sessions.take(session_key())});
}

void outbound_stream::keep_session() {
  // RFC 6120 §3.3, F07: kept once the peer has proven itself, for the next time.
  if (auto session = take_session()) {
    with().sessions.put(session_key(), std::move(session));
  }
}

// --- the machine -----------------------------------------------------------------------------------------------------

void outbound_stream::happen(negotiation_event e) {
  if (const auto* came = std::get_if<event::element>(&e);
      !peer_known() && came != nullptr && came->root.is("features", xml::ns_streams)) {
    note_features(came->root);
  }
  std::visit([this](auto& common) { drive(std::move(common)); }, e);
}

void outbound_stream::drive(initiator_event happened) {
  events_.happen(std::move(happened), [this](initiator_event e) {
    if (!ended()) {
      perform(machine_.on(std::move(e)));
    }
  });
}

void outbound_stream::perform(initiator_actions actions) {
  for (auto& a : actions) {
    std::visit([this](auto& act) { this->perform(act); }, a);
  }
}

void outbound_stream::perform(action::judge&) {
  peer_ = examiner{wire().tls().peer(), tls::peer_role::server};
  examined_ = peer_.examine(call_.flow.target, call_.endpoint, call_.trust, with().host.authorities());
  judge(trust::posh_outcome::not_asked);
}

void outbound_stream::judge(trust::posh_outcome posh) {
  examined_.evidence.posh = posh;
  const auto verdict = trust::decide(examined_.evidence);
  if (std::holds_alternative<trust::needs_posh>(verdict.is)) {
    return with().posh.check(call_.flow.target, peer_.credentials(),
                             back_here<posh_answer>([this](posh_answer answer) { judge(outcome_of(answer)); }));
  }
  verdict_ = verdict;
  if (const auto* no = std::get_if<trust::refused>(&verdict.is)) {
    with().metrics.verification_failed(direction::outbound, no->why, call_.target.delegation);
    with().sessions.drop(session_key());
    log(log::level::info, "s2s.unproven", log::field{"peer", remote()}, log::field{"cause", to_string(no->why)},
        log::field{"reason", verdict.reason}, log::field{"detail", examined_.text});
  }
  drive(event::judged{verdict});
}

void outbound_stream::perform(action::verified&) {
  log(log::level::debug, "s2s.verified", log::field{"peer", remote()}, log::field{"proof", to_string(verdict_->by())},
      log::field{"reason", verdict_->reason});
  if (owner_ != nullptr) {
    owner_->verified(*this);
  }
}

void outbound_stream::perform(action::flow_authorised& a) {
  with().metrics.verified(direction::outbound, a.by, call_.target.delegation);
  keep_session();
  if (!peer_known()) {
    with().metrics.discovered(call_.target.source);
    proof_expires(examined_.expires);
    established(call_.began, a, machine_.facts().peer_limits);
  } else {
    log(log::level::info, "s2s.authorised", log::field{"peer", a.flow.target}, log::field{"local", a.flow.sender},
        log::field{"proof", to_string(a.by)});
  }
  if (owner_ != nullptr) {
    owner_->authorised(*this, a);
  }
}

void outbound_stream::perform(action::flow_refused& a) {
  if (owner_ != nullptr) {
    owner_->refused(*this, a);
  }
}

void outbound_stream::perform(action::key_verified& a) {
  if (owner_ != nullptr) {
    owner_->answered(*this, a.answer);
  }
}

void outbound_stream::over(const action::finish& a) {
  if (peer_known()) {
    keep_session();
  }
  ending_ = stream_ending{.cause = a.cause,
                          .phase = a.phase,
                          .received = a.received,
                          .text = a.text,
                          .abrupt = a.abrupt,
                          .sent = a.sent,
                          .unwritten = {}};
  auto report = *ending_;
  report.unwritten = take_unwritten();
  if (auto* owner = std::exchange(owner_, nullptr)) {
    owner->ended(*this, std::move(report));
  }
}

}  // namespace comity::connection
