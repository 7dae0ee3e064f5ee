#include "connection/log.hpp"

namespace comity::log {

std::string_view to_string(level l) noexcept {
  switch (l) {
    case level::trace:
      return "trace";
    case level::debug:
      return "debug";
    case level::info:
      return "info";
    case level::warn:
      return "warn";
    case level::error:
      return "error";
  }
  return "";
}

std::optional<level> level_of(std::string_view name) noexcept {
  for (std::size_t i = 0; i < level_count; ++i) {
    if (const auto l = static_cast<level>(i); to_string(l) == name) {
      return l;
    }
  }
  return std::nullopt;
}

}  // namespace comity::log
