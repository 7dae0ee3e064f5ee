// Values from anywhere in a line of the log (THREATS G7): one line, fit for a terminal, from which each value can be
// read back exactly as far as it was kept, and behind which nothing can be made up. The same for text and JSON.
//
// Input: values, with a NUL between them.
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/log_line.hpp"
#include "server/printable.hpp"
#include "tests/fuzz/oracle.hpp"

namespace {

using namespace comity;
using namespace comity::fuzz;

constexpr std::array<std::string_view, 4> names{"conn", "peer", "cause", "detail"};

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | (code >> 6U));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else {
    out += static_cast<char>(0xe0U | (code >> 12U));
    out += static_cast<char>(0x80U | ((code >> 6U) & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  }
}

/// Takes a value of the text format off the front, as somebody would who reads logs by a program.
std::optional<std::string> take_value(std::string_view& line) {
  std::string value;
  if (!line.starts_with('"')) {
    value = line.substr(0, line.find(' '));
    line.remove_prefix(value.size());
    return value.empty() || value.find_first_of("\"=\\") != std::string::npos ? std::nullopt : std::optional{value};
  }
  for (line.remove_prefix(1); !line.empty(); line.remove_prefix(1)) {
    if (line.front() == '"') {
      line.remove_prefix(1);
      return value;
    }
    if (line.front() != '\\') {
      value += line.front();
      continue;
    }
    line.remove_prefix(1);
    const auto digits = line.starts_with('x') ? 2U : line.starts_with('u') ? 4U : 0U;
    if (digits != 0) {
      must(line.size() > digits);
      const auto code = static_cast<unsigned>(std::stoul(std::string{line.substr(1, digits)}, nullptr, 16));
      digits == 2 ? value += static_cast<char>(code) : (append_utf8(value, code), value);
      line.remove_prefix(digits);
    } else {
      must(!line.empty() && (line.front() == 'n' || line.front() == '\\' || line.front() == '"'));
      value += line.front() == 'n' ? '\n' : line.front();
    }
  }
  return std::nullopt;
}

/// What is left of a value, where bytes that are no characters are told in words (RFC 8259 §8.1).
std::string in_words(std::string_view value) {
  std::string out;
  for (auto rest = kept(value, log_value_most); !rest.empty();) {
    const auto c = first_character(rest);
    if (c.length == 0) {
      constexpr std::string_view digits = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(rest.front());
      out += "\\x";
      out += digits[byte >> 4U];
      out += digits[byte & 15U];
    } else {
      out += rest.substr(0, c.length);
    }
    rest.remove_prefix(std::max<std::size_t>(c.length, 1));
  }
  return out + std::string{value.size() > log_value_most ? ellipsis : ""};
}

void one_line(std::string_view line) {
  must(line.ends_with('\n'));
  for (line.remove_suffix(1); !line.empty();) {
    const auto c = first_character(line);
    must(c.length > 0 && !is_control(c.code));
    line.remove_prefix(c.length);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  std::vector<std::string_view> values;
  while (!input.empty() && values.size() < names.size()) {
    values.push_back(take_until(input, '\0'));
  }
  std::vector<log::field> fields;
  for (std::size_t i = 0; i < values.size(); ++i) {
    fields.push_back({names.at(i), values[i]});
  }
  const std::chrono::system_clock::time_point when{std::chrono::seconds{1'900'000'000}};

  const auto line = log_line(config::log_format::text, when, log::level::info, "c2s.closed", fields);
  one_line(line);
  std::string_view rest{line};
  rest.remove_suffix(1);
  constexpr std::string_view head = "2030-03-17T17:46:40.000Z info c2s.closed";
  must(rest.starts_with(head));
  rest.remove_prefix(head.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto name = " " + std::string{names.at(i)} + "=";
    must(rest.starts_with(name));
    rest.remove_prefix(name.size());
    const auto value = take_value(rest);
    const bool cut = values[i].size() > log_value_most;
    must(value == std::string{kept(values[i], log_value_most)} + std::string{cut ? ellipsis : ""});
  }
  must(rest.empty());

  const auto json = log_line(config::log_format::json, when, log::level::info, "c2s.closed", fields);
  one_line(json);
  const auto object = nlohmann::json::parse(json, nullptr, false);
  must(object.is_object() && object.size() == 3 + values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    must(object.value(names.at(i), std::string{}) == in_words(values[i]));
  }
  return 0;
}
