#include "bench/wire/tls_socket.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

#include <stdexcept>
#include <utility>

namespace comity::bench {

namespace {

tls_context make(const SSL_METHOD* method) {
  tls_context made{SSL_CTX_new(method)};
  if (!made) {
    throw std::runtime_error{"OpenSSL cannot make a context"};
  }
  SSL_CTX_set_min_proto_version(made.get(), TLS1_3_VERSION);
  SSL_CTX_set_mode(made.get(),
                   SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_clear_mode(made.get(), SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_read_ahead(made.get(), 1);  // a record's head and body in one read
  return made;
}

}  // namespace

void context_free::operator()(ssl_ctx_st* c) const noexcept {
  SSL_CTX_free(c);
}

tls_context client_context() {
  auto made = make(TLS_client_method());
  SSL_CTX_set_verify(made.get(), SSL_VERIFY_NONE, nullptr);
  return made;
}

tls_context server_context(const std::string& certificate, const std::string& key) {
  auto made = make(TLS_server_method());
  if (SSL_CTX_use_certificate_chain_file(made.get(), certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(made.get(), key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error{"no certificate and key in " + certificate + " and " + key};
  }
  SSL_CTX_set_num_tickets(made.get(), 1);
  SSL_CTX_set_session_cache_mode(made.get(), SSL_SESS_CACHE_OFF);
  return made;
}

tls_socket::tls_socket(ssl_ctx_st* context, int descriptor, bool server)
    : descriptor_{descriptor}, ssl_{SSL_new(context)} {
  if (ssl_ == nullptr || SSL_set_fd(ssl_, descriptor) != 1) {
    throw std::runtime_error{"OpenSSL cannot make a connection"};
  }
  if (server) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
  }
}

tls_socket::~tls_socket() {
  SSL_free(ssl_);
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

tls_socket::tls_socket(tls_socket&& other) noexcept
    : descriptor_{std::exchange(other.descriptor_, -1)},
      ssl_{std::exchange(other.ssl_, nullptr)},
      unsent_{std::move(other.unsent_)},
      handshake_writes_{other.handshake_writes_} {
}

tls_socket::status tls_socket::handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  const int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_, done);
  handshake_writes_ = why == SSL_ERROR_WANT_WRITE;
  return done == 1                                                   ? status::done
         : why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? status::again
                                                                     : status::closed;
}

tls_socket::status tls_socket::read(std::span<char> into, std::size_t& count) {
  ERR_clear_error();
  if (SSL_read_ex(ssl_, into.data(), into.size(), &count) == 1) {
    return status::done;
  }
  const int why = SSL_get_error(ssl_, 0);
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? status::again : status::closed;
}

bool tls_socket::more() const noexcept {
  return SSL_has_pending(ssl_) == 1;
}

bool tls_socket::write(std::string_view bytes) {
  if (!unsent_.empty()) {
    unsent_ += bytes;
    return true;
  }
  ERR_clear_error();
  while (!bytes.empty()) {
    std::size_t written = 0;
    if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) != 1) {
      if (SSL_get_error(ssl_, 0) != SSL_ERROR_WANT_WRITE) {
        return false;
      }
      unsent_ = bytes;
      return true;
    }
    bytes.remove_prefix(written);
  }
  return true;
}

bool tls_socket::flush() {
  const auto waiting = std::exchange(unsent_, {});
  return write(waiting);
}

void tls_socket::close_notify() {
  ERR_clear_error();
  SSL_shutdown(ssl_);
}

}  // namespace comity::bench
