// server/element_limits.hpp: what the configuration lets a peer send, as limits of the framer. The same for clients and
// servers, but for the largest stanza.
#pragma once

#include <cstddef>

#include "connection/xml/framer.hpp"
#include "server/config/settings.hpp"

namespace comity::server {

/// Of a peer that is authenticated; `stanza_bytes` is its largest stanza.
[[nodiscard]] xml::framer_limits authenticated_limits(const config::limit_settings&, std::size_t stanza_bytes);

/// Of one that is not yet: nothing legitimate is large by then (THREATS A11).
[[nodiscard]] xml::framer_limits unauthenticated_limits(const config::limit_settings&);

}  // namespace comity::server
