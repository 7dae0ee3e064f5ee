// connection/negotiation/client_state.hpp: what clients say of whether their user looks at them (XEP-0352).
//
// Pure. It is told once a resource is bound; nothing is answered, and nothing is counted by stream management.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "connection/xml/document.hpp"

namespace comity::connection {

inline constexpr std::string_view ns_csi = "urn:xmpp:csi:0";

enum class client_state : std::uint8_t { active, inactive };

/// Of a first-level element; nullopt where it says nothing of the kind.
[[nodiscard]] inline std::optional<client_state> read_client_state(const xml::element& e) noexcept {
  if (e.is("active", ns_csi)) {
    return client_state::active;
  }
  return e.is("inactive", ns_csi) ? std::optional{client_state::inactive} : std::nullopt;
}

}  // namespace comity::connection
