// tls/issue.hpp: makes certificates: an authority of one's own, and what it signs for a host. For setting a server up
// where no public authority is at hand.
//
// Keys are made by the system's generator, EC on P-256. Any thread. Failures of the library itself throw
// std::runtime_error.
#pragma once

#include <chrono>
#include <expected>
#include <string>

#include "tls/secret.hpp"

namespace comity::tls {

/// PEM, both.
struct pem_pair {
  std::string certificate;
  secret private_key;
};

/// An authority of that name (CN), which may sign certificates of hosts and no further authorities (RFC 5280 §4.2.1.9).
[[nodiscard]] pem_pair make_authority(const std::string& name, std::chrono::days life);

/// A certificate for `domain` (A-labels) as DNS-ID, good for both ends of a connection (G13). The error is one line:
/// the authority's PEM cannot be read, or does not belong together.
[[nodiscard]] std::expected<pem_pair, std::string> issue(const pem_pair& authority, const std::string& domain,
                                                         std::chrono::days life);

}  // namespace comity::tls
