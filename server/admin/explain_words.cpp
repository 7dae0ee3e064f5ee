#include "server/admin/explain_words.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <utility>

#include "tls/crypto.hpp"
#include "tls/dane.hpp"

namespace comity::admin {

namespace trust = connection::trust;

std::string_view word_of(trust::chain_verdict v) noexcept {
  switch (v) {
    case trust::chain_verdict::missing:
      return "missing";
    case trust::chain_verdict::trusted:
      return "trusted";
    case trust::chain_verdict::expired:
      return "expired";
    case trust::chain_verdict::not_yet_valid:
      return "not_yet_valid";
    case trust::chain_verdict::revoked:
      return "revoked";
    case trust::chain_verdict::untrusted:
      return "untrusted";
  }
  std::unreachable();
}

std::string_view word_of(trust::name_match m) noexcept {
  switch (m) {
    case trust::name_match::none:
      return "none";
    case trust::name_match::target:
      return "target";
    case trust::name_match::service:
      return "service";
  }
  std::unreachable();
}

std::string_view word_of(trust::tlsa_outcome o) noexcept {
  switch (o) {
    case trust::tlsa_outcome::none:
      return "none";
    case trust::tlsa_outcome::insecure:
      return "insecure";
    case trust::tlsa_outcome::matched:
      return "matched";
    case trust::tlsa_outcome::mismatched:
      return "mismatched";
    case trust::tlsa_outcome::unusable:
      return "unusable";
    case trust::tlsa_outcome::failed:
      return "failed";
  }
  std::unreachable();
}

std::string_view word_of(trust::posh_outcome o) noexcept {
  switch (o) {
    case trust::posh_outcome::not_asked:
      return "not_asked";
    case trust::posh_outcome::none:
      return "none";
    case trust::posh_outcome::matched:
      return "matched";
    case trust::posh_outcome::mismatched:
      return "mismatched";
  }
  std::unreachable();
}

std::string_view word_of(trust::dialback_outcome o) noexcept {
  switch (o) {
    case trust::dialback_outcome::not_done:
      return "not_done";
    case trust::dialback_outcome::valid:
      return "valid";
    case trust::dialback_outcome::invalid:
      return "invalid";
  }
  std::unreachable();
}

std::string why_unusable(const dns::tlsa_record& r) {
  if (tls::usable(r)) {
    return {};
  }
  constexpr unsigned usages = 4, selectors = 2, matchings = 3;
  return r.usage >= usages         ? fmt::format("usage {} is unknown", r.usage)
         : r.selector >= selectors ? fmt::format("selector {} is unknown", r.selector)
         : r.matching >= matchings ? fmt::format("matching type {} is unknown", r.matching)
         : r.matching == 0         ? std::string{"its data is no certificate or key"}
                                   : fmt::format("its digest has {} bytes", r.data.size());
}

std::string text_of(const dns::tlsa_record& r) {
  constexpr std::size_t most = 32;
  return fmt::format("{} {} {} {}{}", r.usage, r.selector, r.matching,
                     tls::hex(std::string_view{r.data}.substr(0, most)), r.data.size() > most ? "…" : "");
}

std::string_view why_not_asked(const dns::target& t, const dns::endpoint_addresses& known) noexcept {
  if (t.source != dns::endpoint_source::fallback && t.source != dns::endpoint_source::override &&
      t.delegation != dns::security::secure) {
    return "the SRV records are not signed";
  }
  return known.security != dns::security::secure ? "the addresses are not signed" : "";
}

}  // namespace comity::admin
