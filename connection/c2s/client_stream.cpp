#include "connection/c2s/client_stream.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

#include "connection/c2s/features.hpp"
#include "connection/memory_reserve.hpp"
#include "connection/negotiation/bind.hpp"
#include "connection/negotiation/negotiator.hpp"
#include "connection/negotiation/session.hpp"
#include "connection/negotiation/stanza_addressing.hpp"
#include "connection/negotiation/stream_header.hpp"
#include "connection/negotiation/stream_management.hpp"
#include "connection/stream_driver.hpp"
#include "connection/transport/tcp_options.hpp"
#include "tls/context.hpp"

namespace comity::connection {

namespace {

/// XEP-0368 §4, RFC 7301: the one protocol a client port speaks.
constexpr std::array<std::string_view, 1> client_alpn{"xmpp-client"};

/// Requests of stream negotiation, come when they may. One to somebody else, and an answer that quotes one, are stanzas
/// like any other: a stranger can have asked for them (THREATS F10).
bool is_negotiation(const xml::element& e, const jid& of) {
  const auto payload = e.first_child();
  if (e.name() != "iq" || e.attribute("type") != "set" || !e.attribute("id") || !payload ||
      (payload.ns() != ns_bind && payload.ns() != ns_session)) {
    return false;
  }
  const auto to = e.attribute("to");
  return !to || *to == of.domainpart() || *to == of.bare_text();
}

/// What of the framer's limits is told (XEP-0478).
stream_limits told(const xml::framer_limits& limits) {
  return {.max_bytes = static_cast<std::uint32_t>(std::min<std::size_t>(limits.stanza_bytes, UINT32_MAX)),
          .idle_seconds = {}};
}

class client_stream final : public stream_driver {
public:
  client_stream(const c2s_collaborators& with, std::shared_ptr<const c2s_settings> settings, accepted_socket socket)
      : stream_driver{{.loop = with.loop,
                       .log = with.log,
                       .descriptor = socket.descriptor,
                       .address = std::move(socket.address),
                       .route = {scope::c2s, direction::inbound, socket.method},
                       .role = tls_role::accepts,
                       .limits = settings->before_authentication,
                       .send_queue_bytes = settings->send_queue_bytes,
                       .bytes_per_second = settings->bytes_per_second,
                       .tls_timeout = settings->tls_timeout,
                       .linger_time = settings->linger_time,
                       .opened_at = socket.at,
                       .tls = std::move(socket.tls),
                       .unread = std::move(socket.unread)}},
        host_{with.host},
        tls_{with.tls},
        settings_{std::move(settings)},
        permit_{std::move(socket.permit)},
        decrypted_by_proxy_{socket.decrypted_by_proxy} {}

  ~client_stream() override { leave(); }

  void begin() {
    metrics().attempted(route());
    log(log::level::debug, "c2s.accepted");
    stream_facts known;
    known.route = route();
    known.encrypted = decrypted_by_proxy_;
    negotiation_ = std::make_unique<negotiator>(negotiator_around(std::move(known)));
    deadline(opened_at() + settings_->handshake_timeout);
    if (route().method == method::websocket && !wire().tls().encrypted() && !decrypted_by_proxy_) {
      // RFC 7395 §3.9; THREATS B3: nothing is asked for, and so nothing evaluated, in clear.
      return dismiss(stream_condition::policy_violation, cause::policy, "WebSocket without TLS");
    }
    open();
  }

  // --- live_connection -----------------------------------------------------------------------------------------------

  [[nodiscard]] connection_info info() const override {
    auto i = describe();
    i.peer = peer_.text();
    if (!peer_.empty()) {
      i.domain = peer_.domainpart();
    } else if (negotiation_) {
      i.domain = negotiation_->facts().local_domain;
    }
    i.established = authenticated_ && !ended();
    if (authenticated_) {
      i.authentication = to_string(authenticated_by_);
    }
    return i;
  }

  void send(stanza_ref stanza) override {
    if (bound_ && !ended()) {
      send_stanza(std::move(stanza));
    }
  }

  void say(std::string_view element) override {
    if (bound_ && !ended()) {
      send_bytes(element, begins_count(element));
    }
  }

  void overcounted(std::uint32_t handled, std::uint32_t sent) override {
    drive(event::dismissed{stream_condition::undefined_condition, cause::policy, "acknowledged more than was sent",
                           write_too_high(handled, sent)});
    settle();
  }

