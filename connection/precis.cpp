#include "connection/precis.hpp"

#include <unicode/bytestream.h>
#include <unicode/idna.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/usprep.h>
#include <unicode/ustring.h>

#include <array>
#include <memory>
#include <new>

#include "connection/code_points.hpp"

namespace comity::precis {

namespace {

using text = icu::UnicodeString;
using step = std::expected<text, fault> (*)(const text&);

std::expected<text, fault> decode(std::string_view utf8) {
  // UnicodeString::fromUTF8 would put U+FFFD where the input is no UTF-8 (THREATS A4); this one says so.
  text decoded;
  const auto capacity = static_cast<int32_t>(utf8.size());
  int32_t length = 0;
  UErrorCode status = U_ZERO_ERROR;
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): the size goes with it
  u_strFromUTF8(decoded.getBuffer(capacity), capacity, &length, utf8.data(), capacity, &status);
  decoded.releaseBuffer(U_SUCCESS(status) ? length : 0);
  if (U_FAILURE(status)) {
    return std::unexpected{fault::bad_utf8};
  }
  return decoded;
}

std::string encode(const text& t) {
  std::string utf8;
  return t.toUTF8String(utf8);
}

const icu::Normalizer2& normalizer(const icu::Normalizer2* (*instance)(UErrorCode&)) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* const found = instance(status);
  return *found;  // part of ICU's code, not of its loadable data: cannot be missing
}

std::expected<text, fault> nfc(const text& t) {
  UErrorCode status = U_ZERO_ERROR;
  text normal = normalizer(icu::Normalizer2::getNFCInstance).normalize(t, status);
  if (U_FAILURE(status)) {
    return std::unexpected{fault::disallowed};
  }
  return normal;
}

// RFC 8264 §7: a profile's output is to be a fixed point of it; one that has not settled after three more rounds is
// refused.
std::expected<std::string, fault> settled(std::string_view utf8, step round) {
  const auto decoded = decode(utf8);
  if (!decoded) {
    return std::unexpected{decoded.error()};
  }
  auto now = round(*decoded);
  for (int again = 0; now && again < 3; ++again) {
    auto next = round(*now);
    if (next && *next == *now) {
      return encode(*now);
    }
    now = std::move(next);
  }
  return std::unexpected{now ? fault::disallowed : now.error()};
}

// RFC 8265 §3.3.1 rule 1: only fullwidth and halfwidth forms are taken back to their decomposition mapping.
text width_mapped(const text& t) {
  const icu::Normalizer2& nfkc = normalizer(icu::Normalizer2::getNFKCInstance);
  text mapped;
  text decomposition;
  for (int32_t at = 0; at < t.length(); at = t.moveIndex32(at, 1)) {
    const UChar32 c = t.char32At(at);
    const auto type = u_getIntPropertyValue(c, UCHAR_DECOMPOSITION_TYPE);
    if ((type == U_DT_WIDE || type == U_DT_NARROW) && nfkc.getRawDecomposition(c, decomposition) != 0) {
      mapped.append(decomposition);
    } else {
      mapped.append(c);
    }
  }
  return mapped;
}

bool all_of_class(const text& t, bool free_form) {
  for (int32_t at = 0; at < t.length(); at = t.moveIndex32(at, 1)) {
    switch (precis_property(static_cast<char32_t>(t.char32At(at)))) {
      case property::valid:
      case property::context:
        break;
      case property::free_form:
        if (!free_form) {
          return false;
        }
        break;
      case property::disallowed:
        return false;
    }
  }
  return contexts_hold(t);
}

std::expected<text, fault> username_round(const text& input) {
  text t = width_mapped(input);
  if (!all_of_class(t, false)) {
    return std::unexpected{fault::disallowed};
  }
  t.toLower(icu::Locale::getRoot());  // no locale of the machine: a Turkish one would map I to another letter
  auto normal = nfc(t);
  if (normal && !bidi_rule_holds(*normal)) {
    return std::unexpected{fault::disallowed};
  }
  return normal;
}

std::expected<text, fault> opaque_round(const text& input) {
  if (!all_of_class(input, true)) {
    return std::unexpected{fault::disallowed};
  }
  text t;
  for (int32_t at = 0; at < input.length(); at = input.moveIndex32(at, 1)) {
    const UChar32 c = input.char32At(at);
    t.append(u_charType(c) == U_SPACE_SEPARATOR ? UChar32{' '} : c);
  }
  return nfc(t);
}

