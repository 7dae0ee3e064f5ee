// connection/keyed_hash.hpp: the hash of tables whose keys strangers choose: addresses, and domains (THREATS G9).
//
// The standard library's is the same in every process, and names that it maps to one number are made in any number: a
// table of such names is a list. SipHash-1-3 (Aumasson and Bernstein; the fewer rounds do for tables) under a key that
// is drawn once a process and never told tells nobody beforehand what collides. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace comity::connection {

/// Two words of 64 bits.
using sip_key = std::array<std::uint64_t, 2>;

[[nodiscard]] std::uint64_t sip_hash_1_3(const sip_key&, std::string_view) noexcept;

/// For std::unordered_map, of std::string or std::string_view. Not noexcept, from which libstdc++ takes it to be slow
/// and keeps the hash of each key beside it, so that a search makes one.
struct keyed_hash {
  [[nodiscard]] std::size_t operator()(std::string_view) const;
};

}  // namespace comity::connection
