#include "tls/policy.hpp"

#include <algorithm>
#include <stdexcept>

#include "tls/connection_state.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

namespace {

// RFC 9325 §4.2: forward secrecy and authenticated encryption, nothing else, in TLS 1.2.
constexpr const char* suites_1_2 =
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256";
constexpr const char* groups = "X25519:P-256:P-384:P-521";
constexpr std::size_t ticket_bytes = std::size_t{16} * 1024;  // of certificates that a ticket of ours may hold

/// In place of OpenSSL's verification: who the peer means to be is known later. Before anything is computed with what
/// it presented, that is bounded (THREATS B7).
int bound_peer_certificates(X509_STORE_CTX* verification) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  const auto* all = X509_STORE_CTX_get0_untrusted(verification);  // with the leaf in front
  const int issuers = sk_X509_num(all) - 1;
  std::string excess;
  std::size_t bytes = 0;
  if (issuers > static_cast<int>(certificate_limits::issuers)) {
    excess = "a chain of " + std::to_string(issuers) + " issuers";
  }
  for (int i = 0; i <= issuers && excess.empty(); ++i) {
    excess = excess_of(sk_X509_value(all, i), i == 0);
    bytes += static_cast<std::size_t>(std::max(0, i2d_X509(sk_X509_value(all, i), nullptr)));
  }
  if (!excess.empty()) {
    state_of(ssl)->peer->excess = "the peer presents " + excess;
    X509_STORE_CTX_set_error(verification, X509_V_ERR_CERT_REJECTED);  // alert bad_certificate
    return 0;
  }
  if (bytes > ticket_bytes) {
    SSL_set_num_tickets(ssl, 0);  // there would be no room for them in one, and without them it could not be resumed
  }
  X509_STORE_CTX_set_error(verification, X509_V_OK);
  return 1;
}

int on_peer_certificates(X509_STORE_CTX* verification, void* /*argument*/) {
  X509_STORE_CTX_set_error(verification, X509_V_ERR_OUT_OF_MEM);
  return contained(0, [verification] { return bound_peer_certificates(verification); });
}

}  // namespace

bool is_ip_literal(std::string_view name) noexcept {
  return name.find(':') != std::string_view::npos ||
         (!name.empty() && name.find_first_not_of("0123456789.") == std::string_view::npos);
}

void apply_policy(SSL_CTX* c) {
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(c, TLS1_3_VERSION);
  SSL_CTX_set_security_level(c, 2);  // RFC 9325 §4.5: 112 bits and more
  SSL_CTX_set_options(c, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_read_ahead(c, 1);  // a record's head and body in one read, and whatever has come behind it
  // One read handles one record that carries no data, so that a flood of them is seen while it comes (THREATS B4).
  SSL_CTX_clear_mode(c, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);  // nothing of ours grows (THREATS B6)
  SSL_CTX_set_max_early_data(c, 0);                       // F08: no 0-RTT
  SSL_CTX_set_max_cert_list(c, static_cast<long>(certificate_limits::bytes));
  SSL_CTX_set_cert_verify_callback(c, on_peer_certificates, nullptr);
  if (SSL_CTX_set_cipher_list(c, suites_1_2) != 1 || SSL_CTX_set1_groups_list(c, groups) != 1) {
    throw std::runtime_error{"OpenSSL refuses the TLS policy"};
  }
}

}  // namespace comity::tls
