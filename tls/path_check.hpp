// tls/path_check.hpp: OpenSSL's path validation with our settings, for chain and dane. Private to tls.
#pragma once

#include <openssl/ssl.h>

#include "tls/chain.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

struct x509_store_free {
  void operator()(X509_STORE* s) const noexcept { X509_STORE_free(s); }
};

struct trust_store::state {
  std::unique_ptr<X509_STORE, x509_store_free> store;
  bool revocations = false;
};

/// Where `dane` is given, it decides what is trusted along with the store, and what matched is left
/// in it. `mismatch` tells a failure for want of any match from all others.
struct path_result {
  chain_verdict verdict;
  bool mismatch = false;
};
[[nodiscard]] path_result check_path(const peer_credentials&, const trust_store&, const judged_as&,
                                     SSL_DANE* dane = nullptr);

/// RFC 6120 §13.7.1.1: an authority's certificate is nobody's own (G01).
[[nodiscard]] bool is_authority(const peer_credentials&);

}  // namespace comity::tls
