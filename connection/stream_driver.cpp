#include "connection/stream_driver.hpp"

#include <utility>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/front/alpn_router.hpp"
#include "connection/stanza.hpp"
#include "connection/xml/writer.hpp"

namespace comity::connection {

namespace {

using tls::io_status;

/// How much one connection may read before the others have their turn.
constexpr unsigned reads_a_turn = 16;

}  // namespace

stream_driver::stream_driver(setup s)
    : loop_{&s.loop},
      log_{s.log},
      id_{loop_connections::new_id()},
      wire_{s.loop, id_, s.tls ? std::move(*s.tls) : tls::stream{s.descriptor}, s.send_queue_bytes,
            framing_of(s.route.method)},
      address_{std::move(s.address)},
      route_{s.route},
      role_{s.role},
      shaper_{s.bytes_per_second == 0 ? nullptr : std::make_unique<shaper>(*this, s.bytes_per_second)},
      reader_{s.limits},
      websocket_{s.route.method == method::websocket ? std::make_unique<websocket_reader>() : nullptr},
      unread_{std::move(s.unread)},
      tls_timeout_{s.tls_timeout},
      linger_time_{s.linger_time},
      opened_at_{s.opened_at},
      phase_began_{opened_at_} {
}

void stream_driver::open() {
  count_received(unread_.size());
  if (wire_.tls().encrypted()) {
    handshake_done();
  } else if (websocket_) {
    stage_ = stage::secure;
    read_secure();
  } else if (route_.method == method::direct_tls) {
    tls_by_ = opened_at_ + tls_timeout_;
    start_handshake();
  }
  arm();
  settle();
}

connection_info stream_driver::describe() const {
  connection_info i;
  i.ref = ref();
  i.address = address_;
  i.route = route_;
  if (wire_.tls().encrypted()) {
    auto facts = wire_.tls().facts();
    i.alpn = std::move(facts.alpn);
    i.tls_version = std::move(facts.version);
    i.cipher = std::move(facts.cipher);
  }
  i.age = std::chrono::duration_cast<std::chrono::seconds>(clock::now() - opened_at_);
  i.bytes_received = bytes_received_;
  i.bytes_sent = wire_.bytes_sent();
  i.queue_bytes = wire_.queue().bytes();
  return i;
}

stream_driver::clock::time_point stream_driver::begin_phase(phase ended) {
  const auto now = clock::now();
  metrics().phase_took(route_, ended, now - phase_began_);
  phase_ended(ended, now - phase_began_);
  phase_began_ = now;
  return now;
}

// --- readiness -------------------------------------------------------------------------------------------------------

void stream_driver::readable() {
  const auto policy = while_read();
  if (!wire_.became_readable()) {
    return;
  }
  if (stage_ == stage::handshake || stage_ == stage::prelude) {
    return loop_->newcomer(id_);
  }
  advance();
}

void stream_driver::writable() {
  if (wire_.became_writable()) {
    write();
    advance();
  }
}

void stream_driver::set_up() {
  const auto policy = while_read();
  advance();
}

/// THREATS X13: what a peer brings may be refused; what it is an answer to is work of ours.
memory_policy stream_driver::while_read() const noexcept {
  return memory_policy{role_ == tls_role::accepts ? memory_policy::work::fails_at_once : memory_policy::work::begun};
}

void stream_driver::out_of_memory() noexcept {
  if (!peer_known() || ended()) {
    return fault("out of memory");
  }
  try {
    dismiss(stream_condition::resource_constraint, cause::limit, "out of memory");
  } catch (const std::exception&) {
    fault("out of memory");
  }
}

void stream_driver::flush() {
  wire_.turn_ended();
  write();
  if (stage_ == stage::lingering && wire_.tls().pending()) {
    return advance();  // the peer's own end is in already, and no readiness will tell of it
  }
  settle();
}

bool stream_driver::leave_loop() {
  if (ended_ || stage_ != stage::secure || paused()) {
    return false;
  }
  timer_wheel::entry::cancel();
  if (shaper_) {
    shaper_->cancel();
  }
  again_ = false;
  wire_.leave_loop();
  return true;
}

void stream_driver::enter_loop(loop_connections& there) {
  loop_ = &there;
  wire_.enter_loop(there);
  arm();
  advance();
}

void stream_driver::advance() {
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
      linger();
      break;
    case stage::over:
      break;
  }
  settle();
}