const icu::IDNA& idna() {
  static const std::unique_ptr<const icu::IDNA> instance = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<const icu::IDNA> made{icu::IDNA::createUTS46Instance(
        UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_CHECK_CONTEXTO |
            UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE,
        status)};
    if (U_FAILURE(status)) {
      throw std::bad_alloc{};
    }
    return made;
  }();
  return *instance;
}

// UTS #46 lets symbols and emoji through; RFC 5892 does not. Also here: no label may be empty.
bool labels_allowed(const text& name) {
  bool empty_label = true;
  for (int32_t at = 0; at < name.length(); at = name.moveIndex32(at, 1)) {
    const auto c = static_cast<char32_t>(name.char32At(at));
    if (c == '.') {
      if (empty_label) {
        return false;
      }
      empty_label = true;
      continue;
    }
    empty_label = false;
    if (const property p = idna_property(c); p != property::valid && p != property::context) {
      return false;
    }
  }
  return !empty_label;
}

std::expected<text, fault> u_label_round(const text& input) {
  text name;
  icu::IDNAInfo info;
  UErrorCode status = U_ZERO_ERROR;
  idna().nameToUnicode(input, name, info, status);
  if (name.endsWith(u".", 1)) {
    name.truncate(name.length() - 1);  // RFC 7622 §3.2
  }
  if (U_FAILURE(status) || (info.getErrors() & ~static_cast<uint32_t>(UIDNA_ERROR_EMPTY_LABEL)) != 0 ||
      !labels_allowed(name)) {
    return std::unexpected{fault::disallowed};
  }
  // A label is what fits DNS as an A-label (RFC 5890 §2.3.1). How long a whole name may be is the resolver's to say.
  text ascii;
  icu::IDNAInfo ascii_info;
  idna().nameToASCII(name, ascii, ascii_info, status);
  if (U_FAILURE(status) || (ascii_info.getErrors() & ~static_cast<uint32_t>(UIDNA_ERROR_DOMAIN_NAME_TOO_LONG)) != 0) {
    return std::unexpected{fault::disallowed};
  }
  return name;
}

}  // namespace

std::expected<std::string, fault> username_case_mapped(std::string_view utf8) {
  return settled(utf8, username_round);
}

std::expected<std::string, fault> opaque_string(std::string_view utf8) {
  return settled(utf8, opaque_round);
}

std::expected<std::string, fault> to_u_labels(std::string_view utf8) {
  return settled(utf8, u_label_round);
}

std::expected<std::string, fault> to_a_labels(std::string_view utf8) {
  std::string ascii;
  icu::StringByteSink<std::string> sink{&ascii};
  icu::IDNAInfo info;
  UErrorCode status = U_ZERO_ERROR;
  idna().nameToASCII_UTF8({utf8.data(), static_cast<int32_t>(utf8.size())}, sink, info, status);
  if (U_FAILURE(status) || (info.getErrors() & ~static_cast<uint32_t>(UIDNA_ERROR_DOMAIN_NAME_TOO_LONG)) != 0) {
    return std::unexpected{fault::disallowed};
  }
  return ascii;
}

std::expected<std::string, fault> saslprep(std::string_view utf8) {
  struct closes {
    void operator()(UStringPrepProfile* p) const noexcept { usprep_close(p); }
  };
  static const std::unique_ptr<UStringPrepProfile, closes> profile = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<UStringPrepProfile, closes> opened{usprep_openByType(USPREP_RFC4013_SASLPREP, &status)};
    if (U_FAILURE(status)) {
      throw std::bad_alloc{};
    }
    return opened;
  }();
  const auto decoded = decode(utf8);
  if (!decoded) {
    return std::unexpected{decoded.error()};
  }
  // NFKC makes at most 18 code units of one (UAX #15 §9).
  const int32_t capacity = (decoded->length() * 18) + 1;
  text prepared;
  UErrorCode status = U_ZERO_ERROR;
  const int32_t length = usprep_prepare(profile.get(), decoded->getBuffer(), decoded->length(),
                                        prepared.getBuffer(capacity), capacity, USPREP_DEFAULT, nullptr, &status);
  prepared.releaseBuffer(U_SUCCESS(status) ? length : 0);
  if (U_FAILURE(status)) {
    return std::unexpected{fault::disallowed};
  }
  return encode(prepared);
}

}  // namespace comity::precis
