// connection/s2s/peer_evidence.hpp: what a peer's certificate says of it, gathered as the values that trust::decide
// takes. No lookups.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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

/// Holds what one peer presented against one domain after another. What its chain comes to depends on none of them, and
/// its signatures cost more than all else: they are looked at once, and anew where the authorities are others by then,
/// or a date has passed, or after `judged_for`. So a peer that names many domains is no work for us (THREATS D5).
/// Owned by its stream; that loop's thread.
class examiner {
public:
  using clock = std::chrono::system_clock;
  static constexpr std::chrono::seconds judged_for{10};

  /// Of a peer that presented nothing.
  examiner() = default;
  examiner(tls::peer_credentials credentials, tls::peer_role role)
      : credentials_{std::move(credentials)}, role_{role} {}

  [[nodiscard]] const tls::peer_credentials& credentials() const noexcept { return credentials_; }
  /// The peer as `domain` (enforced) at that endpoint. Names accepted are the domain and, where the delegation is
  /// secure, the target and the name that its aliases end in (B11, B12, B19).
  [[nodiscard]] examined examine(std::string_view domain, const endpoint_facts&, required_trust,
                                 const std::shared_ptr<const tls::trust_store>&, clock::time_point now = clock::now());

private:
  struct judgement {
    std::weak_ptr<const tls::trust_store> store;  // what is in force no more is not kept for it
    clock::time_point at;
    trust::chain_verdict verdict;
    std::string text;
    std::optional<clock::time_point> expires;
  };
  [[nodiscard]] const judgement& judge_chain(const std::shared_ptr<const tls::trust_store>&, clock::time_point now);

  tls::peer_credentials credentials_;
  tls::peer_role role_ = tls::peer_role::server;
  std::optional<judgement> judged_;
};

/// The cause of failures that a fault of the DNS becomes; it must be one.
[[nodiscard]] cause cause_of(dns::lookup_fault) noexcept;

}  // namespace comity::connection
