// connection/code_points.hpp: what PRECIS (RFC 8264 §8) and IDNA2008 (RFC 5892) say of a code point and of its
// neighbours. Pure, any thread.
#pragma once

#include <unicode/unistr.h>

#include <cstdint>

namespace comity::precis {

enum class property : std::uint8_t { valid, context, free_form, disallowed };

/// RFC 8264 §8: `free_form` is "ID_DIS or FREE_PVAL", `context` is CONTEXTJ or CONTEXTO, unassigned is disallowed.
[[nodiscard]] property precis_property(char32_t);
/// RFC 5892 §3, for U-labels; never free_form.
[[nodiscard]] property idna_property(char32_t);

/// RFC 5892 appendix A: whether every code point of `text` that needs a context stands in one.
[[nodiscard]] bool contexts_hold(const icu::UnicodeString& text);

/// RFC 5893 §2: whether a text with right-to-left code points meets all six conditions; true for one without.
[[nodiscard]] bool bidi_rule_holds(const icu::UnicodeString& text);

}  // namespace comity::precis
