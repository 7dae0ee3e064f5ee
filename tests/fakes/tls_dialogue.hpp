// tests/fakes/tls_dialogue.hpp: our stream on one end of a socket pair, OpenSSL's client on the other.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "fakes/folder.hpp"
#include "fakes/quiet_socket.hpp"
#include "tls/context.hpp"
#include "tls/stream.hpp"

namespace comity::fakes {

/// An OpenSSL client as lax as OpenSSL makes them: what is refused is refused by the server.
class tls_client {
public:
  tls_client() : context_{SSL_CTX_new(TLS_client_method()), &SSL_CTX_free} {
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_session_cache_mode(context_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context_.get(), [](SSL* ssl, SSL_SESSION* session) {
      auto* self = static_cast<tls_client*>(SSL_get_app_data(ssl));
      self->session_.reset(session);
      return 1;
    });
  }
  [[nodiscard]] SSL_CTX* context() { return context_.get(); }
  [[nodiscard]] SSL* ssl() { return ssl_.get(); }
  /// The last session that a server gave.
  [[nodiscard]] SSL_SESSION* session() { return session_.get(); }
  /// The reason of the first error since begin(), 0 for none.
  [[nodiscard]] int error() const { return error_; }

  void begin(int descriptor, const char* name = nullptr) {
    if (ssl_) {
      SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else its session would be spoilt
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_app_data(ssl_.get(), this);
    attach_socket(ssl_.get(), descriptor);
    if (name != nullptr) {
      SSL_set_tlsext_host_name(ssl_.get(), name);
    }
    error_ = 0;
  }
  void step() {
    ERR_clear_error();
    if (SSL_connect(ssl_.get()) != 1 && ERR_peek_error() != 0 && error_ == 0) {
      error_ = ERR_GET_REASON(ERR_peek_error());
    }
  }
  /// One read, which also takes in tickets and alerts.
  std::string read() {
    ERR_clear_error();
    std::array<char, 4096> into{};
    const int got = SSL_read(ssl_.get(), into.data(), into.size());
    if (got <= 0 && ERR_peek_error() != 0 && error_ == 0) {
      error_ = ERR_GET_REASON(ERR_peek_error());
    }
    return got > 0 ? std::string{into.data(), static_cast<std::size_t>(got)} : std::string{};
  }
  int write(std::string_view bytes) {
    ERR_clear_error();
    return SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
  }
  /// Common names of what the server sent, leaf first.
  [[nodiscard]] std::vector<std::string> chain() {
    std::vector<std::string> names;
    auto* all = SSL_get_peer_cert_chain(ssl_.get());
    for (int i = 0; i < sk_X509_num(all); ++i) {
      std::array<char, 64> name{};
      X509_NAME_get_text_by_NID(X509_get_subject_name(sk_X509_value(all, i)), NID_commonName, name.data(), name.size());
      names.emplace_back(name.data());
    }
    return names;
  }

private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> session_{nullptr, &SSL_SESSION_free};
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, &SSL_free};
  int error_ = 0;
};

/// A connection between both.
class tls_dialogue {
public:
  tls_dialogue() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends_.data()) != 0) {
      throw std::runtime_error{"no socket pair"};
    }
    server = tls::stream{ends_[0]};
  }
  ~tls_dialogue() {
    server = tls::stream{-1};
    ::close(ends_[0]);
    hang_up();
  }
  tls_dialogue(const tls_dialogue&) = delete;
  tls_dialogue& operator=(const tls_dialogue&) = delete;

  [[nodiscard]] int client_end() const { return ends_[1]; }
  void hang_up() {
    if (ends_[1] >= 0) {
      ::close(ends_[1]);
      ends_[1] = -1;
    }
  }
  /// Steps both ends until the server has its answer, and the client then once more, for an alert or a ticket.
  tls::io_result shake(tls_client& client) {
    tls::io_result r{tls::io_status::want_read, 0};
    for (int i = 0; i < 20 && r.status == tls::io_status::want_read; ++i) {
      client.step();
      r = server.handshake();
    }
    client.step();
    if (r.status == tls::io_status::done) {
      (void)client.read();
    }
    return r;
  }
  /// The whole of it: `name` as SNI, nullptr for none.
  tls::io_result connect(const tls::server_context& context, tls_client& client, const char* name = nullptr,
                         std::string_view default_domain = {}) {
    static constexpr std::array<std::string_view, 1> xmpp_client{"xmpp-client"};
    server.accept(context, xmpp_client, default_domain);
    client.begin(client_end(), name);
    return shake(client);
  }
  tls::io_result read() {
    const auto r = server.read(into_);
    got = {into_.data(), r.bytes};
    return r;
  }

  tls::stream server{-1};
  std::string got;  // by the last read()

private:
  std::array<int, 2> ends_{-1, -1};
  std::array<char, 4096> into_{};
};

}  // namespace comity::fakes