void stream_driver::settle() {
  if (stage_ == stage::over) {
    return loop_->remove(id_);
  }
  // While an answer is awaited, or the peer is ahead of its rate, its bytes stay where they are: nothing piles up here.
  const bool peer_waits =
      (stage_ == stage::clear || stage_ == stage::secure) && (paused() || (shaper_ && shaper_->armed()));
  if (!peer_waits) {
    wire_.wait_readable();
  }
}

// --- reading ---------------------------------------------------------------------------------------------------------

void stream_driver::read_clear() {
  for (unsigned turn = 0; turn < reads_a_turn && stage_ == stage::clear && !paused(); ++turn) {
    const auto buffer = may_read(loop_->read_buffer());
    if (buffer.empty()) {
      return;
    }
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
    upgrade_if_due();
  }
}

void stream_driver::read_secure() {
  if (!unread_.empty() && !paused()) {
    const auto waiting = std::exchange(unread_, {});
    unread_ = waiting.substr(feed(waiting));
  }
  for (unsigned turn = 0; turn < reads_a_turn && stage_ == stage::secure && !paused(); ++turn) {
    const auto buffer = may_read(loop_->read_buffer());
    if (buffer.empty()) {
      return;
    }
    const auto got = wire_.read(buffer);
    if (got.status == io_status::want_read || got.status == io_status::want_write) {
      return;
    }
    if (got.status != io_status::done) {
      return transport_gone();
    }
    count_received(got.bytes);
    const bool more = wire_.tls().pending();
    const std::string_view bytes{buffer.data(), got.bytes};
    const auto used = feed(bytes);
    if (used < bytes.size() && stage_ == stage::secure) {
      unread_.assign(bytes.substr(used));  // an answer is awaited; the peer's next words wait with it
    }
    if (!more) {
      return;  // a further read would only say so
    }
  }
  if (stage_ == stage::secure && !paused()) {
    read_again_later();
  }
}

/// There is more, perhaps inside OpenSSL where the socket does not show it. The others first.
void stream_driver::read_again_later() {
  if (again_) {
    return;
  }
  loop_->loop().at_turn_end([loop = loop_, id = id_] {
    loop->on(id, [](live_connection& c) {
      auto& self = static_cast<stream_driver&>(c);
      self.again_ = false;
      self.advance();
    });
  });
  again_ = true;
}

/// As much of the buffer as the peer's rate has room for: none, and no readiness is asked for until there is some. What
/// OpenSSL has decrypted already waits there with the rest.
std::span<char> stream_driver::may_read(std::span<char> buffer) {
  return shaper_ ? buffer.first(std::min<std::uint64_t>(buffer.size(), shaper_->allowance())) : buffer;
}

std::uint64_t stream_driver::shaper::allowance() {
  const auto now = clock::now();
  const auto bytes = bucket_.available(now);
  if (bytes == 0) {
    shaped_.loop_->loop().arm(*this, std::max(bucket_.ready_at(), now));
  } else {
    cancel();
  }
  return bytes;
}

void stream_driver::shaper::expired() {
  shaped_.loop_->on(shaped_.id_, [](live_connection& c) { static_cast<stream_driver&>(c).advance(); });
}

/// The parts on their way in, shown to whoever looks on before anything is made of them.
class stream_driver::watched_parts final : public part_taker {
public:
  watched_parts(stream_driver& to, trace::tap& tap) : to_{to}, tap_{tap} {}

  [[nodiscard]] bool takes_parts() const override { return to_.takes_parts(); }
  void take_header(xml::stream_header&& header) override {
    std::string text{to_.websocket_ ? "<open" : "<stream:stream"};  // RFC 7395 §3.3
    const auto add = [&text](std::string_view name, const std::string& value) {
      if (!value.empty()) {
        text.append(" ").append(name).append("='");
        xml::append_attribute_value(text, value);
        text.append("'");
      }
    };
    add("from", header.from);
    add("to", header.to);
    add("id", header.id);
    add("version", header.version);
    add("xml:lang", header.lang);
    add("xmlns", header.content_ns);
    show(text.append(to_.websocket_ ? "/>" : ">"));
    to_.take_header(std::move(header));
  }
  void take_element(xml::document& document) override {
    std::string text;
    xml::writer{text, xml::ns_client}.copy(document.root());
    show(text);
    to_.take_element(document);
  }
  void take_close() override {
    show(to_.websocket_ ? "<close/>" : "</stream:stream>");
    to_.take_close();
  }
  void take_fault(stream_condition condition, bool too_big) override { to_.take_fault(condition, too_big); }

private:
  void show(std::string_view xml) { tap_.part(to_.info(), trace::way::in, xml); }

