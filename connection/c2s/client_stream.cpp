#include "connection/c2s/client_stream.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <ranges>
#include <utility>

#include "connection/c2s/features.hpp"
#include "connection/negotiation/bind.hpp"
#include "connection/negotiation/negotiator.hpp"
#include "connection/negotiation/session.hpp"
#include "connection/negotiation/stream_header.hpp"
#include "connection/transport/part_reader.hpp"
#include "connection/transport/wire.hpp"
#include "tls/context.hpp"

namespace comity::connection {

namespace {

using clock = timer_wheel::clock;
using tls::io_status;

/// XEP-0368 §4, RFC 7301: the one protocol a client port speaks.
constexpr std::array<std::string_view, 1> client_alpn{"xmpp-client"};
/// After our last byte, the peer has this long to close its side (RFC 6120 §4.4).
constexpr std::chrono::seconds linger_time{5};
/// How much one connection may read before the others have their turn.
constexpr unsigned reads_a_turn = 16;

bool is_stanza(const xml::element& e) {
  return e.ns() == xml::ns_client && (e.name() == "message" || e.name() == "presence" || e.name() == "iq");
}

/// IQs that belong to stream negotiation, come when they may.
bool is_negotiation(const xml::element& e) {
  if (e.name() != "iq") {
    return false;
  }
  const auto payload = e.first_child();
  return payload && (payload.ns() == ns_bind || payload.ns() == ns_session);
}

alpn_offer class_of(const std::vector<std::string>& offered) {
  if (offered.empty()) {
    return alpn_offer::none;
  }
  static constexpr std::array<std::pair<std::string_view, alpn_offer>, 4> known{
      {{"xmpp-client", alpn_offer::xmpp_client},
       {"xmpp-server", alpn_offer::xmpp_server},
       {"http/1.1", alpn_offer::http},
       {"h2", alpn_offer::http}}};
  for (const auto& [name, offer] : known) {
    if (std::ranges::find(offered, name) != offered.end()) {
      return offer;
    }
  }
  return alpn_offer::other;
}

class client_stream final : public live_connection, private part_taker, private timer_wheel::entry {
public:
  client_stream(const c2s_collaborators& with, std::shared_ptr<const c2s_settings> settings, accepted_socket socket)
      : with_{with},
        settings_{std::move(settings)},
        id_{loop_connections::new_id()},
        wire_{with.loop, id_, socket.descriptor, settings_->send_queue_bytes},
        address_{std::move(socket.address)},
        permit_{std::move(socket.permit)},
        route_{scope::c2s, direction::inbound, socket.method},
        reader_{settings_->before_authentication},
        accepted_at_{clock::now()},
        phase_began_{accepted_at_},
        authenticate_by_{accepted_at_ + settings_->handshake_timeout} {}

  ~client_stream() override { leave(); }

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  void begin() {
    metrics().attempted(route_);
    log(log::level::debug, "c2s.accepted");
    stream_facts known;
    known.route = route_;
    negotiation_ = std::make_unique<negotiator>(negotiator_around(std::move(known)));
    if (route_.method == method::direct_tls) {
      tls_by_ = accepted_at_ + settings_->tls_timeout;
      start_handshake();
    }
    arm_deadline();
    settle();
  }

  // --- live_connection -----------------------------------------------------------------------------------------------

  [[nodiscard]] connection_info info() const override {
    connection_info i;
    i.ref = ref();
    i.peer = peer_.text();
    i.address = address_;
    if (!peer_.empty()) {
      i.domain = peer_.domainpart();
    } else if (negotiation_) {
      i.domain = negotiation_->facts().local_domain;
    }
    i.route = route_;
    i.established = authenticated_ && !finished_;
    if (wire_.tls().encrypted()) {
      auto facts = wire_.tls().facts();
      i.alpn = std::move(facts.alpn);
      i.tls_version = std::move(facts.version);
      i.cipher = std::move(facts.cipher);
    }
    if (authenticated_) {
      i.authentication = to_string(authenticated_by_);
    }
    i.age = std::chrono::duration_cast<std::chrono::seconds>(clock::now() - accepted_at_);
    i.bytes_received = bytes_received_;
    i.bytes_sent = wire_.bytes_sent();
    i.queue_bytes = wire_.queue().bytes();
    return i;
  }

