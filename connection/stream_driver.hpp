// connection/stream_driver.hpp: what every XML stream has in common, whoever speaks on it and whichever end this is:
// bytes, STARTTLS or direct TLS, framing, deadlines, the closing handshake, and its numbers.
//
// A stream over WebSocket differs in how its parts lie on the bytes and in how it ends, no more: the method chooses.
//
// The derived stream holds the conversation. It is given the parts of the peer's stream, one at a time (part_taker),
// and what becomes of TLS, of time and of the transport; it says what to send, when TLS begins and when all is over.
// Owned by its loop's loop_connections and living on that loop; every call is that loop's thread. What the loop calls
// (readable, writable, flush, the deadline) ends in settle(), which may remove the stream at the end of the turn; a
// derived stream that is called from elsewhere (an answer, a dismissal) ends that call with advance() or settle() too.
//
// An idle stream costs its descriptor, OpenSSL's own state and a few hundred bytes.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "connection/connection_info.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "connection/memory_reserve.hpp"
#include "connection/timer_wheel.hpp"
#include "connection/transport/part_reader.hpp"
#include "connection/transport/token_bucket.hpp"
#include "connection/transport/websocket_reader.hpp"
#include "connection/transport/wire.hpp"

namespace comity::connection {

/// Which side of TLS a stream is; the side of the stream itself goes with it (RFC 6120 §5.3.3).
enum class tls_role : std::uint8_t { accepts, connects };

class stream_driver : public live_connection, protected part_taker, private timer_wheel::entry {
public:
  using clock = timer_wheel::clock;

  /// What a stream begins with. The references outlive it.
  struct setup {
    loop_connections& loop;
    log::sink& log;
    int descriptor = -1;  // a connected, non-blocking socket; the stream's own from now on
    std::string address;  // of the peer, for logs and the operator
    connection::route route;
    tls_role role = tls_role::accepts;
    xml::framer_limits limits;  // of what the peer sends
    std::size_t send_queue_bytes = 0;
    std::uint64_t bytes_per_second = 0;           // of what the peer sends; 0: as much as comes
    std::chrono::milliseconds tls_timeout{};      // from here, or from <proceed/>, to a finished handshake
    std::chrono::milliseconds linger_time{5000};  // after our last byte, for the peer to close (RFC 6120 §4.4)
    clock::time_point opened_at = clock::now();
    std::optional<tls::stream> tls = std::nullopt;  // established already, where somebody had to look inside, and on
                                                    // WebSocket; else open() begins it
    std::string unread = {};                        // what was looked at
  };

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }

  // live_connection
  void readable() final;
  void writable() final;
  void take_turn() final;
  void flush() final;
  /// RFC 6120 §4.9.3.17 (THREATS X13). Who is not known yet is let go without a word, which costs nothing.
  void out_of_memory() noexcept final;
  /// Between two elements, when nothing is asked of the server and TLS stands.
  [[nodiscard]] bool leave_loop() override;
  void enter_loop(loop_connections& there) override;

protected:
  explicit stream_driver(setup);

  // --- what the derived stream is told -------------------------------------------------------------------------------

  /// The peer has proven who it is.
  [[nodiscard]] virtual bool peer_known() const noexcept = 0;
  /// True while an answer is awaited: no part is given meanwhile, and the peer's bytes stay where they are.
  [[nodiscard]] virtual bool paused() const = 0;
  /// Calls accept_tls() or its counterpart on the wire: which certificate, which protocols, which name.
  virtual void begin_tls(wire&) = 0;
  /// TLS stands: wire().tls() has its facts. Parts follow.
  virtual void tls_done() = 0;
  virtual void tls_failed(const tls::tls_failure&) = 0;
  /// upgrade() was asked for, but what the peer sent behind it is no TLS. Nothing of it was read, nothing sent.
  virtual void tls_refused() {}
  /// The deadline, or the time for TLS, has passed.
  virtual void timed_out() = 0;
  /// The transport ended without a closing tag; nothing can be sent any more.
  virtual void gone() = 0;
  /// It is about to end for lack of memory, through no doing of the peer's.
  virtual void cut_short() noexcept {}
  /// A phase of setting it up is over.
  virtual void phase_ended(phase, clock::duration) {}

  // --- what it does --------------------------------------------------------------------------------------------------

  /// Begins: on direct TLS with the handshake, or behind it where it is over. Once, after the stream was added to its
  /// loop. A WebSocket without TLS is one that its proxy has decrypted.
  void open();
  /// Queues an element of ours, a header, or the end of our stream: of WebSocket, one message.
  /// `apart`: what follows comes in a TLS record of its own.
  void send_bytes(std::string_view bytes, bool apart = false);
  /// Queues a stanza. Where the reader is too slow for it (THREATS F4), what it has not begun to get is given up, and
  /// so is the stream: dismiss(resource_constraint).
  void send_stanza(stanza_ref);
  /// Queues a stanza. False, and nothing of it queued, where the reader is too slow; what then is the caller's to say.
  [[nodiscard]] bool try_stanza(const stanza_ref&);
  /// Takes back the stanzas of which the peer has not got a byte.
  [[nodiscard]] std::vector<stanza_ref> take_unwritten() { return wire_.queue().take_unstarted(); }
  [[nodiscard]] std::shared_ptr<const tls::session> take_session() { return wire_.take_session(); }
  /// TLS comes next (RFC 6120 §5.4.3): called while the element that leads to it is being taken. `last_words` go out in
  /// clear before it: <proceed/> of the side that accepts, nothing of the one that connects.
  void upgrade(std::string last_words);
  /// A new stream on the same bytes (RFC 6120 §4.3.3).
  void restart() { reader_.restart(); }
  void limits(xml::framer_limits l) noexcept { reader_.limits(l); }
  /// Absolute: no byte of the peer moves it (THREATS B5, G2). nullopt: none.
  void deadline(std::optional<clock::time_point>);
  /// The conversation is over: what is queued is flushed, our side closed, and the peer has a few seconds to close its
  /// own (RFC 6120 §4.4). `abruptly`: nothing can be said any more.
  void end(bool abruptly);

