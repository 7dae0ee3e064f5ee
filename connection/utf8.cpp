#include "connection/utf8.hpp"

#include <cstddef>
#include <cstdint>

namespace comity {

namespace {

struct head {
  std::size_t size = 0;                  // of the character; 0: no character begins so
  std::uint8_t low = 0x80, high = 0xbf;  // what the second octet may be (RFC 3629 §4)
};

head head_of(std::uint8_t first) noexcept {
  if (first < 0x80U) {
    return {.size = 1};
  }
  if (first >= 0xc2U && first <= 0xdfU) {
    return {.size = 2};
  }
  if (first >= 0xe0U && first <= 0xefU) {
    return {.size = 3,
            .low = static_cast<std::uint8_t>(first == 0xe0U ? 0xa0 : 0x80),
            .high = static_cast<std::uint8_t>(first == 0xedU ? 0x9f : 0xbf)};
  }
  if (first >= 0xf0U && first <= 0xf4U) {
    return {.size = 4,
            .low = static_cast<std::uint8_t>(first == 0xf0U ? 0x90 : 0x80),
            .high = static_cast<std::uint8_t>(first == 0xf4U ? 0x8f : 0xbf)};
  }
  return {};
}

}  // namespace

utf8 judge_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const auto [size, low, high] = head_of(static_cast<std::uint8_t>(text[0]));
    if (size == 0) {
      return utf8::invalid;
    }
    for (std::size_t i = 1; i < size; ++i) {
      if (i == text.size()) {
        return utf8::cut_off;
      }
      const auto octet = static_cast<std::uint8_t>(text[i]);
      if (octet < (i == 1 ? low : 0x80U) || octet > (i == 1 ? high : 0xbfU)) {
        return utf8::invalid;
      }
    }
    text.remove_prefix(size);
  }
  return utf8::valid;
}

}  // namespace comity
