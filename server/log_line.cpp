#include "server/log_line.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace comity {
namespace {

struct character {
  char32_t code = 0;
  std::size_t length = 0;  // 0: the first byte starts no character
};

/// The first character of a text that is not empty. Overlong forms, surrogates and what is beyond Unicode are none.
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

/// Invisible characters that end lines, steer terminals or turn the direction of what follows.
bool is_control(char32_t c) noexcept {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/// The bytes of the value that are logged.
std::string_view kept(std::string_view value) noexcept {
  if (value.size() <= log_value_most) {
    return value;
  }
  std::size_t end = log_value_most;
  while (end > log_value_most - 4 && (static_cast<unsigned char>(value[end]) & 0xc0U) == 0x80U) {
    --end;  // a continuation byte: its character would be cut in two
  }
  return value.substr(0, end);
}

constexpr std::string_view ellipsis = "…";

void add_text_escaped(std::string& out, std::string_view value) {
  while (!value.empty()) {
    const auto [code, length] = first_character(value);
    if (length == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(value.front()));
    } else if (code == '\n') {
      out += "\\n";
    } else if (is_control(code)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(code));
    } else {
      if (code == '"' || code == '\\') {
        out += '\\';
      }
      out += value.substr(0, length);
    }
    value.remove_prefix(std::max<std::size_t>(length, 1));
  }
}

bool is_plain(std::string_view value) noexcept {
  return !value.empty() && std::ranges::all_of(value, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte < 0x7f && c != '"' && c != '=' && c != '\\';
  });
}

void add_text(std::string& out, std::string_view value) {
  if (value.size() <= log_value_most && is_plain(value)) {
    out += value;
    return;
  }
  out += '"';
  const auto part = kept(value);
  add_text_escaped(out, part);
  if (part.size() != value.size()) {
    out += ellipsis;
  }
  out += '"';
}

// RFC 8259 §7: quotation mark, reverse solidus and controls must be escaped; the other invisible ones are as well.
void add_json(std::string& out, std::string_view value) {
  out += '"';
  auto rest = kept(value);
  const bool cut = rest.size() != value.size();
  while (!rest.empty()) {
    const auto [code, length] = first_character(rest);
    if (length == 0) {
      // RFC 8259 §8.1: JSON is UTF-8; the byte is told in words, as text format tells it.
      fmt::format_to(std::back_inserter(out), "\\\\x{:02x}", static_cast<unsigned char>(rest.front()));
    } else if (is_control(code)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(code));
    } else {
      if (code == '"' || code == '\\') {
        out += '\\';
      }
      out += rest.substr(0, length);
    }
    rest.remove_prefix(std::max<std::size_t>(length, 1));
  }
  if (cut) {
    out += ellipsis;
  }
  out += '"';
}

std::string timestamp(std::chrono::system_clock::time_point when) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch());
  const auto s = std::chrono::floor<std::chrono::seconds>(ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(s.count())), (ms - s).count());
}

}  // namespace

std::string log_line(config::log_format format, std::chrono::system_clock::time_point when, log::level level,
                     std::string_view event, std::span<const log::field> fields) {
  std::string out;
  if (format == config::log_format::text) {
    out = fmt::format("{} {} {}", timestamp(when), to_string(level), event);
    for (const auto& [name, value] : fields) {
      out += ' ';
      out += name;
      out += '=';
      if (const auto* const text = std::get_if<std::string_view>(&value)) {
        add_text(out, *text);
      } else if (const auto* const number = std::get_if<std::int64_t>(&value)) {
        out += std::to_string(*number);
      } else {
        out += std::get<bool>(value) ? "true" : "false";
      }
    }
  } else {
    out = fmt::format(R"({{"time":"{}","level":"{}","event":)", timestamp(when), to_string(level));
    add_json(out, event);
    for (const auto& [name, value] : fields) {
      out += ',';
      add_json(out, name);
      out += ':';
      if (const auto* const text = std::get_if<std::string_view>(&value)) {
        add_json(out, *text);
      } else if (const auto* const number = std::get_if<std::int64_t>(&value)) {
        out += std::to_string(*number);
      } else {
        out += std::get<bool>(value) ? "true" : "false";
      }
    }
    out += '}';
  }
  out += '\n';
  return out;
}

std::string_view journal_priority(log::level level) noexcept {
  switch (level) {
    case log::level::trace:
    case log::level::debug:
      return "<7>";
    case log::level::info:
      return "<6>";
    case log::level::warn:
      return "<4>";
    case log::level::error:
      return "<3>";
  }
  return "<6>";
}

}  // namespace comity
