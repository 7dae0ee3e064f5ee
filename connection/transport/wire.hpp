// connection/transport/wire.hpp: a TCP connection's bytes, from accept to close: in clear, then under TLS.
//
// Owns the descriptor, its TLS state and what waits to be sent. It decides nothing: the stream that owns it is called
// by the loop when the socket is ready (live_connection::readable, writable), asks the wire for what can be done at
// once, and says what to wait for. Loop thread only. The same for STARTTLS and direct TLS, and for either end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "connection/poller.hpp"
#include "connection/transport/send_queue.hpp"
#include "tls/stream.hpp"

namespace comity::connection {

class loop_connections;

class wire {
public:
  /// Takes over a connected, non-blocking socket of the connection `id` of `loop`.
  wire(loop_connections& loop, std::uint64_t id, int descriptor, std::size_t queue_limit);
  /// The same, with what was set up on that socket before.
  wire(loop_connections& loop, std::uint64_t id, tls::stream stream, std::size_t queue_limit,
       stream_framing framing = stream_framing::tcp);
  ~wire();
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;

  /// Lets go of the socket, which stays open and goes on as it is with another owner; this can only be destroyed then.
  [[nodiscard]] tls::stream release();

  /// Of this loop no more; what it waited for is to be asked for again. Then enter_loop(), on that loop's thread, where
  /// what is queued is flushed.
  void leave_loop();
  void enter_loop(loop_connections& there);

  /// Asks for one call of readable() of this connection, once there is something to read. Asked twice is asked once.
  void wait_readable();

  /// Bytes in clear are looked at before they are taken, so that what follows <starttls/> stays in the kernel, where
  /// nothing but TLS can read it (RFC 6120 §5.4.3.3; THREATS B1). peek() gives what is there, want_read, or closed.
  [[nodiscard]] tls::io_result peek(std::span<char> into);
  /// Takes off the first `count` bytes that were peeked at. False where the socket has failed.
  [[nodiscard]] bool take(std::span<char> scratch, std::size_t count);

  enum class next_bytes : std::uint8_t { none, tls, other, gone };
  /// What stands where a ClientHello is due. A line end before it is skipped: real clients send one (THREATS B1).
  [[nodiscard]] next_bytes before_tls();

  /// Begins TLS as the server, in place of whatever was spoken before; then handshake() until it is done.
  void accept_tls(const tls::server_context&, std::span<const std::string_view> alpn, std::string_view default_domain,
                  tls::client_certificate = tls::client_certificate::not_requested);
  /// The same as the client.
  void connect_tls(const tls::client_context&, const tls::connect_options&);
  /// One step; waits for writability itself where it has to. want_read: wait_readable() is the caller's to call.
  [[nodiscard]] tls::io_result handshake();
  [[nodiscard]] tls::io_result read(std::span<char> into);
  [[nodiscard]] const tls::stream& tls() const noexcept { return tls_; }
  /// The newest session that the server gave since the last call, or nullptr.
  [[nodiscard]] std::shared_ptr<const tls::session> take_session() { return tls_.take_session(); }

  [[nodiscard]] send_queue& queue() noexcept { return queue_; }
  [[nodiscard]] const send_queue& queue() const noexcept { return queue_; }
  enum class flushed : std::uint8_t { all, some, gone };
  /// Writes what is queued; after `some`, writable() of this connection is called when there is room again.
  [[nodiscard]] flushed flush();
  /// Asks the loop to flush this connection at the end of the turn.
  void want_flush();
  void turn_ended() noexcept { flush_wanted_ = false; }
  /// False where nobody asked: there is nothing to do then.
  bool became_readable();
  bool became_writable();

  /// Ends our side: close_notify under TLS (RFC 6120 §4.4, F09), then FIN. Once, after all is flushed.
  void say_goodbye();
  /// Reads and drops; true once the peer has closed its side too.
  [[nodiscard]] bool drained();

  [[nodiscard]] std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }

private:
  /// The descriptor, closed at the end unless let go of.
  class socket {
  public:
    explicit socket(int descriptor) noexcept : descriptor_{descriptor} {}
    ~socket();
    socket(const socket&) = delete;
    socket& operator=(const socket&) = delete;
    void release() noexcept { descriptor_ = -1; }

  private:
    int descriptor_;
  };
  void wait_writable();
  void watch(poller::interest);

  loop_connections* loop_;
  std::uint64_t id_;
  socket socket_;  // closes the descriptor, after TLS has let go of it
  tls::stream tls_;
  send_queue queue_;
  std::uint64_t bytes_sent_ = 0;
  std::uint8_t skipped_ = 0;  // white space before the ClientHello
  poller::interest watched_;  // what the poller looks for; readability stays in it while nothing is to be read
  bool reading_ = false;      // a wait for readability is under way
  bool writing_ = false;
  bool flush_wanted_ = false;
  bool said_goodbye_ = false;
};

}  // namespace comity::connection
