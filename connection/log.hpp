// connection/log.hpp: how the layers below the server say what happened: one event, one line.
//
// An event has a stable name ("c2s.established") and fields. Values are data: the sink escapes control characters, cuts
// them at 256 bytes and writes text or JSON. Secrets are never given to it. Any thread; never blocks.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace comity::log {

enum class level : std::uint8_t { trace, debug, info, warn, error };
inline constexpr std::size_t level_count = 5;
[[nodiscard]] std::string_view to_string(level) noexcept;
/// The level of that name; nullopt for no name of one.
[[nodiscard]] std::optional<level> level_of(std::string_view) noexcept;

struct field {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, bool> value;
};

class sink {
public:
  virtual ~sink() = default;
  [[nodiscard]] virtual bool enabled(level) const noexcept = 0;
  /// The views need to live for the call only.
  virtual void write(level, std::string_view event, std::initializer_list<field> fields) noexcept = 0;
};

}  // namespace comity::log
