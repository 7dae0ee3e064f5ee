#include "connection/stream_driver.hpp"

#include <utility>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/stanza.hpp"

namespace comity::connection {

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
  if (!peer_known()) {
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

void stream_driver::take_turn() {
  const auto policy = while_read();
  again_ = false;
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
  cut_short();
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
