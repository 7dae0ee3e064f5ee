// connection/s2s/trust.hpp: the one decision about who a server is, for both directions and both methods.
//
// Pure: what was found out comes in as values, a verdict goes out. Nothing is trusted that no rule here proves, and
// what proves nothing is refused. Rules: RFC 6120 §13.7.2, RFC 7671, RFC 7673, RFC 7711, RFC 7712, XEP-0220; THREATS
// D3, E5.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include "connection/vocabulary.hpp"

namespace comity::connection {

/// The least proof that the operator wants of a peer. The first is the strictest, and what a default-made policy asks.
enum class required_trust : std::uint8_t {
  dane,         // a DANE match and nothing else
  certificate,  // a certificate: by DANE, PKIX or POSH
  dialback,     // one of these, or else dialback under TLS
};
inline constexpr std::size_t required_trust_count = 3;
/// "dane" and so on, as in the configuration.
[[nodiscard]] std::string_view to_string(required_trust) noexcept;

/// What proved a peer; the label of comity_s2s_verifications_total. `none` is no label: nothing did.
enum class proof : std::uint8_t { none, dane, pkix, posh, dialback };
inline constexpr std::size_t proof_count = 5;
[[nodiscard]] std::string_view to_string(proof) noexcept;

}  // namespace comity::connection

namespace comity::connection::trust {

/// DNSSEC status of one step of discovery that succeeded. `none`: there was no such step, as with no SRV record at all,
/// an address literal, or an endpoint from the configuration.
enum class lookup_security : std::uint8_t { none, insecure, secure };

/// What the TLSA records of the endpoint said about the certificate, name rules of their usage included (RFC 7671 §5).
enum class tlsa_outcome : std::uint8_t {
  none,        // no record, or not asked for
  insecure,    // records that nobody signed
  matched,     // a usable record fits
  mismatched,  // usable records, and none fits
  unusable,    // records, and none is usable (RFC 7671 §10.3)
  failed,      // bogus, SERVFAIL, timeout: `lookup_failure` says which
};

/// What PKIX says of the chain (RFC 5280), names apart. `missing`: the peer showed no certificate.
enum class chain_verdict : std::uint8_t { missing, trusted, expired, not_yet_valid, revoked, untrusted };

/// Which reference identifier the certificate has (RFC 6125 §6): the peer's own domain, or only the target of its SRV
/// record, which counts where the delegation is secure (RFC 7673 §4.1).
enum class name_match : std::uint8_t { none, target, service };

enum class posh_outcome : std::uint8_t { not_asked, none, matched, mismatched };
enum class dialback_outcome : std::uint8_t { not_done, valid, invalid };

struct evidence {
  required_trust required = required_trust::dane;
  bool encrypted = false;
  lookup_security service = lookup_security::none;  // the SRV step
  lookup_security address = lookup_security::none;  // the address step
  tlsa_outcome tlsa = tlsa_outcome::none;
  cause lookup_failure = cause::dns_servfail;  // of the TLSA lookup; looked at where it failed
  chain_verdict chain = chain_verdict::missing;
  name_match name = name_match::none;
  posh_outcome posh = posh_outcome::not_asked;
  dialback_outcome dialback = dialback_outcome::not_done;
};

struct accepted {
  proof by = proof::none;
  friend bool operator==(const accepted&, const accepted&) = default;
};
/// Nothing is decided: look for the peer's POSH document and decide again with what it says.
struct needs_posh {
  friend bool operator==(const needs_posh&, const needs_posh&) = default;
};
/// The certificate proves nothing, and the policy takes dialback in its place.
struct needs_dialback {
  friend bool operator==(const needs_dialback&, const needs_dialback&) = default;
};
struct refused {
  cause why = cause::internal;
  friend bool operator==(const refused&, const refused&) = default;
};

struct verdict {
  std::variant<refused, accepted, needs_posh, needs_dialback> is;
  std::string_view reason;  // a literal: one clause for the operator (`s2s explain`, logs)

  [[nodiscard]] bool accepted() const noexcept { return std::holds_alternative<trust::accepted>(is); }
  /// The proof of an accepted peer, `none` for all others.
  [[nodiscard]] proof by() const noexcept;
};

[[nodiscard]] verdict decide(const evidence&) noexcept;

}  // namespace comity::connection::trust
