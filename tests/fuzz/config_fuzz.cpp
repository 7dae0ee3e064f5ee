// Any text as a configuration file: refused with usable faults, or loaded, and then its canonical form loads the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/config/config.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto result = comity::config::load_text(text, "/etc/comity/comity.toml");
  if (!result) {
    if (result.error().empty()) {
      std::abort();
    }
    for (const auto& fault : result.error()) {
      if (fault.line < 1 || fault.column < 1 || fault.text.find("; ") == std::string::npos) {
        std::abort();
      }
      for (const char c : fault.text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          std::abort();
        }
      }
    }
    return 0;
  }
  const auto values = comity::config::canonical(*result);
  const auto again = comity::config::load_text(values, "/etc/comity/comity.toml");
  if (!again || comity::config::canonical(*again) != values ||
      !comity::config::restart_needed(*result, *again).empty()) {
    std::abort();
  }
  return 0;
}
