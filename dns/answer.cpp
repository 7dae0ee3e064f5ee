#include "dns/answer.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace comity::dns {

std::string_view to_string(record_type t) noexcept {
  static constexpr std::array<std::string_view, record_type_count> names{"A", "AAAA", "SRV", "TLSA"};
  return names[static_cast<std::size_t>(t)];
}

std::string_view to_string(security s) noexcept {
  static constexpr std::array<std::string_view, security_count> names{"secure", "insecure", "bogus", "none"};
  return names[static_cast<std::size_t>(s)];
}

std::string_view to_string(outcome o) noexcept {
  static constexpr std::array<std::string_view, outcome_count> names{"records", "nodata",  "nxdomain", "servfail",
                                                                     "bogus",   "timeout", "cancelled"};
  return names[static_cast<std::size_t>(o)];
}

std::optional<address> address::from_bytes(std::span<const std::uint8_t> bytes) noexcept {
  if (bytes.size() != 4 && bytes.size() != 16) {
    return std::nullopt;
  }
  address result;
  result.size_ = static_cast<std::uint8_t>(bytes.size());
  std::ranges::copy(bytes, result.bytes_.begin());
  return result;
}

std::optional<address> address::parse(std::string_view text) noexcept {
  std::array<char, INET6_ADDRSTRLEN> copy{};
  if (text.size() >= copy.size() || text.contains('\0')) {
    return std::nullopt;
  }
  std::ranges::copy(text, copy.begin());
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, copy.data(), bytes.data()) == 1) {
    return from_bytes(std::span{bytes}.first(4));
  }
  if (inet_pton(AF_INET6, copy.data(), bytes.data()) == 1) {
    return from_bytes(bytes);
  }
  return std::nullopt;
}

std::string address::text() const {
  std::array<char, INET6_ADDRSTRLEN> out{};
  inet_ntop(v4() ? AF_INET : AF_INET6, bytes_.data(), out.data(), out.size());
  return out.data();
}

}  // namespace comity::dns
