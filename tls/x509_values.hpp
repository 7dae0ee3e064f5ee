// tls/x509_values.hpp: OpenSSL's certificates as values of ours. Private to tls.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/peer_certificate.hpp"

namespace comity::tls {

struct x509_free {
  void operator()(X509* c) const noexcept { X509_free(c); }
};
using x509_ptr = std::unique_ptr<X509, x509_free>;

struct x509_stack_free {
  void operator()(STACK_OF(X509) * s) const noexcept { sk_X509_pop_free(s, X509_free); }
};
using x509_stack = std::unique_ptr<STACK_OF(X509), x509_stack_free>;

struct peer_credentials::held {
  x509_ptr leaf;
  x509_stack issuers;  // as presented, without the leaf; never null
};

/// References of its own to both; `issuers` may be null, and may begin with the leaf.
[[nodiscard]] peer_credentials hold(X509* leaf, const STACK_OF(X509) * issuers);

/// Of what a context presents, without the leaf; null where there is none.
[[nodiscard]] STACK_OF(X509) * served_issuers(SSL_CTX*);

/// Clamped to what the clock can say: certificates may be valid until the year 9999 (RFC 5280 §4.1.2.5).
[[nodiscard]] std::chrono::system_clock::time_point time_of(const ASN1_TIME*);
/// As RFC 2253 writes it, printable ASCII, cut where it is long.
[[nodiscard]] std::string one_line(const X509_NAME*);
[[nodiscard]] std::string sha256_of(const X509*);  // hex
/// The DER of each, behind one another, and back. Read stops where something is none.
[[nodiscard]] std::string to_der(const STACK_OF(X509) *);
[[nodiscard]] x509_stack from_der(std::string_view);

/// Why a certificate is more than certificate_limits allow, as an issuer or as the leaf; "" where it is not.
[[nodiscard]] std::string excess_of(X509*, bool leaf);
/// Why a public key alone is; a null key is no excess.
[[nodiscard]] std::string excess_of(const EVP_PKEY*);

}  // namespace comity::tls