  void dismiss(stream_condition condition, cause why, std::string text) override {
    // A session that ends because the server does can be resumed once that is back.
    broken_ = broken_ || condition == stream_condition::system_shutdown;
    drive(event::dismissed{condition, why, std::move(text)});
    settle();
  }

  /// Once bound the server knows where it is.
  [[nodiscard]] bool leave_loop() override { return !bound_ && stream_driver::leave_loop(); }

  void fault(std::string_view what) noexcept override {
    log(log::level::error, "c2s.fault", log::field{"detail", what});
    const bool first = !ended();
    end(true);
    if (first) {
      account(
          {.cause = cause::internal, .phase = phase::stream, .sent = {}, .received = {}, .text = {}, .abrupt = true});
    }
    settle();
  }

private:
  // --- stream_driver -------------------------------------------------------------------------------------------------

  [[nodiscard]] bool peer_known() const noexcept override { return bound_; }
  [[nodiscard]] bool paused() const override { return negotiation_ && negotiation_->paused(); }

  void take_header(xml::stream_header&& header) override { drive(event::header{std::move(header)}); }
  void take_close() override {
    const auto policy = once_understood();
    drive(event::peer_closed{});
  }
  void take_fault(stream_condition condition, bool too_big) override {
    const auto policy = once_understood();
    drive(event::broken{condition, too_big});
  }
  void take_element(xml::document& document) override {
    const auto policy = once_understood();
    const auto root = document.root();
    if (bound_ && is_stanza(root, xml::ns_client) && !is_negotiation(root, peer_)) {
      return take_stanza(document);
    }
    if (bound_ && root.ns() == ns_sm) {
      return take_management(root);
    }
    if (const auto state = bound_ ? read_client_state(root) : std::nullopt) {
      return host_.indicated(ref(), peer_, *state);
    }
    if (managed_ && is_stanza(root, xml::ns_client)) {
      return answer_negotiation(root);
    }
    drive(event::element{root});
  }

  /// THREATS X13: what a session has sent is carried through.
  [[nodiscard]] memory_policy once_understood() const noexcept {
    return memory_policy{bound_ ? memory_policy::work::begun : memory_policy::work::fails_at_once};
  }

  void begin_tls(connection::wire& wire) override {
    // RFC 6120 §5.4.3.1 (4): without SNI, the host of the stream header chooses the certificate (E09).
    wire.accept_tls(tls_, client_alpn, to_a_labels(negotiation_->facts().local_domain));
  }
  void tls_done() override {
    const auto& tls = wire().tls();
    channel_bindings bindings;
    bindings.tls_unique = tls.unique_binding();
    // Whose octets take long to make: once they are asked for, which is while this is there.
    if (tls.has_exporter_binding()) {
      bindings.tls_exporter = binding_octets{[&tls] { return tls.exporter_binding(); }};
    }
    if (tls.has_end_point_binding()) {
      bindings.tls_server_end_point = binding_octets{[&tls] { return tls.end_point_binding(); }};
    }
    drive(event::tls_done{std::move(bindings)});
  }
  void tls_failed(const tls::tls_failure& failure) override {
    const bool no_overlap = failure.what == tls::tls_failure::kind::no_application_protocol;
    drive(event::tls_failed{no_overlap ? cause::alpn_mismatch : cause::tls_alert, failure.text});
  }
  void tls_refused() override { drive(event::tls_refused{}); }
  void timed_out() override { drive(event::timed_out{}); }
  void cut_short() noexcept override { broken_ = true; }
  void gone() override {
    broken_ = true;
    drive(event::gone{wire().tls().failure().text});
  }

  // --- stanzas -------------------------------------------------------------------------------------------------------

  void take_stanza(xml::document& document) {
    const auto addressed = document.root().attribute("to");
    auto to = addressed ? jid::parse(*addressed) : jid{};
    const bool addressable = to.has_value();
    const bool forbidden = document.forbidden_namespace();
    // RFC 6120 §8.1.2.1: `from` is what was bound here, whatever the client wrote (THREATS F7).
    auto stanza = stanza::make(std::move(document), peer_, std::move(to).value_or(jid{}));
    metrics().stanza_received(route(), stanza->kind());
    if (addressable && !forbidden) {
      return host_.received(ref(), std::move(stanza));
    }
    // RFC 6120 §8.3.3.8 for an address that is none; THREATS A5 for elements that would be a stream's own.
    auto reply =
        error_reply(*stanza, addressable ? stanza_condition::policy_violation : stanza_condition::jid_malformed);
    if (managed_) {
      host_.answered(ref(), peer_, std::move(reply));
    } else if (reply) {
      send(std::move(reply));
    }
  }

