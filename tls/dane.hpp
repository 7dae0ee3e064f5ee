// tls/dane.hpp: whether a peer's certificate is the one its TLSA records announce (RFC 6698, RFC 7671, RFC 7673).
//
// Judged after the handshake, for peers that we reached and for peers that reached us. The records given are those of a
// secure answer: whoever asks has seen to that (B01-B10). Any thread; bounded like chain.hpp, and by
// tlsa_records_looked_at.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "tls/chain.hpp"
#include "tls/identity.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::dns {
struct tlsa_record;
}

namespace comity::tls {

/// Of one RRset; a peer's zone may hold more, which then do not match.
inline constexpr std::size_t tlsa_records_looked_at = 32;

enum class dane_result : std::uint8_t {
  matched,
  no_records,         // none were given
  unusable,           // there are records, all of a usage, selector, matching type or length that we do not know (B16)
  mismatch,           // no usable record names the certificate or an issuer of it
  name_mismatch,      // one does, but the certificate is not for a reference identity (usages 0-2, B14)
  certificate_wrong,  // one may, but the path to it is broken, expired or untrusted: `problem` says how (usages 0-2)
  missing,            // the peer presented no certificate
};

struct dane_verdict {
  dane_result result = dane_result::mismatch;
  chain_problem problem = chain_problem::none;  // of certificate_wrong
  std::string text;                             // one line: the record that matched, "3 1 1", or what is wrong
  std::optional<std::uint8_t> usage;            // of the record that matched
  identity_match name;                          // by which the certificate is the peer's; none for usage 3 (B13)
  /// As chain_verdict's; none for usage 3, which knows no dates (RFC 7671 §5.1).
  std::optional<std::chrono::system_clock::time_point> expires;
  [[nodiscard]] bool ok() const noexcept { return result == dane_result::matched; }
};

/// `names` are the reference identities of B11 and B12. The store counts for usages 0 and 1 alone.
[[nodiscard]] dane_verdict judge_dane(const peer_credentials&, std::span<const dns::tlsa_record>,
                                      std::span<const reference_identity> names, const trust_store&, const judged_as&);

/// Whether a record's fields and length are of those that we know (RFC 7671 §4, §10.3).
[[nodiscard]] bool usable(const dns::tlsa_record&);

/// What a TLSA record of our own is to hold for the leaf: selector 0 certificate, 1 its public key; matching 0 all of
/// it, 1 SHA2-256, 2 SHA2-512 (RFC 6698 §2.1).
[[nodiscard]] std::string association_data(const peer_credentials&, std::uint8_t selector, std::uint8_t matching);

}  // namespace comity::tls
