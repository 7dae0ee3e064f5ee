// server/admin/arguments.hpp: the arguments of a command, which may be of any type or missing.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>

namespace comity::admin {

/// "" where it is missing or no string.
[[nodiscard]] inline std::string text_in(const nlohmann::json& args, const char* name) {
  const auto found = args.find(name);
  return found != args.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

/// A bool or a whole number; `otherwise` where it is missing or of another type.
template <typename T>
[[nodiscard]] T value_in(const nlohmann::json& args, const char* name, T otherwise) {
  const auto found = args.find(name);
  const bool fits =
      found != args.end() && (std::is_same_v<T, bool> ? found->is_boolean() : found->is_number_unsigned());
  return fits ? found->template get<T>() : otherwise;
}

}  // namespace comity::admin
