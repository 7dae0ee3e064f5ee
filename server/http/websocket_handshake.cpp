#include "server/http/websocket_handshake.hpp"

#include <algorithm>

#include "tls/crypto.hpp"

namespace comity::http {

namespace {

constexpr std::string_view version = "13";
constexpr std::string_view subprotocol = "xmpp";
constexpr std::size_t key_bytes = 16;

response refusal(unsigned status, std::string why) {
  return {.status = status, .body = std::move(why)};
}

/// RFC 6455 §4.2.2 (4): compared as serialised, in lower case; one Origin field, or it is not believed.
bool may_come(const request& r, const std::vector<std::string>& origins) {
  const auto* origin = r.first("origin");
  if (origin == nullptr || std::ranges::find(origins, "*") != origins.end()) {
    return true;
  }
  return std::ranges::count(r.fields, "origin", &field::name) == 1 &&
         std::ranges::any_of(origins, [&](const auto& o) { return same_token(o, *origin); });
}

}  // namespace

std::string websocket_accept(std::string_view key) {
  return tls::base64_encode(
      tls::digest(tls::hash::sha1, std::string{key}.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
}

response websocket_handshake(const request& r, const std::vector<std::string>& origins) {
  if (!r.from.secure) {
    return refusal(403, "WebSocket is served over TLS alone.\n");
  }
  if (r.method != "GET" || r.minor_version == 0 || !r.lists("upgrade", "websocket") ||
      !r.lists("connection", "upgrade")) {
    auto other = refusal(426, "This is for WebSocket (RFC 7395).\n");
    other.upgrade = "websocket";
    return other;
  }
  const auto* asked = r.first("sec-websocket-version");
  if (asked == nullptr || *asked != version) {
    auto other = refusal(426, "WebSocket here is of version 13.\n");
    other.upgrade = "websocket";
    other.fields.push_back({"Sec-WebSocket-Version", std::string{version}});
    return other;
  }
  const auto* key = r.first("sec-websocket-key");
  const auto decoded = key == nullptr ? std::nullopt : tls::base64_decode(*key);
  if (!decoded || decoded->size() != key_bytes ||
      std::ranges::count(r.fields, "sec-websocket-key", &field::name) != 1) {
    return refusal(400, "Sec-WebSocket-Key is to be 16 bytes in base64.\n");
  }
  const auto offered = r.elements("sec-websocket-protocol");
  if (std::ranges::find(offered, subprotocol) == offered.end()) {
    return refusal(400, "The only subprotocol here is xmpp.\n");
  }
  if (!may_come(r, origins)) {
    return refusal(403, "Pages of this origin may not connect.\n");
  }
  return {.status = 101,
          .fields = {{"Sec-WebSocket-Accept", websocket_accept(*key)},
                     {"Sec-WebSocket-Protocol", std::string{subprotocol}}},
          .upgrade = "websocket"};
}

}  // namespace comity::http
