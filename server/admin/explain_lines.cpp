#include "server/admin/explain_lines.hpp"

#include <algorithm>
#include <array>

namespace comity::admin {

namespace {

/// The narrowest that facts are broken to, whatever the terminal.
constexpr std::size_t narrowest = 20;

bool begins_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
}

/// How many bytes the first `most` characters of the text have.
std::size_t bytes_of(std::string_view text, std::size_t most) {
  std::size_t i = 0;
  for (std::size_t points = 0; i < text.size(); ++i) {
    if (begins_character(text[i]) && points++ == most) {
      break;
    }
  }
  return i;
}

}  // namespace

void explain_lines::add(std::string_view what, std::string_view text, tone t) {
  const auto room = std::max(style_.width, column + narrowest) - column;
  bool first = true;
  do {
    auto end = bytes_of(text, room);
    if (end < text.size()) {
      if (const auto space = text.substr(0, end + 1).rfind(' '); space != std::string_view::npos && space != 0) {
        end = space;
      }
    }
    begin(first ? what : "", first ? t : tone::plain);
    out_.append(text.substr(0, end)).append("\n");
    text.remove_prefix(std::min(end, text.size()));
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    first = false;
  } while (!text.empty());
}

void explain_lines::add_whole(std::string_view what, std::string_view text, tone t) {
  begin(what, t);
  out_.append(text).append("\n");
}

void explain_lines::begin(std::string_view what, tone t) {
  static constexpr std::array<std::string_view, 4> colours{"", "\x1b[32m", "\x1b[33m", "\x1b[31m"};
  const auto colour = style_.coloured ? colours.at(std::to_underlying(t)) : std::string_view{};
  out_.append(colour).append(what).append(colour.empty() ? "" : "\x1b[0m");
  const auto size = static_cast<std::size_t>(std::ranges::count_if(what, begins_character));
  out_.append(size < column ? column - size : 1, ' ');
}

}  // namespace comity::admin
