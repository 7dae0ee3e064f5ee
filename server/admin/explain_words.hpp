// server/admin/explain_words.hpp: the words that both renderings of an explanation use for one fact.
#pragma once

#include <string>
#include <string_view>

#include "connection/s2s/trust.hpp"
#include "dns/answer.hpp"
#include "dns/endpoint_lookup.hpp"

namespace comity::admin {

[[nodiscard]] std::string_view word_of(connection::trust::chain_verdict) noexcept;
[[nodiscard]] std::string_view word_of(connection::trust::name_match) noexcept;
[[nodiscard]] std::string_view word_of(connection::trust::tlsa_outcome) noexcept;
[[nodiscard]] std::string_view word_of(connection::trust::posh_outcome) noexcept;
[[nodiscard]] std::string_view word_of(connection::trust::dialback_outcome) noexcept;

/// Why a TLSA record cannot be used (RFC 7671 §4, §10.3; B16); "" for one that can.
[[nodiscard]] std::string why_unusable(const dns::tlsa_record&);
/// "3 1 1 8d02…", cut where it is longer than a SHA2-256 digest.
[[nodiscard]] std::string text_of(const dns::tlsa_record&);
/// Why no TLSA records were asked for (B03, B05); "" where they were, or could have been.
[[nodiscard]] std::string_view why_not_asked(const dns::target&, const dns::endpoint_addresses&) noexcept;

}  // namespace comity::admin
