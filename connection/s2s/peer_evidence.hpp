// connection/s2s/peer_evidence.hpp: what a peer's certificate says of it, gathered as the values that trust::decide
// takes. Pure but for the chain's signatures; no lookups.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connection/s2s/trust.hpp"
#include "dns/endpoint_lookup.hpp"
#include "dns/service_lookup.hpp"
#include "tls/chain.hpp"
#include "tls/identity.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::connection {

/// One endpoint of the peer's service as DNS has it. Default-made: nothing is known of any.
struct endpoint_facts {
  std::string host;                                // of the target, A-labels
  dns::security delegation = dns::security::none;  // of the SRV answer that names the host
  dns::security addresses = dns::security::none;
  dns::tlsa_outcome tlsa_outcome = dns::tlsa_outcome::none;
  dns::lookup_fault tlsa_fault = dns::lookup_fault::none;  // of tlsa_outcome::failed
  std::vector<dns::tlsa_record> tlsa;
  std::string tlsa_base;
};
[[nodiscard]] endpoint_facts facts_of(const dns::target&, const dns::endpoint_addresses&);

/// The evidence, and what goes with it for people and for later.
struct examined {
  trust::evidence evidence;
  std::string text;  // what the certificate failed at, or the record that it matched; "" where there is nothing to say
  /// When the certificate is good no longer (G12).
  std::optional<std::chrono::system_clock::time_point> expires;
};

/// Holds the credentials against `domain` (enforced) at that endpoint. Names accepted are the domain and, where the
/// delegation is secure, the target and the name that its aliases end in (B11, B12, B19).
[[nodiscard]] examined examine(const tls::peer_credentials&, std::string_view domain, const endpoint_facts&,
                               required_trust, const tls::trust_store&, tls::peer_role);

/// The cause of failures that a fault of the DNS becomes; it must be one.
[[nodiscard]] cause cause_of(dns::lookup_fault) noexcept;

}  // namespace comity::connection
