// tests/bench/wire/tls_socket.hpp: one TLS connection at its barest: one read, one decrypt, one encrypt, one write.
//
// Owns the descriptor. Where OpenSSL holds nothing more, a second read that would only say EAGAIN is spared; what is
// queued goes out in one record where it fits. One thread.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct ssl_st;
struct ssl_ctx_st;

namespace comity::bench {

struct context_free {
  void operator()(ssl_ctx_st*) const noexcept;
};
using tls_context = std::unique_ptr<ssl_ctx_st, context_free>;

/// TLS 1.3, no verification: this is loopback. The server's sends one ticket.
[[nodiscard]] tls_context client_context();
[[nodiscard]] tls_context server_context(const std::string& certificate, const std::string& key);

class tls_socket {
public:
  enum class status { done, again, closed };

  tls_socket(ssl_ctx_st* context, int descriptor, bool server);
  ~tls_socket();
  tls_socket(tls_socket&&) noexcept;
  tls_socket& operator=(tls_socket&&) = delete;

  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }
  [[nodiscard]] ssl_st* ssl() const noexcept { return ssl_; }

  [[nodiscard]] status handshake();
  /// One record's bytes, into `into`; more() says whether another call can give more before the socket is readable.
  [[nodiscard]] status read(std::span<char> into, std::size_t& count);
  [[nodiscard]] bool more() const noexcept;
  /// Writes it, or keeps what does not fit for flush(). False where the connection is gone.
  bool write(std::string_view bytes);
  bool flush();
  [[nodiscard]] bool wants_write() const noexcept { return !unsent_.empty() || handshake_writes_; }
  void close_notify();

private:
  int descriptor_;
  ssl_st* ssl_;
  std::string unsent_;
  bool handshake_writes_ = false;
};

}  // namespace comity::bench
