#include "tls/client_context.hpp"

#include <openssl/ssl.h>

#include <stdexcept>

#include "tls/client_state.hpp"
#include "tls/connection_state.hpp"
#include "tls/policy.hpp"

namespace comity::tls {

namespace {

/// A copy, since OpenSSL spoils its own where a connection ends without close_notify.
int on_session(SSL* ssl, SSL_SESSION* given) {
  state_of(ssl)->peer->given.reset(SSL_SESSION_dup(given));
  return 0;  // we keep no reference to theirs
}

}  // namespace

client_context::client_context(const server_context& ours)
    : state_{std::make_unique<state>(ours, context_ptr{SSL_CTX_new(TLS_client_method())})} {
  auto* c = state_->context.get();
  if (c == nullptr) {
    throw std::runtime_error{"OpenSSL cannot make a context"};
  }
  apply_policy(c);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(c, on_session);
}

client_context::~client_context() = default;

}  // namespace comity::tls
