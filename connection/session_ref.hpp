// connection/session_ref.hpp: the name of one connection inside this process.
#pragma once

#include <cstdint>
#include <functional>

namespace comity::connection {

/// Which loop a connection lives on, and its number there. Numbers are never used twice in one process, so a reference
/// to a connection that has ended names nothing and is harmless. A plain value, for any thread.
struct session_ref {
  std::uint32_t loop = 0;
  std::uint64_t id = 0;
  friend bool operator==(const session_ref&, const session_ref&) = default;
};

}  // namespace comity::connection

template <>
struct std::hash<comity::connection::session_ref> {
  std::size_t operator()(const comity::connection::session_ref& r) const noexcept {
    return std::hash<std::uint64_t>{}(r.id * 0x9e3779b97f4a7c15ULL + r.loop);
  }
};
