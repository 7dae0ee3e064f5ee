#include "dns/system_resolvers.hpp"

#include <cstddef>

#include "dns/answer.hpp"
#include "dns/rdata.hpp"

namespace comity::dns {
namespace {

constexpr std::size_t nameservers_limit = 3;  // MAXNS of resolv.h
constexpr std::string_view blanks = " \t\r";

/// Takes the first line off `text`, without its end.
std::string_view take_line(std::string_view& text) {
  const auto line = text.substr(0, text.find('\n'));
  text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
  return line;
}

/// Takes the first word off `line`; empty at its end.
std::string_view take_word(std::string_view& line) {
  const auto begin = line.find_first_not_of(blanks);
  line.remove_prefix(begin == std::string_view::npos ? line.size() : begin);
  const auto word = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

std::vector<std::string> nameservers(std::string_view resolv_conf) {
  std::vector<std::string> all;
  while (!resolv_conf.empty() && all.size() < nameservers_limit) {
    auto line = take_line(resolv_conf);
    if (take_word(line) != "nameserver") {
      continue;
    }
    if (const auto at = address::parse(take_word(line))) {
      all.push_back(at->text());
    }
  }
  return all;
}

std::string anchored_name(std::string_view trust_anchors) {
  while (!trust_anchors.empty()) {
    auto line = take_line(trust_anchors);
    const auto name = take_word(line);
    if (name.empty() || name.starts_with(';') || name.starts_with('$')) {
      continue;
    }
    return name == "." ? "." : folded_name(name).value_or(".");
  }
  return ".";
}

std::vector<std::string> hinted_addresses(std::string_view root_hints) {
  std::vector<std::string> all;
  while (!root_hints.empty()) {
    auto line = take_line(root_hints);
    line = line.substr(0, line.find(';'));
    for (auto type = take_word(line); !type.empty(); type = take_word(line)) {
      if (type == "A" || type == "AAAA" || type == "a" || type == "aaaa") {
        if (const auto at = address::parse(take_word(line))) {
          all.push_back(at->text());
        }
        break;
      }
    }
  }
  return all;
}

}  // namespace comity::dns
