// server/config/options.hpp: every option there is, one row each.
//
// The parser, the defaults, the messages of --check-config, deploy/comity.toml and comity.toml(5) are made from these
// rows and from nothing else. Adding an option is adding a field to settings.hpp and a row here.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include "server/config/settings.hpp"
#include "server/config/values.hpp"

namespace comity::config {

/// When a changed value takes effect.
enum class effect : std::uint8_t { at_reload, at_restart };

struct option_row {
  std::string_view table, key;
  value_kind kind;
  raw_value fallback;        // what holds when the key is absent; monostate: the key is required
  std::string_view example;  // what the annotated file shows in place of `fallback`; a required key has one
  effect takes_effect;
  std::string_view sentence;
};

/// A row together with the place of its value in `Owner`.
template <class Owner>
struct option {
  option_row row;
  void (*put)(Owner&, typed_value&&);
  typed_value (*value)(const Owner&);
};

struct section {
  std::string_view name;  // with the table it stands in: "s2s.peer"
  bool repeated;          // [[name]], else [name]
  bool by_need;           // most files have none: the annotated file shows it commented out
  std::string_view sentence;
};

/// In the order they are documented.
[[nodiscard]] std::span<const section> sections() noexcept;
[[nodiscard]] std::span<const option<settings>> options() noexcept;
[[nodiscard]] std::span<const option<host_settings>> host_options() noexcept;
[[nodiscard]] std::span<const option<listen_settings>> listen_options() noexcept;
[[nodiscard]] std::span<const option<peer_settings>> peer_options() noexcept;
/// The rows of one section.
[[nodiscard]] std::vector<const option_row*> rows_of(std::string_view section_name);

/// What is listened on when the file has no [[listen]]; for servers only where s2s.enabled says so.
struct default_listener {
  std::string_view address, protocol, tls;
};
inline constexpr std::array default_listeners{
    default_listener{"[::]:5222", "c2s", "starttls"}, default_listener{"[::]:5223", "c2s", "direct"},
    default_listener{"[::]:5269", "s2s", "starttls"}, default_listener{"[::]:5270", "s2s", "direct"}};

/// The known name nearest to `name` by Damerau-Levenshtein distance; the first of equals. `known` is not empty.
[[nodiscard]] std::string_view nearest(std::string_view name, std::span<const std::string_view> known);

}  // namespace comity::config