  /// Does all that can be done now, then settles.
  void advance();
  /// Says what to wait for next, or that this stream is to go.
  void settle();

  [[nodiscard]] bool ended() const noexcept { return ended_; }
  [[nodiscard]] const connection::route& route() const noexcept { return route_; }
  [[nodiscard]] const connection::wire& wire() const noexcept { return wire_; }
  [[nodiscard]] session_ref ref() const noexcept { return {loop_->loop().index(), id_}; }
  [[nodiscard]] loop_connections& loop() const noexcept { return *loop_; }
  [[nodiscard]] metrics_cell& metrics() const noexcept { return loop_->metrics(); }
  [[nodiscard]] const std::string& address() const noexcept { return address_; }
  [[nodiscard]] clock::time_point opened_at() const noexcept { return opened_at_; }
  [[nodiscard]] std::uint64_t bytes_received() const noexcept { return bytes_received_; }
  /// All of an operator's row but who the peer is and how that was proven.
  [[nodiscard]] connection_info describe() const;
  /// The phase `ended` took until now; the next one begins. Gives the time it is.
  clock::time_point begin_phase(phase ended);
  [[nodiscard]] clock::time_point phase_began() const noexcept { return phase_began_; }

  /// One line of this connection; `what` is a literal.
  template <typename... Fields>
  void log(log::level level, std::string_view what, Fields... fields) const noexcept {
    if (log_.enabled(level)) {
      log_.write(level, what,
                 {log::field{"conn", static_cast<std::int64_t>(id_)}, log::field{"address", address_},
                  log::field{"method", to_string(route_.method)}, fields...});
    }
  }

private:
  enum class stage : std::uint8_t {
    clear,      // XML in clear, before STARTTLS
    prelude,    // <proceed/> is out; the ClientHello is awaited
    handshake,  // TLS handshake
    secure,     // XML under TLS, or where none is to come
    lingering,  // our closing tag, or Close frame, is out; what still comes is dropped until the peer closes
    over,       // to be removed
  };

  class watched_parts;

  /// Keeps the peer to a rate (L09): while it is armed nothing is read, and TCP makes the peer wait.
  class shaper final : public timer_wheel::entry {
  public:
    shaper(stream_driver& shaped, std::uint64_t bytes_per_second)
        : shaped_{shaped}, bucket_{bytes_per_second, clock::now()} {}
    /// How much may be read now; where that is nothing, the stream advances as soon as it is something.
    [[nodiscard]] std::uint64_t allowance();
    void took(std::size_t bytes) { bucket_.take(bytes, clock::now()); }

  private:
    void expired() override;
    stream_driver& shaped_;
    token_bucket bucket_;
  };

  [[nodiscard]] bool takes_parts() const final;
  void expired() final;

  [[nodiscard]] memory_policy while_read() const noexcept;
  void read_clear();
  void read_secure();
  void read_again_later();
  [[nodiscard]] std::span<char> may_read(std::span<char> buffer);
  std::size_t feed(std::string_view bytes);
  std::size_t feed(std::string_view bytes, part_taker&);
  /// For whoever looks on.
  void show_sent(std::string_view xml) const {
    if (auto* tap = loop_->tapped()) {
      tap->part(info(), trace::way::out, xml);
    }
  }
  void count_received(std::size_t bytes);
  void upgrade_if_due();
  void expect_client_hello();
  void start_handshake();
  void step_handshake();
  void handshake_done();
  void count_alpn(bool no_overlap);
  void write();
  void transport_gone();
  void linger();
  [[nodiscard]] bool answers_ping();
  void arm();

  loop_connections* loop_;
  log::sink& log_;
  std::uint64_t id_;
  connection::wire wire_;
  std::string address_;
  connection::route route_;
  tls_role role_;
  stage stage_ = stage::clear;
  bool again_ = false;              // another turn of reading is scheduled
  bool ended_ = false;              // end() was called
  std::unique_ptr<shaper> shaper_;  // null: as much is read as comes
  part_reader reader_;
  std::unique_ptr<websocket_reader> websocket_;  // null: the parts lie in the bytes themselves
  std::string unread_;                           // decrypted, but not to be looked at before an answer came
  std::optional<std::string> last_words_;        // upgrade() was called, and its element is not yet off the socket
  std::chrono::milliseconds tls_timeout_, linger_time_;
  clock::time_point opened_at_, phase_began_;
  std::optional<clock::time_point> deadline_, tls_by_;
  std::uint64_t bytes_received_ = 0;
};

}  // namespace comity::connection
