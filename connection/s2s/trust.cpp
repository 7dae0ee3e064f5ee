#include "connection/s2s/trust.hpp"

#include <utility>

namespace comity::connection {

std::string_view to_string(required_trust r) noexcept {
  static constexpr std::array<std::string_view, required_trust_count> names{"dane", "certificate", "dialback"};
  return names.at(std::to_underlying(r));
}

std::string_view to_string(proof p) noexcept {
  static constexpr std::array<std::string_view, proof_count> names{"none", "dane", "pkix", "posh", "dialback"};
  return names.at(std::to_underlying(p));
}

}  // namespace comity::connection

namespace comity::connection::trust {

namespace {

/// RFC 7673 §3.1, §3.2 (B03, B05): TLSA records count only where the way to them is signed. Without an SRV record, or
/// with an endpoint from the configuration, there is no step before the addresses that could have been forged.
tlsa_outcome what_counts(const evidence& e) noexcept {
  const bool signed_way = e.service != lookup_security::insecure && e.address == lookup_security::secure;
  return signed_way ? e.tlsa : tlsa_outcome::none;
}

/// RFC 7673 §4.1 (B11, B12), RFC 7712 §6 (K04): the target of an SRV record names the peer only where that is signed.
bool named(const evidence& e) noexcept {
  return e.name == name_match::service || (e.name == name_match::target && e.service == lookup_security::secure);
}

/// RFC 7711 §6: a certificate out of its dates is nothing that POSH could vouch for; nor is one that was taken back.
bool posh_may_vouch(const evidence& e) noexcept {
  return e.chain == chain_verdict::trusted || e.chain == chain_verdict::untrusted;
}

verdict why_not_a_certificate(const evidence& e) noexcept {
  if (e.posh == posh_outcome::mismatched && posh_may_vouch(e)) {
    return {refused{cause::posh_mismatch}, "the certificate is not among those that the domain publishes by POSH"};
  }
  switch (e.chain) {
    case chain_verdict::missing:
      return {refused{cause::cert_missing}, "no certificate was shown"};
    case chain_verdict::expired:
      return {refused{cause::cert_expired}, "the certificate has expired"};
    case chain_verdict::not_yet_valid:
      return {refused{cause::cert_not_yet_valid}, "the certificate is not valid yet"};
    case chain_verdict::revoked:
      return {refused{cause::cert_untrusted}, "its authority has revoked the certificate"};  // G02
    case chain_verdict::untrusted:
      return {refused{cause::cert_untrusted}, "no trusted authority vouches for the certificate"};
    case chain_verdict::trusted:
      return {refused{cause::cert_name_mismatch}, "the certificate is for other names"};
  }
  std::unreachable();
}

}  // namespace

proof verdict::by() const noexcept {
  const auto* proven = std::get_if<trust::accepted>(&is);
  return proven != nullptr ? proven->by : proof::none;
}

verdict decide(const evidence& e) noexcept {
  if (!e.encrypted) {
    return {refused{cause::tls_not_offered}, "there is no TLS"};  // E10, J13, RFC 7590 §3.1
  }
  const auto tlsa = what_counts(e);
  switch (tlsa) {
    case tlsa_outcome::failed:
      return {refused{e.lookup_failure}, "its TLSA records could not be had"};  // B09, RFC 7673 §3.4
    case tlsa_outcome::matched:
      if (e.chain == chain_verdict::missing) {
        return {refused{cause::cert_missing}, "no certificate was shown"};
      }
      return {accepted{proof::dane}, "a TLSA record matches the certificate"};
    case tlsa_outcome::mismatched:
      // RFC 7671 §10.3, RFC 7673 §4.2; THREATS E5: a usable record is the domain's word. There is no way around it.
      return {refused{cause::dane_mismatch}, "no TLSA record matches the certificate"};
    case tlsa_outcome::unusable:
    case tlsa_outcome::insecure:
    case tlsa_outcome::none:
      break;
  }
  if (e.required == required_trust::dane) {
    return tlsa == tlsa_outcome::unusable
               ? verdict{refused{cause::dane_unusable}, "none of its TLSA records is usable"}
               : verdict{refused{cause::policy}, "DANE is required, and there is no signed TLSA record"};
  }
  if (e.chain == chain_verdict::trusted && named(e)) {
    return {accepted{proof::pkix}, "a trusted authority vouches for the certificate"};
  }
  if (posh_may_vouch(e)) {
    if (e.posh == posh_outcome::matched) {
      return {accepted{proof::posh}, "the domain publishes the certificate by POSH"};
    }
    if (e.posh == posh_outcome::not_asked) {
      return {needs_posh{}, "the certificate proves nothing by itself"};
    }
  }
  if (e.required == required_trust::certificate) {
    return why_not_a_certificate(e);  // THREATS D3: dialback is no way around it
  }
  switch (e.dialback) {
    case dialback_outcome::valid:
      return {accepted{proof::dialback}, "the domain's own server vouches for the stream"};
    case dialback_outcome::invalid:
      return {refused{cause::dialback_invalid}, "the domain's own server knows nothing of the stream"};
    case dialback_outcome::not_done:
      return {needs_dialback{}, "the certificate proves nothing, dialback may"};
  }
  std::unreachable();
}

}  // namespace comity::connection::trust
