// server/config/value_text.hpp: how values are written, in the file and in messages about it. Pure.
//
// What the operator is told of them (describe, written, in_quotes) is declared with the values; here is what reading
// them shares.
#pragma once

#include <sys/un.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "server/config/values.hpp"

namespace comity::config {

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};

/// A unit, and how many of the smallest it is.
struct scale {
  std::string_view unit;
  std::uint64_t factor;
};
inline constexpr std::array durations{scale{"ms", 1}, scale{"s", 1000}, scale{"m", 60'000}, scale{"h", 3'600'000}};
inline constexpr std::array sizes{scale{"", 1}, scale{"KiB", 1U << 10U}, scale{"MiB", 1U << 20U},
                                  scale{"GiB", 1U << 30U}};

inline constexpr std::size_t socket_path_most = sizeof(sockaddr_un::sun_path) - 1;

/// The whole of it, as a TOML string.
[[nodiscard]] std::string toml_string(std::string_view text);
/// As it may stand before a "=".
[[nodiscard]] std::string toml_key(std::string_view name);

}  // namespace comity::config
