#include "dns/rdata.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

namespace comity::dns {
namespace {

constexpr std::size_t label_limit = 63;  // RFC 1035 §2.3.4
constexpr std::size_t name_limit = 255;  // on the wire, lengths and root included
constexpr std::size_t text_limit = 253;

/// In lower case; nullopt for what no host or service is named with.
std::optional<char> name_character(unsigned char c) noexcept {
  if (c >= 'A' && c <= 'Z') {
    return static_cast<char>(c - 'A' + 'a');
  }
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_') {
    return static_cast<char>(c);
  }
  return std::nullopt;
}

std::uint16_t number(std::span<const std::uint8_t> two) noexcept {
  return static_cast<std::uint16_t>(two[0] << 8 | two[1]);
}

}  // namespace

std::optional<std::string> read_name(std::span<const std::uint8_t> wire) {
  if (wire.empty() || wire.size() > name_limit) {
    return std::nullopt;
  }
  std::string text;
  text.reserve(wire.size());
  while (true) {
    const std::size_t length = wire[0];
    if (length == 0) {
      return wire.size() == 1 ? std::optional{std::move(text)} : std::nullopt;
    }
    // Over 63 is a compression pointer or a type that does not exist; and the root is still to come.
    if (length > label_limit || length + 2 > wire.size()) {
      return std::nullopt;
    }
    if (!text.empty()) {
      text += '.';
    }
    for (const std::uint8_t byte : wire.subspan(1, length)) {
      const auto c = name_character(byte);
      if (!c) {
        return std::nullopt;
      }
      text += *c;
    }
    wire = wire.subspan(1 + length);
  }
}

std::optional<srv_record> read_srv(std::span<const std::uint8_t> rdata) {
  if (rdata.size() < 7) {
    return std::nullopt;
  }
  auto target = read_name(rdata.subspan(6));
  if (!target) {
    return std::nullopt;
  }
  return srv_record{.priority = number(rdata.first(2)),
                    .weight = number(rdata.subspan(2, 2)),
                    .port = number(rdata.subspan(4, 2)),
                    .target = *std::move(target)};
}

std::optional<tlsa_record> read_tlsa(std::span<const std::uint8_t> rdata) {
  // Whether there is as much data as the matching type takes is a question of use (RFC 7671 §10.3): a record that
  // cannot be used is still a record.
  if (rdata.size() < 3) {
    return std::nullopt;
  }
  const auto data = rdata.subspan(3);
  return tlsa_record{
      .usage = rdata[0], .selector = rdata[1], .matching = rdata[2], .data = std::string{data.begin(), data.end()}};
}

void add_record(answer& to, std::span<const std::uint8_t> rdata) {
  const auto add = [&to](auto& records, auto read) {
    if (read) {
      records.push_back(*std::move(read));
    } else {
      ++to.malformed;
    }
  };
  switch (to.type) {
    case record_type::a:
      return add(to.addresses, rdata.size() == 4 ? address::from_bytes(rdata) : std::nullopt);
    case record_type::aaaa:
      return add(to.addresses, rdata.size() == 16 ? address::from_bytes(rdata) : std::nullopt);
    case record_type::srv:
      return add(to.srv, read_srv(rdata));
    case record_type::tlsa:
      return add(to.tlsa, read_tlsa(rdata));
  }
}

std::optional<std::string> folded_name(std::string_view name) {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  if (name.empty() || name.size() > text_limit) {
    return std::nullopt;
  }
  std::string folded;
  folded.reserve(name.size());
  std::size_t label = 0;
  for (const char each : name) {
    if (each == '.') {
      if (label == 0) {
        return std::nullopt;
      }
      label = 0;
      folded += '.';
      continue;
    }
    const auto c = name_character(static_cast<unsigned char>(each));
    if (!c || ++label > label_limit) {
      return std::nullopt;
    }
    folded += *c;
  }
  return label == 0 ? std::nullopt : std::optional{std::move(folded)};
}

}  // namespace comity::dns