  // --- stream management (XEP-0198) ----------------------------------------------------------------------------------

  void take_management(const xml::element& e) {
    std::visit([this](auto command) { manage(command); }, read_management(e));
  }
  void manage(const management::enable& wanted) {
    managed_ = true;
    host_.enable(ref(), peer_, wanted);
  }
  void manage(const management::resume& /*too late*/) {
    send_bytes(write_management_failure(stanza_condition::unexpected_request));  // THREATS F1
  }
  void manage(management::request /*one*/) { host_.acknowledge(ref(), peer_); }
  void manage(management::acknowledge a) { host_.acknowledged(ref(), peer_, a.handled); }
  void manage(management::malformed m) {
    if (m.resume) {
      return manage(management::resume{});
    }
    drive(event::dismissed{stream_condition::policy_violation, cause::policy, "an acknowledgement without a count"});
  }
  void manage(management::unknown /*one*/) {
    drive(event::dismissed{stream_condition::unsupported_stanza_type, cause::stream_error, "stream management"});
  }

  /// A request of negotiation that comes late is a stanza, and so is its answer: both count.
  void answer_negotiation(const xml::element& root) {
    auto actions = occasional_negotiator().on(event::element{root});
    for (auto& a : actions) {
      if (auto* const sent = std::get_if<action::send>(&a); sent != nullptr && actions.size() == 1) {
        return host_.answered(ref(), peer_, stanza::from_wire(sent->bytes));
      }
    }
    perform(std::move(actions));
  }

  // --- negotiation ---------------------------------------------------------------------------------------------------

  [[nodiscard]] negotiator negotiator_around(stream_facts facts) const {
    return negotiator{
        {.content_ns = xml::ns_client,
         .features = c2s_features([this]() -> metrics_cell& { return metrics(); },
                                  told(settings_->before_authentication), told(settings_->after_authentication)),
         .hosts = [&host = host_](std::string_view domain) { return host.hosts(domain); },
         .default_domain = host_.default_domain(),
         .new_stream_id = new_stream_id},
        std::move(facts)};
  }

  void drive(negotiation_event happened) {
    if (ended()) {
      return;
    }
    if (negotiation_) {
      perform(negotiation_->on(std::move(happened)));
      if (bound_) {
        negotiation_.reset();
      }
      return;
    }
    perform(occasional_negotiator().on(std::move(happened)));
  }

  /// Long established: a machine is made for the occasion, from what is known.
  [[nodiscard]] negotiator occasional_negotiator() const {
    stream_facts facts;
    facts.route = route();
    facts.local_domain = peer_.domainpart();
    facts.encrypted = true;
    facts.authenticated = peer_.bare();
    facts.authenticated_by = authenticated_by_;
    facts.bound = peer_;
    return negotiator_around(std::move(facts));
  }

  void perform(negotiation_actions actions) {
    for (auto& a : actions) {
      std::visit([this](auto& act) { this->perform(act); }, a);
    }
  }

  void perform(action::send& a) { send_bytes(a.bytes); }
  void perform(action::start_tls& a) { upgrade(std::move(a.proceed)); }
  void perform(action::restart_stream&) { restart(); }

  void perform(action::ask& a) {
    std::visit([this](auto& question) { this->ask(std::move(question)); }, a.question);
  }

  void perform(action::refused& a) {
    if (a.guess) {
      permit_.guessed();
    }
    log(log::level::info, "auth.failed", log::field{"cause", to_string(a.cause)}, log::field{"detail", a.what},
        log::field{"user", a.user});
  }

  void perform(action::authenticated& a) {
    authenticated_ = true;
    authenticated_by_ = a.by;
    peer_ = std::move(a.user);
    permit_.authenticated();
    limits(settings_->after_authentication);
    const auto now = begin_phase(phase::authentication);
    metrics().setup_took(route(), now - opened_at());
    metrics().established(route());
    deadline(now + settings_->handshake_timeout);  // once more, for binding
    if (auto* home = host_.home(peer_); home != nullptr && home != &loop()) {
      loop().hand_over(id(), *home);
    }
    log(log::level::info, "c2s.established", log::field{"peer", peer_.text()},
        log::field{"mechanism", to_string(a.by)});
  }

  void perform(action::established& a) {
    bound_ = true;
    peer_ = std::move(a.full);
    begin_phase(phase::bind);
    deadline({});
    log(log::level::debug, a.resumed ? "c2s.resumed" : "c2s.bound", log::field{"peer", peer_.text()});
    if (a.resumed) {
      managed_ = true;
      host_.resumed(ref(), peer_);
    }
  }

