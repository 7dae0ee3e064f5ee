#include "connection/code_points.hpp"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <optional>

namespace comity::precis {

namespace {

UChar32 signed_of(char32_t c) noexcept {
  return static_cast<UChar32>(c);
}

int32_t property_of(char32_t c, UProperty which) {
  return u_getIntPropertyValue(signed_of(c), which);
}

bool has(char32_t c, UProperty which) {
  return u_hasBinaryProperty(signed_of(c), which) != 0;
}

bool is_arabic_digit(char32_t c) noexcept {
  return c >= 0x0660 && c <= 0x0669;
}
bool is_extended_arabic_digit(char32_t c) noexcept {
  return c >= 0x06f0 && c <= 0x06f9;
}

// RFC 5892 §2.6
std::optional<property> exception(char32_t c) noexcept {
  switch (c) {
    case 0x00df:
    case 0x03c2:
    case 0x06fd:
    case 0x06fe:
    case 0x0f0b:
    case 0x3007:
      return property::valid;
    case 0x00b7:
    case 0x0375:
    case 0x05f3:
    case 0x05f4:
    case 0x30fb:
      return property::context;
    case 0x0640:
    case 0x07fa:
    case 0x302e:
    case 0x302f:
    case 0x3031:
    case 0x3032:
    case 0x3033:
    case 0x3034:
    case 0x3035:
    case 0x303b:
      return property::disallowed;
    default:
      if (is_arabic_digit(c) || is_extended_arabic_digit(c)) {
        return property::context;
      }
      return std::nullopt;
  }
}

bool old_hangul_jamo(char32_t c) {
  const auto type = property_of(c, UCHAR_HANGUL_SYLLABLE_TYPE);
  return type == U_HST_LEADING_JAMO || type == U_HST_VOWEL_JAMO || type == U_HST_TRAILING_JAMO;
}

bool letter_or_digit(char32_t c) {
  return (U_GET_GC_MASK(signed_of(c)) & (U_GC_LL_MASK | U_GC_LU_MASK | U_GC_LO_MASK | U_GC_ND_MASK | U_GC_LM_MASK |
                                         U_GC_MN_MASK | U_GC_MC_MASK)) != 0;
}

bool unassigned(char32_t c) {
  return u_charType(signed_of(c)) == U_UNASSIGNED && !has(c, UCHAR_NONCHARACTER_CODE_POINT);
}

const icu::Normalizer2& nfkc() {
  static const icu::Normalizer2& instance = [] -> const icu::Normalizer2& {
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* const found = icu::Normalizer2::getNFKCInstance(status);
    return *found;  // part of ICU's code, not of its loadable data: cannot be missing
  }();
  return instance;
}

// RFC 8264 §9.17
bool has_compatibility_form(char32_t c) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString itself{signed_of(c)};
  return nfkc().normalize(itself, status) != itself || U_FAILURE(status);
}

// RFC 5892 §2.2
bool unstable(char32_t c) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString itself{signed_of(c)};
  icu::UnicodeString folded = nfkc().normalize(itself, status);
  folded.foldCase();
  return nfkc().normalize(folded, status) != itself || U_FAILURE(status);
}

// RFC 5892 §2.4
bool ignorable_block(char32_t c) {
  const auto block = ublock_getCode(signed_of(c));
  return block == UBLOCK_COMBINING_MARKS_FOR_SYMBOLS || block == UBLOCK_MUSICAL_SYMBOLS ||
         block == UBLOCK_ANCIENT_GREEK_MUSICAL_NOTATION;
}

bool has_script(char32_t c, UScriptCode script) {
  UErrorCode status = U_ZERO_ERROR;
  return uscript_getScript(signed_of(c), &status) == script && U_SUCCESS(status);
}

constexpr uint8_t virama_class = 9;

// The joining type of the nearest code point that is not transparent, walking from `at` by `step`.
int32_t joining_type_beside(const icu::UnicodeString& text, int32_t at, bool forward) {
  for (;;) {
    if (forward) {
      at = text.moveIndex32(at, 1);
    } else if (at == 0) {
      return U_JT_NON_JOINING;
    } else {
      at = text.moveIndex32(at, -1);
    }
    if (at >= text.length()) {
      return U_JT_NON_JOINING;
    }
    const auto type = u_getIntPropertyValue(text.char32At(at), UCHAR_JOINING_TYPE);
    if (type != U_JT_TRANSPARENT) {
      return type;
    }
  }
}

}  // namespace

property precis_property(char32_t c) {
  // RFC 8264 §8: in this order.
  if (const auto listed = exception(c)) {
    return *listed;
  }
  if (unassigned(c)) {
    return property::disallowed;
  }
  if (c >= 0x21 && c <= 0x7e) {
    return property::valid;
  }
  if (has(c, UCHAR_JOIN_CONTROL)) {
    return property::context;
  }
  if (old_hangul_jamo(c) || has(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) || has(c, UCHAR_NONCHARACTER_CODE_POINT) ||
      u_charType(signed_of(c)) == U_CONTROL_CHAR) {
    return property::disallowed;
  }
  if (has_compatibility_form(c)) {
    return property::free_form;
  }
  if (letter_or_digit(c)) {
    return property::valid;
  }
  constexpr uint32_t free_form = U_GC_LT_MASK | U_GC_NL_MASK | U_GC_NO_MASK | U_GC_ME_MASK |  // §9.18
                                 U_GC_ZS_MASK | U_GC_S_MASK | U_GC_P_MASK;
  return (U_GET_GC_MASK(signed_of(c)) & free_form) != 0 ? property::free_form : property::disallowed;
}