  void send(stanza_ref stanza) override {
    if (finished_ || !bound_) {
      return;
    }
    const auto kind = stanza->kind();
    const auto error = stanza->own_error();
    if (!wire_.queue().push(std::move(stanza))) {
      // The reader is too slow (THREATS F4): what it has not begun to get is given up, and so is the stream.
      metrics().send_queue_overflowed(route_);
      wire_.queue().drop_unstarted();
      return dismiss(stream_condition::resource_constraint, cause::limit, "send queue full");
    }
    metrics().stanza_sent(route_, kind);
    if (error) {
      metrics().stanza_error_sent(scope::c2s, *error);
    }
    wire_.want_flush();
  }

  void dismiss(stream_condition condition, cause why, std::string text) override {
    drive(event::dismissed{condition, why, std::move(text)});
    settle();
  }

  void readable() override {
    wire_.became_readable();
    advance();
  }

  void writable() override {
    wire_.became_writable();
    write();
    advance();
  }

  void flush() override {
    wire_.turn_ended();
    write();
    settle();
  }

  void fault(std::string_view what) noexcept override {
    log(log::level::error, "c2s.fault", log::field{"detail", what});
    if (!std::exchange(finished_, true)) {
      account(
          {.cause = cause::internal, .phase = phase::stream, .sent = {}, .received = {}, .text = {}, .abrupt = true});
    }
    stage_ = stage::over;
    settle();
  }

private:
  enum class stage : std::uint8_t {
    clear,      // XML in clear, before STARTTLS
    prelude,    // <proceed/> is out; the ClientHello is awaited
    handshake,  // TLS handshake
    secure,     // XML under TLS
    lingering,  // our closing tag is out; what still comes is dropped until the peer closes
    over,       // to be removed
  };

  [[nodiscard]] metrics_cell& metrics() const noexcept { return with_.loop.metrics(); }
  [[nodiscard]] session_ref ref() const noexcept { return {with_.loop.loop().index(), id_}; }
  [[nodiscard]] bool paused() const noexcept { return negotiation_ && negotiation_->paused(); }

  // --- readiness -----------------------------------------------------------------------------------------------------

  /// Does all that can be done now.
  void advance() {
    switch (stage_) {
      case stage::clear:
        read_clear();
        break;
      case stage::prelude:
        expect_client_hello();
        break;
      case stage::handshake:
        step_handshake();
        break;
      case stage::secure:
        read_secure();
        break;
      case stage::lingering:
        if (wire_.drained()) {
          stage_ = stage::over;
        }
        break;
      case stage::over:
        break;
    }
    settle();
  }

  /// Says what to wait for next; the last thing every call from outside does.
  void settle() {
    if (stage_ == stage::over) {
      return with_.loop.remove(id_);
    }
    // While an answer is awaited the peer's bytes stay where they are: nothing piles up here.
    const bool peer_waits = (stage_ == stage::clear || stage_ == stage::secure) && paused();
    if (!peer_waits) {
      wire_.wait_readable();
    }
  }

  void read_clear() {
    for (unsigned turn = 0; turn < reads_a_turn && stage_ == stage::clear && !paused(); ++turn) {
      const auto buffer = with_.loop.read_buffer();
      const auto seen = wire_.peek(buffer);
      if (seen.status == io_status::want_read) {
        return;
      }
      if (seen.status != io_status::done) {
        return transport_gone();
      }
      const auto used = feed({buffer.data(), seen.bytes});
      if (!wire_.take(buffer, used)) {
        return transport_gone();
      }
      count_received(used);
      proceed_if_due();
    }
  }

  void read_secure() {
    if (!unread_.empty() && !paused()) {
      const auto waiting = std::exchange(unread_, {});
      unread_ = waiting.substr(feed(waiting));
    }
    for (unsigned turn = 0; turn < reads_a_turn && stage_ == stage::secure && !paused(); ++turn) {
      const auto buffer = with_.loop.read_buffer();
      const auto got = wire_.read(buffer);
      if (got.status == io_status::want_read || got.status == io_status::want_write) {
        return;
      }
      if (got.status != io_status::done) {
        return transport_gone();
      }
      count_received(got.bytes);
      const std::string_view bytes{buffer.data(), got.bytes};
      const auto used = feed(bytes);
      if (used < bytes.size() && stage_ == stage::secure) {
        unread_.assign(bytes.substr(used));  // an answer is awaited; the peer's next words wait with it
      }
    }
    if (stage_ == stage::secure && !paused() && !std::exchange(again_, true)) {
      // There is more, perhaps inside OpenSSL where the socket does not show it. The others first.
      with_.loop.loop().at_turn_end([&loop = with_.loop, id = id_] {
        loop.on(id, [](live_connection& c) {
          auto& self = static_cast<client_stream&>(c);
          self.again_ = false;
          self.advance();
        });
      });
    }
  }

