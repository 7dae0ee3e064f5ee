// tls/policy.hpp: what both ends of TLS hold to (RFC 9325). Private to tls.
#pragma once

#include <openssl/ssl.h>

#include <string_view>

namespace comity::tls {

/// Versions from TLS 1.2 up, suites, groups, no compression, no renegotiation, no 0-RTT, no session cache of OpenSSL's,
/// and the bounds on what a peer presents; certificates within them are accepted, to be judged afterwards. Throws
/// std::runtime_error where OpenSSL refuses.
void apply_policy(SSL_CTX*);

/// RFC 6066 §3: an address is no host name, and is not sent by SNI nor looked for by it.
[[nodiscard]] bool is_ip_literal(std::string_view name) noexcept;

}  // namespace comity::tls
