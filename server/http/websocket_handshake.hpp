// server/http/websocket_handshake.hpp: the opening handshake of a WebSocket that carries XMPP (RFC 6455 §4.2, RFC 7395
// §3.1). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.hpp"

namespace comity::http {

/// The answer to a GET: 101, and what follows on the connection is WebSocket's; or why not. `origins` are those that
/// may come ("*": any); who names none is no browser, and may (RFC 6455 §10.2). Nothing but TLS carries it (THREATS
/// B3).
[[nodiscard]] response websocket_handshake(const request&, const std::vector<std::string>& origins);

/// Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2).
[[nodiscard]] std::string websocket_accept(std::string_view key);

}  // namespace comity::http