  std::size_t feed(std::string_view bytes) {
    return reader_.feed(bytes, with_.loop.parser(), with_.loop.document(), *this);
  }

  void count_received(std::size_t bytes) {
    bytes_received_ += bytes;
    metrics().bytes_received(route_, bytes);
  }

  // --- part_taker ----------------------------------------------------------------------------------------------------

  [[nodiscard]] bool takes_parts() const override {
    return (stage_ == stage::clear || stage_ == stage::secure) && !paused();
  }
  void take_header(xml::stream_header&& header) override { drive(event::header{std::move(header)}); }
  void take_close() override { drive(event::peer_closed{}); }
  void take_fault(stream_condition condition, bool too_big) override { drive(event::broken{condition, too_big}); }
  void take_element(xml::document& document) override {
    const auto root = document.root();
    if (bound_ && is_stanza(root) && !is_negotiation(root)) {
      return take_stanza(document);
    }
    drive(event::element{root});
  }

  void take_stanza(xml::document& document) {
    const auto addressed = document.root().attribute("to");
    const auto to = addressed ? jid::parse(*addressed) : jid{};
    const bool forbidden = document.forbidden_namespace();
    // RFC 6120 §8.1.2.1: `from` is what was bound here, whatever the client wrote (THREATS F7).
    auto stanza = stanza::make(std::move(document), peer_, to.value_or(jid{}));
    metrics().stanza_received(route_, stanza->kind());
    if (to && !forbidden) {
      return with_.host.received(ref(), std::move(stanza));
    }
    // RFC 6120 §8.3.3.8 for an address that is none; THREATS A5 for elements that would be a stream's own.
    if (auto reply = error_reply(*stanza, to ? stanza_condition::policy_violation : stanza_condition::jid_malformed)) {
      send(std::move(reply));
    }
  }

  // --- negotiation ---------------------------------------------------------------------------------------------------

  [[nodiscard]] negotiator negotiator_around(stream_facts facts) const {
    return negotiator{{.content_ns = xml::ns_client,
                       .features = c2s_features(metrics()),
                       .hosts = [&host = with_.host](std::string_view domain) { return host.hosts(domain); },
                       .default_domain = with_.host.default_domain(),
                       .new_stream_id = new_stream_id},
                      std::move(facts)};
  }

  void drive(negotiation_event happened) {
    if (finished_) {
      return;
    }
    if (negotiation_) {
      perform(negotiation_->on(std::move(happened)));
      if (bound_) {
        negotiation_.reset();
      }
      return;
    }
    // Long established: a machine is made for the occasion, from what is known.
    stream_facts facts;
    facts.route = route_;
    facts.local_domain = peer_.domainpart();
    facts.encrypted = true;
    facts.authenticated = peer_.bare();
    facts.authenticated_by = authenticated_by_;
    facts.bound = peer_;
    perform(negotiator_around(std::move(facts)).on(std::move(happened)));
  }

  void perform(negotiation_actions actions) {
    for (auto& a : actions) {
      std::visit([this](auto& act) { this->perform(act); }, a);
    }
  }

  void perform(action::send& a) {
    wire_.queue().push(a.bytes);
    wire_.want_flush();
  }

  void perform(action::start_tls& a) {
    proceed_ = std::move(a.proceed);  // for proceed_if_due(), once <starttls/> itself has been taken off the socket
  }

  void perform(action::restart_stream&) { reader_.restart(); }

  void perform(action::ask& a) {
    std::visit([this](auto& question) { this->ask(std::move(question)); }, a.question);
  }

  void perform(action::refused& a) {
    log(log::level::info, "auth.failed", log::field{"cause", to_string(a.cause)}, log::field{"detail", a.what},
        log::field{"user", a.user});
  }

  void perform(action::authenticated& a) {
    authenticated_ = true;
    authenticated_by_ = a.by;
    peer_ = std::move(a.user);
    permit_.authenticated();
    reader_.limits(settings_->after_authentication);
    const auto now = begin_phase(phase::authentication);
    metrics().setup_took(route_, now - accepted_at_);
    metrics().established(route_);
    authenticate_by_ = now + settings_->handshake_timeout;  // once more, for binding
    arm_deadline();
    log(log::level::info, "c2s.established", log::field{"peer", peer_.text()},
        log::field{"mechanism", to_string(a.by)});
  }

