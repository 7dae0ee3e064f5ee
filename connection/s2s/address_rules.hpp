// connection/s2s/address_rules.hpp: which addresses may be dialled, whatever DNS says (THREATS E1). Pure.
//
// A name in a stranger's zone must not make this server knock at its operator's own doors. So the rules are asked about
// the very address that a socket is about to connect to, after all resolution. Addresses that carry an IPv4 address
// inside (IPv4-mapped, NAT64, 6to4) are judged by that one too.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace comity::connection {

/// An address as 4 (IPv4) or 16 (IPv6) octets in network order.
using address_octets = std::span<const std::uint8_t>;

/// "192.0.2.0/24", "2001:db8::/32", or an address alone.
class address_block {
public:
  /// nullopt where `text` is none, or has bits set behind its prefix.
  [[nodiscard]] static std::optional<address_block> parse(std::string_view text);
  [[nodiscard]] bool contains(address_octets) const noexcept;

private:
  std::array<std::uint8_t, 16> network_{};
  std::uint8_t octets_ = 0;  // 4 or 16
  std::uint8_t prefix_ = 0;
};

/// Immutable; any thread. Default-made, it forbids what "special" means and allows nothing of that.
class address_rules {
public:
  address_rules() = default;
  /// `forbidden` holds blocks and the word "special": every range of the IANA registries of special-purpose addresses
  /// that is not globally reachable, multicast included. `allowed` holds blocks taken out of those. The error is the
  /// first text that is neither.
  [[nodiscard]] static std::expected<address_rules, std::string> make(const std::vector<std::string>& forbidden,
                                                                      const std::vector<std::string>& allowed);
  /// False also for what is no address at all.
  [[nodiscard]] bool may_dial(address_octets) const noexcept;

private:
  bool special_ = true;
  std::vector<address_block> forbidden_;
  std::vector<address_block> allowed_;
};

}  // namespace comity::connection
