// server/printable.hpp: text from anywhere, a peer's zone, certificate or stream, as people may see it on a terminal or
// in a log.
//
// What is invisible, steers a terminal or turns the direction of what follows is escaped, and so are bytes that are no
// UTF-8 (THREATS G7). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace comity {

struct character {
  char32_t code = 0;
  std::size_t length = 0;  // 0: the first byte starts no character
};

/// The first character of a text that is not empty. Overlong forms, surrogates and what is beyond Unicode are none.
[[nodiscard]] character first_character(std::string_view text) noexcept;

/// Invisible characters that end lines, steer terminals or turn the direction of what follows.
[[nodiscard]] bool is_control(char32_t) noexcept;

inline constexpr std::string_view ellipsis = "…";

/// The part of a text that is shown where `most` bytes may be; the cut is at a character's boundary.
[[nodiscard]] std::string_view kept(std::string_view text, std::size_t most) noexcept;

/// Appends `text` escaped: "\n", "\u001b", "\xff", and a backslash before itself and before the characters of `also`.
void append_printable(std::string& out, std::string_view text, std::string_view also = {});

/// That as a text of its own, of `most` bytes of the original, cut ones shown by an ellipsis.
[[nodiscard]] std::string printable(std::string_view text, std::size_t most = 256);

}  // namespace comity
