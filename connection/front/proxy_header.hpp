// connection/front/proxy_header.hpp: the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): a proxy
// says in front of all else whom it speaks for. Pure.
//
// Read only where the proxy is one that is to send it, since it decides whose limits and logs a connection counts for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "connection/transport/ip_endpoint.hpp"

namespace comity::connection {

/// The longest line of version 1; and what of version 2 is taken, with the TLVs that are passed over.
inline constexpr std::size_t proxy_line_most = 107;
inline constexpr std::size_t proxy_header_most = 4096;

struct proxy_header_reading {
  enum class status : std::uint8_t {
    needs_more,  // right so far
    complete,
    absent,     // these bytes begin something else
    malformed,  // they begin a header, but it breaks its own rules, or is longer than we take
  };
  status is = status::needs_more;
  std::size_t size = 0;  // needs_more: with fewer bytes nothing new can be told; complete: its own length
  std::optional<ip_endpoint> client = std::nullopt;  // none: the proxy speaks for itself (LOCAL, UNKNOWN, UNSPEC, UNIX)
  bool local = false;                                // LOCAL: a health check
};

/// `bytes` are the first ones of the connection, any number of them. With more of them, ask again.
[[nodiscard]] proxy_header_reading read_proxy_header(std::string_view bytes);

/// Version 2, PROXY, of a TCP connection between the two. Ends of different families are written as IPv6.
[[nodiscard]] std::string proxy_header(const ip_endpoint& client, const ip_endpoint& server);

}  // namespace comity::connection
