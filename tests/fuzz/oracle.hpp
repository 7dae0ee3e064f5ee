// tests/fuzz/oracle.hpp: what every target needs: to say that something must hold, and to take its input apart.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string_view>

namespace comity::fuzz {

/// Ends the process, where libFuzzer keeps the input, and says which line did not hold.
inline void must(bool holds, std::source_location at = std::source_location::current()) {
  if (!holds) {
    std::fprintf(stderr, "%s:%u: this does not hold\n", at.file_name(), static_cast<unsigned>(at.line()));
    std::abort();
  }
}

inline std::string_view text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// Takes the first byte off; 0 where there is none.
inline std::uint8_t take_byte(std::string_view& input) {
  if (input.empty()) {
    return 0;
  }
  const auto byte = static_cast<std::uint8_t>(input.front());
  input.remove_prefix(1);
  return byte;
}

/// Takes what is in front of the next `separator`, and the separator, off.
inline std::string_view take_until(std::string_view& input, char separator) {
  const auto part = input.substr(0, input.find(separator));
  input.remove_prefix(std::min(input.size(), part.size() + 1));
  return part;
}

}  // namespace comity::fuzz
