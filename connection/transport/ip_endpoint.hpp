// connection/transport/ip_endpoint.hpp: one end of a TCP connection, as the system and as people write it.
#pragma once

#include <cstdint>
#include <optional>

#include "dns/answer.hpp"

struct sockaddr_storage;

namespace comity::connection {

struct ip_endpoint {
  dns::address ip;  // an IPv4-mapped one as IPv4
  std::uint16_t port = 0;
};

/// nullopt where it is neither IPv4 nor IPv6.
[[nodiscard]] std::optional<ip_endpoint> from_system(const sockaddr_storage&) noexcept;
/// The two ends of a connected socket; nullopt where it is none any more.
[[nodiscard]] std::optional<ip_endpoint> local_end(int socket) noexcept;
[[nodiscard]] std::optional<ip_endpoint> remote_end(int socket) noexcept;

}  // namespace comity::connection
