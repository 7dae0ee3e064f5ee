// connection/front/sniffer.hpp: what a client that offered no ALPN speaks, by the first bytes inside its TLS. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "connection/xml/framer.hpp"
#include "connection/xml/parser.hpp"

namespace comity::connection {

/// `other` is nothing that is served here, or too long before it could be told.
enum class sniffed : std::uint8_t { needs_more, c2s, s2s, http, other };

/// The longest request line; RFC 9112 §3 asks for 8000 bytes at least.
inline constexpr std::size_t request_line_most = 8192;

/// `bytes` are the first ones of the connection, any number of them; with more, ask again. HTTP is a whole request line
/// of HTTP/1.0 or 1.1 (RFC 9112 §3); a stream is a whole header whose default namespace says whose it is (RFC 6120
/// §4.8.2). `parser` is lent.
[[nodiscard]] sniffed sniff(std::string_view bytes, const xml::framer_limits&, xml::parser& parser);

}  // namespace comity::connection