  void perform(action::established& a) {
    bound_ = true;
    peer_ = std::move(a.full);
    begin_phase(phase::bind);
    timer_wheel::entry::cancel();
    log(log::level::debug, "c2s.bound", log::field{"peer", peer_.text()});
  }

  void perform(action::finish& a) {
    finished_ = true;
    account(a);
    unread_ = {};
    if (a.abrupt) {
      stage_ = stage::over;
      return;
    }
    stage_ = stage::lingering;
    with_.loop.loop().arm(*this, clock::now() + linger_time);
    wire_.want_flush();
  }

  /// The phase `ended` took until now; the next one begins.
  clock::time_point begin_phase(phase ended) {
    const auto now = clock::now();
    metrics().phase_took(route_, ended, now - phase_began_);
    phase_began_ = now;
    return now;
  }

  /// An answer nobody waits for any more. A resource that was bound for nobody is given back.
  template <typename Result>
  static void give_back(c2s_host& /*host*/, session_ref /*me*/, const Result& /*result*/) {}
  static void give_back(c2s_host& host, session_ref me, const bind_answer& result) {
    if (result) {
      host.unbind(me, *result);
    }
  }

  template <typename Question>
  void ask(Question question) {
    auto back = [&loop = with_.loop, &host = with_.host, me = ref()](auto result) {
      loop.loop().post([&loop, &host, me, result = std::move(result)]() mutable {
        auto* waiting = static_cast<client_stream*>(loop.find(me.id));
        if (waiting == nullptr || waiting->finished_) {
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
      with_.host.bind(ref(), std::move(question), std::move(back));
    } else {
      with_.host.ask(std::move(question), std::move(back));
    }
  }

  // --- TLS -----------------------------------------------------------------------------------------------------------

  /// RFC 6120 §5.4.2.3: <proceed/>, and TLS with the very next byte. Refused where something else stands there already.
  void proceed_if_due() {
    if (!proceed_) {
      return;
    }
    const auto proceed = *std::exchange(proceed_, std::nullopt);
    if (wire_.before_tls() == wire::next_bytes::other) {
      return drive(event::tls_refused{});
    }
    wire_.queue().push(proceed);
    tls_by_ = begin_phase(phase::stream) + settings_->tls_timeout;
    arm_deadline();
    stage_ = stage::prelude;
    write();
    if (stage_ == stage::prelude) {
      expect_client_hello();
    }
  }

  void expect_client_hello() {
    if (!wire_.queue().empty()) {
      return;  // <proceed/> is not out yet
    }
    switch (wire_.before_tls()) {
      case wire::next_bytes::none:
        return;
      case wire::next_bytes::tls:
        return start_handshake();
      case wire::next_bytes::other:
        return drive(event::tls_failed{cause::tls_alert, "no TLS after <proceed/>"});
      case wire::next_bytes::gone:
        return transport_gone();
    }
  }

  void start_handshake() {
    // RFC 6120 §5.4.3.1 (4): without SNI, the host of the stream header chooses the certificate (E09).
    wire_.accept_tls(with_.tls, client_alpn, to_a_labels(negotiation_->facts().local_domain));
    stage_ = stage::handshake;
    step_handshake();
  }

  void step_handshake() {
    const auto stepped = wire_.handshake();
    switch (stepped.status) {
      case io_status::want_read:
      case io_status::want_write:
        return;
      case io_status::closed:
      case io_status::truncated:
        return transport_gone();
      case io_status::failed: {
        const auto& failure = wire_.tls().failure();
        const bool no_overlap = failure.what == tls::tls_failure::kind::no_application_protocol;
        count_alpn(no_overlap ? alpn_routed::refused : alpn_routed::c2s);
        return drive(event::tls_failed{no_overlap ? cause::alpn_mismatch : cause::tls_alert, failure.text});
      }
      case io_status::done:
        break;
    }
    const auto facts = wire_.tls().facts();
    metrics().tls_handshake(route_, facts.version == "TLSv1.2" ? tls_version::tls_1_2 : tls_version::tls_1_3,
                            facts.resumed);
    count_alpn(alpn_routed::c2s);
    begin_phase(phase::tls);
    tls_by_.reset();
    arm_deadline();
    stage_ = stage::secure;
    drive(event::tls_done{{wire_.tls().exporter_binding(), wire_.tls().end_point_binding()}});
    read_secure();
  }

  /// comity_alpn_total counts what direct-TLS peers offered (XEP-0368); STARTTLS has no such choice.
  void count_alpn(alpn_routed routed) {
    if (route_.method == method::direct_tls) {
      metrics().alpn(class_of(wire_.tls().alpn_offered()), routed);
    }
  }

  // --- writing and ending --------------------------------------------------------------------------------------------

  void write() {
    if (stage_ == stage::handshake || stage_ == stage::over) {
      return;
    }
    const auto before = wire_.bytes_sent();
    const auto flushed = wire_.flush();
    metrics().bytes_sent(route_, wire_.bytes_sent() - before);
    if (flushed == wire::flushed::gone) {
      return transport_gone();
    }
    if (flushed == wire::flushed::all && stage_ == stage::lingering) {
      wire_.say_goodbye();
    }
  }

  void transport_gone() {
    drive(event::gone{});
    stage_ = stage::over;
  }

  /// Counts and logs the end, and tells the server; once.
  void account(const action::finish& a) {
    if (a.sent) {
      metrics().stream_error_sent(route_, *a.sent);
    }
    if (a.received) {
      metrics().stream_error_received(route_, *a.received);
    }
    const auto error = a.sent ? to_string(*a.sent) : std::string_view{};
    if (authenticated_) {
      metrics().closed(route_, a.cause);
      log(log::level::info, "c2s.closed", log::field{"peer", peer_.text()}, log::field{"cause", to_string(a.cause)},
          log::field{"error", error}, log::field{"detail", a.text},
          log::field{"received", static_cast<std::int64_t>(bytes_received_)},
          log::field{"sent", static_cast<std::int64_t>(wire_.bytes_sent())});
    } else {
      metrics().failed(route_, a.phase, a.cause);
      log(log::level::info, "c2s.failed", log::field{"phase", to_string(a.phase)},
          log::field{"cause", to_string(a.cause)}, log::field{"error", error}, log::field{"detail", a.text});
    }
    leave();
  }

  /// The server forgets the session; once.
  void leave() {
    if (std::exchange(bound_, false)) {
      with_.host.unbind(ref(), peer_);
    }
  }

  // --- deadlines -----------------------------------------------------------------------------------------------------

  /// Absolute: no byte of the peer moves them (THREATS B5, G2).
  void arm_deadline() {
    if (!finished_ && !bound_) {
      with_.loop.loop().arm(*this, tls_by_ ? std::min(*tls_by_, authenticate_by_) : authenticate_by_);
    }
  }

  void expired() override {
    if (finished_) {
      stage_ = stage::over;  // the peer did not close in time
    } else {
      drive(event::timed_out{});
    }
    settle();
  }

  template <typename... Fields>
  void log(log::level level, std::string_view what, Fields... fields) const noexcept {
    if (with_.log.enabled(level)) {
      with_.log.write(level, what,
                      {log::field{"conn", static_cast<std::int64_t>(id_)}, log::field{"address", address_},
                       log::field{"method", to_string(route_.method)}, fields...});
    }
  }

  c2s_collaborators with_;
  std::shared_ptr<const c2s_settings> settings_;
  std::uint64_t id_;
  wire wire_;
  std::string address_;
  ip_limits::permit permit_;
  connection::route route_;
  stage stage_ = stage::clear;
  bool again_ = false;     // another turn of reading is scheduled
  bool finished_ = false;  // the negotiation has ended, or a fault has
  bool authenticated_ = false;
  bool bound_ = false;
  mechanism authenticated_by_ = mechanism::unknown;
  part_reader reader_;
  std::string unread_;  // decrypted, but not to be looked at before an answer came
  std::optional<std::string> proceed_;
  std::unique_ptr<negotiator> negotiation_;  // until bound
  jid peer_;                                 // bare once authenticated, full once bound
  clock::time_point accepted_at_, phase_began_, authenticate_by_;
  std::optional<clock::time_point> tls_by_;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace

void serve_client(const c2s_collaborators& collaborators, std::shared_ptr<const c2s_settings> settings,
                  accepted_socket socket) {
  auto made = std::make_unique<client_stream>(collaborators, std::move(settings), std::move(socket));
  auto& stream = *made;
  collaborators.loop.add(stream.id(), std::move(made));
  stream.begin();
}

}  // namespace comity::connection
