// connection/utf8.hpp: is this UTF-8 (RFC 3629)? Pure, any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace comity {

enum class utf8 : std::uint8_t {
  valid,
  cut_off,  // its last character is not whole yet
  invalid,  // an overlong form, a surrogate, what lies beyond U+10FFFF, or an octet where none may stand
};

[[nodiscard]] utf8 judge_utf8(std::string_view text) noexcept;

}  // namespace comity