  stream_driver& to_;
  trace::tap& tap_;
};

std::size_t stream_driver::feed(std::string_view bytes) {
  if (auto* tap = loop_->tapped()) {
    watched_parts watched{*this, *tap};
    return feed(bytes, watched);
  }
  return feed(bytes, *this);
}

std::size_t stream_driver::feed(std::string_view bytes, part_taker& taker) {
  if (!websocket_) {
    return reader_.feed(bytes, loop_->parser(), loop_->document(), taker);
  }
  const auto used = websocket_->feed(bytes, reader_, loop_->parser(), loop_->document(), taker);
  if (websocket_->owes_pong()) {
    wire_.want_flush();
  }
  if (websocket_->closed() && !ended_) {
    gone();  // RFC 7395 §3.6: without <close/> before it, as a connection that breaks
  }
  if (ended_) {
    websocket_->skip(bytes.substr(used));
    return bytes.size();
  }
  return used;
}

void stream_driver::count_received(std::size_t bytes) {
  bytes_received_ += bytes;
  metrics().bytes_received(route_, bytes);
  if (shaper_) {
    shaper_->took(bytes);
  }
}

bool stream_driver::takes_parts() const {
  return (stage_ == stage::clear || stage_ == stage::secure) && !last_words_ && !paused();
}

// --- TLS -------------------------------------------------------------------------------------------------------------

void stream_driver::upgrade(std::string last_words) {
  last_words_ = std::move(last_words);
}

/// RFC 6120 §5.4.2.3: <proceed/>, and TLS with the very next byte. Refused where something else stands there already;
/// where we connect, nothing may stand there at all before our ClientHello (E03, THREATS B2).
void stream_driver::upgrade_if_due() {
  if (!last_words_ || ended_) {
    return;
  }
  const auto last_words = *std::exchange(last_words_, std::nullopt);
  const auto next = wire_.before_tls();
  if (next == wire::next_bytes::other || (role_ == tls_role::connects && next == wire::next_bytes::tls)) {
    return tls_refused();
  }
  tls_by_ = begin_phase(phase::stream) + tls_timeout_;
  arm();
  if (role_ == tls_role::connects) {
    return start_handshake();
  }
  show_sent(last_words);
  wire_.queue().push(last_words);
  stage_ = stage::prelude;
  write();
  if (stage_ == stage::prelude) {
    expect_client_hello();
  }
}

void stream_driver::expect_client_hello() {
  if (!wire_.queue().empty()) {
    return;  // <proceed/> is not out yet
  }
  switch (wire_.before_tls()) {
    case wire::next_bytes::none:
      return;
    case wire::next_bytes::tls:
      start_handshake();
      return step_handshake();
    case wire::next_bytes::other:
      return tls_failed({.what = tls::tls_failure::kind::not_tls, .text = "no TLS after <proceed/>"});
    case wire::next_bytes::gone:
      return transport_gone();
  }
}

void stream_driver::start_handshake() {
  begin_tls(wire_);
  stage_ = stage::handshake;
  if (role_ == tls_role::connects) {
    step_handshake();
  }  // else the peer speaks first: its turn comes as a newcomer's
}

void stream_driver::step_handshake() {
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
      count_alpn(failure.what == tls::tls_failure::kind::no_application_protocol);
      return tls_failed(failure);
    }
    case io_status::done:
      return handshake_done();
  }
}

void stream_driver::handshake_done() {
  const auto facts = wire_.tls().facts();
  metrics().tls_handshake(route_, facts.version == "TLSv1.2" ? tls_version::tls_1_2 : tls_version::tls_1_3,
                          facts.resumed);
  count_alpn(false);
  begin_phase(phase::tls);
  tls_by_.reset();
  arm();
  stage_ = stage::secure;
  tls_done();
  read_secure();
}

/// comity_alpn_total counts what direct-TLS peers offered (XEP-0368); STARTTLS has no such choice.
void stream_driver::count_alpn(bool no_overlap) {
  if (role_ == tls_role::accepts && route_.method == method::direct_tls) {
    const auto served = route_.scope == scope::c2s ? alpn_routed::c2s : alpn_routed::s2s;
    metrics().alpn(class_of(wire_.tls().alpn_offered()), no_overlap ? alpn_routed::refused : served);
  }
}

// --- writing and ending ----------------------------------------------------------------------------------------------

