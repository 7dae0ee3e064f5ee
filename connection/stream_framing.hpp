// connection/stream_framing.hpp: the two ways an XML stream lies on its transport.
#pragma once

#include <cstdint>
#include <string_view>

#include "connection/vocabulary.hpp"

namespace comity::connection {

enum class stream_framing : std::uint8_t {
  tcp,        // RFC 6120 §4.2: one document from <stream:stream> to </stream:stream>, its elements inside
  websocket,  // RFC 7395 §3.3: a document for each element, and for <open/> and <close/>, each in a message of its own
};

[[nodiscard]] constexpr stream_framing framing_of(method m) noexcept {
  return m == method::websocket ? stream_framing::websocket : stream_framing::tcp;
}

/// Of <open/> and <close/> (RFC 7395 §3.3.2).
inline constexpr std::string_view ns_framing = "urn:ietf:params:xml:ns:xmpp-framing";

}  // namespace comity::connection
