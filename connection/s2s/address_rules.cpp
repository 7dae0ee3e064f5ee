#include "connection/s2s/address_rules.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace comity::connection {

namespace {

constexpr std::size_t ipv4_octets = 4;
constexpr std::size_t ipv6_octets = 16;

address_block literal(std::string_view text) {
  return *address_block::parse(text);
}

/// IANA's registries of special-purpose addresses (RFC 6890 and successors): what is not globally reachable, and
/// multicast.
const std::vector<address_block>& special_blocks() {
  static const std::vector<address_block> blocks = [] {
    std::vector<address_block> made;
    for (const auto* text : {
             "0.0.0.0/8",        // this network
             "10.0.0.0/8",       // private
             "100.64.0.0/10",    // shared by a carrier's customers
             "127.0.0.0/8",      // loopback
             "169.254.0.0/16",   // link-local, and clouds' metadata
             "172.16.0.0/12",    // private
             "192.0.0.0/24",     // IETF protocol assignments
             "192.0.2.0/24",     // documentation
             "192.88.99.0/24",   // 6to4 relays, gone
             "192.168.0.0/16",   // private
             "198.18.0.0/15",    // benchmarking
             "198.51.100.0/24",  // documentation
             "203.0.113.0/24",   // documentation
             "224.0.0.0/4",      // multicast
             "240.0.0.0/4",      // reserved, broadcast
             "::/96",            // unspecified, loopback, IPv4-compatible
             "64:ff9b:1::/48",   // NAT64 of a network's own
             "100::/64",         // discard
             "2001::/23",        // IETF protocol assignments, Teredo included
             "2001:db8::/32",    // documentation
             "3fff::/20",        // documentation
             "5f00::/16",        // segment routing
             "fc00::/7",         // unique local
             "fe80::/10",        // link-local
             "fec0::/10",        // site-local, gone
             "ff00::/8",         // multicast
         }) {
      made.push_back(literal(text));
    }
    return made;
  }();
  return blocks;
}

/// The IPv4 address that an IPv6 address carries inside and leads to; empty where there is none.
address_octets embedded(address_octets address) {
  static const auto mapped = literal("::ffff:0.0.0.0/96");
  static const auto nat64 = literal("64:ff9b::/96");
  static const auto six_to_four = literal("2002::/16");
  if (address.size() != ipv6_octets) {
    return {};
  }
  if (mapped.contains(address) || nat64.contains(address)) {
    return address.subspan(12, ipv4_octets);
  }
  return six_to_four.contains(address) ? address.subspan(2, ipv4_octets) : address_octets{};
}

bool any_contains(const std::vector<address_block>& blocks, address_octets address) {
  return std::ranges::any_of(blocks, [&](const address_block& b) { return b.contains(address); });
}

}  // namespace

std::optional<address_block> address_block::parse(std::string_view text) {
  const auto slash = text.find('/');
  const std::string address{text.substr(0, slash)};
  address_block made;
  if (::inet_pton(AF_INET, address.c_str(), made.network_.data()) == 1) {
    made.octets_ = ipv4_octets;
  } else if (::inet_pton(AF_INET6, address.c_str(), made.network_.data()) == 1) {
    made.octets_ = ipv6_octets;
  } else {
    return std::nullopt;
  }
  const unsigned bits = made.octets_ * 8U;
  unsigned prefix = bits;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (digits.empty() || fault != std::errc{} || end != digits.data() + digits.size() || prefix > bits) {
      return std::nullopt;
    }
  }
  made.prefix_ = static_cast<std::uint8_t>(prefix);
  for (unsigned bit = prefix; bit < bits; ++bit) {
    if ((made.network_.at(bit / 8) >> (7U - bit % 8U) & 1U) != 0) {
      return std::nullopt;
    }
  }
  return made;
}

bool address_block::contains(address_octets address) const noexcept {
  if (address.size() != octets_) {
    return false;
  }
  const std::size_t whole = prefix_ / 8U;
  const unsigned rest = prefix_ % 8U;
  if (!std::equal(address.begin(), address.begin() + static_cast<std::ptrdiff_t>(whole), network_.begin())) {
    return false;
  }
  return rest == 0 || (address[whole] ^ network_[whole]) >> (8U - rest) == 0;
}

std::expected<address_rules, std::string> address_rules::make(const std::vector<std::string>& forbidden,
                                                              const std::vector<std::string>& allowed) {
  address_rules made;
  made.special_ = false;
  for (const auto& text : forbidden) {
    if (text == "special") {
      made.special_ = true;
    } else if (const auto block = address_block::parse(text)) {
      made.forbidden_.push_back(*block);
    } else {
      return std::unexpected{text};
    }
  }
  for (const auto& text : allowed) {
    const auto block = address_block::parse(text);
    if (!block) {
      return std::unexpected{text};
    }
    made.allowed_.push_back(*block);
  }
  return made;
}

bool address_rules::may_dial(address_octets address) const noexcept {
  if (address.size() != ipv4_octets && address.size() != ipv6_octets) {
    return false;
  }
  if (any_contains(allowed_, address)) {
    return true;
  }
  // THREATS E1: ::ffff:127.0.0.1 is 127.0.0.1, however it is spelled.
  if (const auto inside = embedded(address); !inside.empty() && !may_dial(inside)) {
    return false;
  }
  return !(special_ && any_contains(special_blocks(), address)) && !any_contains(forbidden_, address);
}

}  // namespace comity::connection
