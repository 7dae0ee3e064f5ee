#include "server/admin/table.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>

namespace comity::admin {

namespace {

constexpr std::size_t narrowest = 6;
constexpr std::string_view gap = "  ";

/// Code points, which is what a column is counted in.
std::size_t length(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

/// Control characters, those of two bytes (U+0080 to U+009F) too: some terminals obey them (THREATS G7).
std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = [&](std::size_t at) { return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U; };
    const bool of_two = byte(i) == 0xc2 && byte(i + 1) >= 0x80 && byte(i + 1) <= 0x9f;
    out += of_two || byte(i) < 0x20 || byte(i) == 0x7f ? '?' : text[i];
    i += of_two ? 1 : 0;
  }
  return out;
}

std::string fitted(const std::string& text, std::size_t width, bool last) {
  const auto size = length(text);
  if (size <= width) {
    return last ? text : text + std::string(width - size, ' ');
  }
  std::string out;
  std::size_t points = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xc0U) != 0x80U && ++points == width) {
      break;
    }
    out += c;
  }
  return out + "…";
}

}  // namespace

std::string table(const std::vector<std::string>& headings, const std::vector<std::vector<std::string>>& rows,
                  std::size_t width) {
  std::vector<std::vector<std::string>> lines{headings};
  for (const auto& row : rows) {
    lines.emplace_back();
    for (const auto& cell : row) {
      lines.back().push_back(printable(cell.empty() ? "-" : cell));
    }
  }
  std::vector<std::size_t> widths(headings.size());
  for (const auto& l : lines) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], length(l[i]));
    }
  }
  const auto total = [&] { return std::accumulate(widths.begin(), widths.end(), gap.size() * (widths.size() - 1)); };
  while (total() > width && *std::ranges::max_element(widths) > narrowest) {
    --*std::ranges::max_element(widths);
  }
  std::string out;
  for (const auto& l : lines) {
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const bool last = i + 1 == widths.size();
      out += fitted(l[i], widths[i], last);
      out += last ? "\n" : gap;
    }
  }
  return out;
}

std::string duration(std::int64_t seconds) {
  const auto two = [](std::int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); };
  const std::string days = seconds >= 86400 ? std::to_string(seconds / 86400) + "d " : "";
  return days + two(seconds / 3600 % 24) + ":" + two(seconds / 60 % 60) + ":" + two(seconds % 60);
}

}  // namespace comity::admin
