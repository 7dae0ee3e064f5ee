#include "server/printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace comity {

character first_character(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return {.code = lead, .length = 1};
  }
  const std::size_t length = lead >= 0xf0 && lead <= 0xf4   ? 4
                             : lead >= 0xe0 && lead <= 0xef ? 3
                             : lead >= 0xc2 && lead <= 0xdf ? 2
                                                            : 0;
  if (length == 0 || text.size() < length) {
    return {};
  }
  char32_t code = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80U) {
      return {};
    }
    code = (code << 6U) | (byte(i) & 0x3fU);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  return overlong || surrogate || code > 0x10ffff ? character{} : character{.code = code, .length = length};
}

bool is_control(char32_t c) noexcept {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

std::string_view kept(std::string_view text, std::size_t most) noexcept {
  if (text.size() <= most) {
    return text;
  }
  std::size_t end = most;
  while (end > 0 && most - end < 4 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) {
    --end;  // a continuation byte: its character would be cut in two
  }
  return text.substr(0, end);
}

void append_printable(std::string& out, std::string_view text, std::string_view also) {
  while (!text.empty()) {
    const auto [code, length] = first_character(text);
    if (length == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text.front()));
    } else if (code == '\n') {
      out += "\\n";
    } else if (is_control(code)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(code));
    } else {
      if (code == '\\' || (length == 1 && also.contains(text.front()))) {
        out += '\\';
      }
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
}

std::string printable(std::string_view text, std::size_t most) {
  const auto part = kept(text, most);
  std::string out;
  append_printable(out, part);
  if (part.size() != text.size()) {
    out += ellipsis;
  }
  return out;
}

}  // namespace comity
