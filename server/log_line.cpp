#include "server/log_line.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "server/printable.hpp"

namespace comity {
namespace {

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
  const auto part = kept(value, log_value_most);
  append_printable(out, part, "\"");
  if (part.size() != value.size()) {
    out += ellipsis;
  }
  out += '"';
}

// RFC 8259 §7: quotation mark, reverse solidus and controls must be escaped; the other invisible ones are as well.
void add_json(std::string& out, std::string_view value) {
  out += '"';
  auto rest = kept(value, log_value_most);
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

}  // namespace

std::string timestamp(std::chrono::system_clock::time_point when) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(when.time_since_epoch());
  const auto s = std::chrono::floor<std::chrono::seconds>(ms);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(s.count())), (ms - s).count());
}

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
