// server/element_limits.hpp: what the configuration lets a peer send, as limits of the framer and of its stream. The
// same for clients and servers, but for the largest stanza and the bytes a second.
#pragma once

#include <cstddef>
#include <cstdint>

#include "connection/xml/framer.hpp"
#include "server/config/settings.hpp"

namespace comity::server {

/// Of a peer that is authenticated; `stanza_bytes` is its largest stanza.
[[nodiscard]] xml::framer_limits authenticated_limits(const config::limit_settings&, std::size_t stanza_bytes);

/// Of one that is not yet: nothing legitimate is large by then (THREATS A11).
[[nodiscard]] xml::framer_limits unauthenticated_limits(const config::limit_settings&);

/// Sets the limits that streams of clients and of servers have alike, by their largest stanza and bytes a second.
/// `Settings`: c2s_settings or s2s_settings.
template <typename Settings>
void set_stream_limits(Settings& s, const config::limit_settings& l, std::size_t stanza_bytes,
                       std::uint64_t bytes_per_second) {
  s.after_authentication = authenticated_limits(l, stanza_bytes);
  s.before_authentication = unauthenticated_limits(l);
  s.tls_timeout = l.tls_timeout;
  s.handshake_timeout = l.handshake_timeout;
  s.send_queue_bytes = l.send_queue_bytes;
  s.bytes_per_second = bytes_per_second;
}

}  // namespace comity::server