  // Of streams between servers; nothing a client is offered leads to them.
  static void perform(action::flow_authorised&) {}
  static void perform(action::received&) {}
  static void perform(action::ignored&) {}

  void perform(action::finish& a) {
    if (!authenticated_ && a.sent == stream_condition::policy_violation && a.cause == cause::auth_rejected) {
      permit_.guessed();  // the one that was too many on this stream
    }
    end(a.abrupt);
    account(a);
  }

  // --- questions -----------------------------------------------------------------------------------------------------

  /// An answer nobody waits for any more. A resource that was bound for nobody is given back.
  template <typename Result>
  static void give_back(c2s_host& /*host*/, session_ref /*me*/, const Result& /*result*/) {}
  static void give_back(c2s_host& host, session_ref me, const bind_answer& result) {
    if (result) {
      host.unbind(me, *result, false);
    }
  }
  static void give_back(c2s_host& host, session_ref me, const resume_answer& result) {
    if (result) {
      host.unbind(me, result->full, true);  // and may be resumed again
    }
  }

  static void ask(prove_peer&&) {}
  static void ask(verify_key&&) {}
  template <typename Question>
  void ask(Question question) {
    const memory_policy policy{memory_policy::work::begun};  // what is asked is answered
    auto back = [&loop = loop(), &host = host_, me = ref()](auto result) {
      loop.loop().post([&loop, &host, me, result = std::move(result)]() mutable {
        auto* waiting = static_cast<client_stream*>(loop.find(me.id));
        if (waiting == nullptr || waiting->ended()) {
          return give_back(host, me, result);
        }
        loop.on(me.id, [&](live_connection& c) {
          auto& self = static_cast<client_stream&>(c);
          self.drive(event::answered{answer{std::move(result)}});
          self.advance();
        });
      });
    };
    if constexpr (std::is_same_v<Question, bind_resource>) {
      host_.bind(ref(), std::move(question), std::move(back));
    } else if constexpr (std::is_same_v<Question, resume_session>) {
      host_.resume(ref(), std::move(question), std::move(back));
    } else {
      host_.ask(std::move(question), std::move(back));
    }
  }

  // --- the end -------------------------------------------------------------------------------------------------------

  /// Counts and logs it, and tells the server; once.
  void account(const action::finish& a) {
    if (a.sent) {
      metrics().stream_error_sent(route(), *a.sent);
    }
    if (a.received) {
      metrics().stream_error_received(route(), *a.received);
    }
    const auto error = a.sent ? to_string(*a.sent) : std::string_view{};
    if (authenticated_) {
      metrics().closed(route(), a.cause);
      log(log::level::info, "c2s.closed", log::field{"peer", peer_.text()}, log::field{"cause", to_string(a.cause)},
          log::field{"error", error}, log::field{"detail", a.text},
          log::field{"received", static_cast<std::int64_t>(bytes_received())},
          log::field{"sent", static_cast<std::int64_t>(wire().bytes_sent())});
    } else {
      metrics().failed(route(), a.phase, a.cause);
      log(log::level::info, "c2s.failed", log::field{"phase", to_string(a.phase)},
          log::field{"cause", to_string(a.cause)}, log::field{"error", error}, log::field{"detail", a.text});
    }
    leave();
  }

  /// The server forgets the session; once.
  void leave() {
    const memory_policy policy{memory_policy::work::begun};
    if (std::exchange(bound_, false)) {
      host_.unbind(ref(), peer_, broken_);
    }
  }

  c2s_host& host_;
  const tls::server_context& tls_;
  std::shared_ptr<const c2s_settings> settings_;
  ip_limits::permit permit_;
  bool decrypted_by_proxy_;
  bool authenticated_ = false;
  bool bound_ = false;
  bool managed_ = false;  // it counts stanzas (XEP-0198), or is about to
  bool broken_ = false;   // it ends without having been closed, and its session may be resumed
  mechanism authenticated_by_ = mechanism::unknown;
  std::unique_ptr<negotiator> negotiation_;  // until bound
  jid peer_;                                 // bare once authenticated, full once bound
};

}  // namespace

void serve_client(const c2s_collaborators& collaborators, std::shared_ptr<const c2s_settings> settings,
                  accepted_socket socket) {
  limit_received_ahead(socket.descriptor);
  collaborators.loop.start(std::make_unique<client_stream>(collaborators, std::move(settings), std::move(socket)));
}

}  // namespace comity::connection