void stream_driver::send_bytes(std::string_view bytes, bool apart) {
  show_sent(bytes);
  if (websocket_) {
    wire_.queue().push(websocket::frame(websocket::opcode::text, bytes), apart);
  } else {
    wire_.queue().push(bytes, apart);
  }
  wire_.want_flush();
}

void stream_driver::send_stanza(stanza_ref stanza) {
  if (!try_stanza(stanza)) {
    wire_.queue().drop_unstarted();
    dismiss(stream_condition::resource_constraint, cause::limit, "send queue full");
  }
}

bool stream_driver::try_stanza(const stanza_ref& stanza) {
  if (!wire_.queue().push(stanza)) {
    metrics().send_queue_overflowed(route_);
    return false;
  }
  metrics().stanza_sent(route_, stanza->kind());
  if (loop_->tapped() != nullptr) {
    std::string text;
    stanza->wire(text);
    show_sent(text);
  }
  if (const auto error = stanza->own_error()) {
    metrics().stanza_error_sent(route_.scope, *error);
  }
  wire_.want_flush();
  return true;
}

void stream_driver::write() {
  if (stage_ == stage::handshake || stage_ == stage::over) {
    return;
  }
  const auto before = wire_.bytes_sent();
  auto flushed = wire_.flush();
  if (flushed == wire::flushed::all && answers_ping()) {
    flushed = wire_.flush();
  }
  metrics().bytes_sent(route_, wire_.bytes_sent() - before);
  if (flushed == wire::flushed::gone) {
    return transport_gone();
  }
  if (flushed == wire::flushed::all && stage_ == stage::lingering && (!websocket_ || websocket_->over())) {
    wire_.say_goodbye();
  }
}

/// RFC 6455 §5.5.2: a Ping is answered once all that lies before its answer is out.
bool stream_driver::answers_ping() {
  if (!websocket_ || ended_) {
    return false;
  }
  const auto pong = websocket_->take_pong();
  if (pong) {
    wire_.queue().push(websocket::frame(websocket::opcode::pong, *pong));
  }
  return pong.has_value();
}

void stream_driver::transport_gone() {
  if (!ended_) {
    gone();
  }
  stage_ = stage::over;
}

void stream_driver::end(bool abruptly) {
  ended_ = true;
  const auto unread = std::exchange(unread_, {});
  // Where the peer has closed the WebSocket before the stream, its Close frame is answered all the same.
  if (abruptly && !(websocket_ && websocket_->closed() && stage_ == stage::secure)) {
    stage_ = stage::over;
    return;
  }
  if (websocket_) {
    if (abruptly) {
      wire_.queue().drop_unstarted();
    }
    wire_.queue().push(websocket::close_frame(websocket_->answer()));
    websocket_->skip(unread);
  }
  stage_ = stage::lingering;
  loop_->loop().arm(*this, clock::now() + linger_time_);
  wire_.want_flush();
}

/// RFC 6455 §7.1.1: the connection ends once each side has said Close; then, as without WebSocket, once the peer has
/// ended its side of the transport.
void stream_driver::linger() {
  for (unsigned turn = 0; websocket_ && !websocket_->over(); ++turn) {
    if (turn == reads_a_turn) {
      return read_again_later();
    }
    const auto buffer = loop_->read_buffer();
    const auto got = wire_.read(buffer);
    if (got.status == io_status::want_read || got.status == io_status::want_write) {
      return;
    }
    if (got.status != io_status::done) {
      stage_ = stage::over;
      return;
    }
    websocket_->skip({buffer.data(), got.bytes});
    if (websocket_->over() && wire_.queue().empty()) {
      wire_.say_goodbye();
    }
  }
  if (wire_.drained()) {
    stage_ = stage::over;
  }
}

// --- deadlines -------------------------------------------------------------------------------------------------------

void stream_driver::deadline(std::optional<clock::time_point> by) {
  deadline_ = by;
  arm();
}

void stream_driver::arm() {
  if (ended_) {
    return;
  }
  if (!deadline_ && !tls_by_) {
    return timer_wheel::entry::cancel();
  }
  constexpr auto never = clock::time_point::max();
  loop_->loop().arm(*this, std::min(deadline_.value_or(never), tls_by_.value_or(never)));
}

void stream_driver::expired() {
  loop_->on(id_, [](live_connection& c) {
    auto& self = static_cast<stream_driver&>(c);
    if (self.ended_) {
      self.stage_ = stage::over;  // the peer did not close in time
    } else {
      self.timed_out();
    }
    self.settle();
  });
}

}  // namespace comity::connection