property idna_property(char32_t c) {
  // RFC 5892 §3: in this order.
  if (const auto listed = exception(c)) {
    return *listed;
  }
  if (unassigned(c)) {
    return property::disallowed;
  }
  if (c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) {
    return property::valid;
  }
  if (has(c, UCHAR_JOIN_CONTROL)) {
    return property::context;
  }
  if (old_hangul_jamo(c) || unstable(c) || has(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT) || has(c, UCHAR_WHITE_SPACE) ||
      has(c, UCHAR_NONCHARACTER_CODE_POINT) || ignorable_block(c)) {
    return property::disallowed;
  }
  return letter_or_digit(c) ? property::valid : property::disallowed;
}

bool contexts_hold(const icu::UnicodeString& text) {
  bool arabic = false;
  bool extended_arabic = false;
  bool middle_dot = false;
  bool katakana = false;
  for (int32_t at = 0; at < text.length(); at = text.moveIndex32(at, 1)) {
    const auto c = static_cast<char32_t>(text.char32At(at));
    const int32_t next_at = text.moveIndex32(at, 1);
    const char32_t next = next_at < text.length() ? static_cast<char32_t>(text.char32At(next_at)) : 0;
    const char32_t previous = at > 0 ? static_cast<char32_t>(text.char32At(text.moveIndex32(at, -1))) : 0;
    arabic = arabic || is_arabic_digit(c);
    extended_arabic = extended_arabic || is_extended_arabic_digit(c);
    middle_dot = middle_dot || c == 0x30fb;
    katakana =
        katakana || has_script(c, USCRIPT_HIRAGANA) || has_script(c, USCRIPT_KATAKANA) || has_script(c, USCRIPT_HAN);
    switch (c) {
      case 0x200c: {  // RFC 5892 A.1
        if (previous != 0 && u_getCombiningClass(signed_of(previous)) == virama_class) {
          break;
        }
        const auto before = joining_type_beside(text, at, false);
        const auto after = joining_type_beside(text, at, true);
        if ((before != U_JT_LEFT_JOINING && before != U_JT_DUAL_JOINING) ||
            (after != U_JT_RIGHT_JOINING && after != U_JT_DUAL_JOINING)) {
          return false;
        }
        break;
      }
      case 0x200d:  // A.2
        if (previous == 0 || u_getCombiningClass(signed_of(previous)) != virama_class) {
          return false;
        }
        break;
      case 0x00b7:  // A.3
        if (previous != 'l' || next != 'l') {
          return false;
        }
        break;
      case 0x0375:  // A.4
        if (next == 0 || !has_script(next, USCRIPT_GREEK)) {
          return false;
        }
        break;
      case 0x05f3:  // A.5
      case 0x05f4:  // A.6
        if (previous == 0 || !has_script(previous, USCRIPT_HEBREW)) {
          return false;
        }
        break;
      default:
        break;
    }
  }
  return (!middle_dot || katakana) &&   // A.7
         !(arabic && extended_arabic);  // A.8, A.9
}

bool bidi_rule_holds(const icu::UnicodeString& text) {
  bool right_to_left = false;
  for (int32_t at = 0; at < text.length() && !right_to_left; at = text.moveIndex32(at, 1)) {
    const auto d = u_charDirection(text.char32At(at));
    right_to_left = d == U_RIGHT_TO_LEFT || d == U_RIGHT_TO_LEFT_ARABIC || d == U_ARABIC_NUMBER;
  }
  if (!right_to_left) {
    return true;
  }
  // Condition 1
  const auto first = u_charDirection(text.char32At(0));
  const bool rtl = first == U_RIGHT_TO_LEFT || first == U_RIGHT_TO_LEFT_ARABIC;
  if (!rtl && first != U_LEFT_TO_RIGHT) {
    return false;
  }
  bool european = false;
  bool arabic = false;
  UCharDirection last = first;  // of the code points that are no nonspacing marks
  for (int32_t at = 0; at < text.length(); at = text.moveIndex32(at, 1)) {
    const auto d = u_charDirection(text.char32At(at));
    switch (d) {
      case U_EUROPEAN_NUMBER_SEPARATOR:
      case U_COMMON_NUMBER_SEPARATOR:
      case U_EUROPEAN_NUMBER_TERMINATOR:
      case U_OTHER_NEUTRAL:
      case U_BOUNDARY_NEUTRAL:
        break;
      case U_DIR_NON_SPACING_MARK:
        continue;
      case U_EUROPEAN_NUMBER:
        european = true;
        break;
      case U_ARABIC_NUMBER:
        arabic = true;
        [[fallthrough]];
      case U_RIGHT_TO_LEFT:
      case U_RIGHT_TO_LEFT_ARABIC:
        if (!rtl) {
          return false;  // condition 5
        }
        break;
      case U_LEFT_TO_RIGHT:
        if (rtl) {
          return false;  // condition 2
        }
        break;
      default:
        return false;  // embeddings, overrides, isolates and separators are in neither list
    }
    last = d;
  }
  if (rtl) {
    // Conditions 3 and 4
    return (last == U_RIGHT_TO_LEFT || last == U_RIGHT_TO_LEFT_ARABIC || last == U_EUROPEAN_NUMBER ||
            last == U_ARABIC_NUMBER) &&
           !(european && arabic);
  }
  return last == U_LEFT_TO_RIGHT || last == U_EUROPEAN_NUMBER;  // condition 6
}

}  // namespace comity::precis
