// connection/s2s/posh.hpp: the documents by which a domain says over HTTPS which certificates its servers have (RFC
// 7711).
//
// Pure: the text of a document in, its meaning out. Who fetches and keeps it is the server's posh_store.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace comity::connection::posh {

/// One certificate by its hashes, raw.
struct fingerprint {
  std::string sha256, sha512;  // "" where a document does not give it
  friend bool operator==(const fingerprint&, const fingerprint&) = default;
};

/// RFC 7711 §3.1. Holds at least one fingerprint.
struct fingerprints {
  std::vector<fingerprint> all;
  std::chrono::seconds expires{};  // over zero
};

/// RFC 7711 §3.2: the fingerprints are elsewhere.
struct reference {
  std::string url;
  std::chrono::seconds expires{};  // over zero
};

/// The longest that anything is kept, whatever its author says: never for ever (RFC 7711 §6, K06).
inline constexpr std::chrono::seconds expires_most = std::chrono::hours{24};
inline constexpr std::size_t document_bytes = std::size_t{64} * 1024;
inline constexpr std::size_t fingerprints_most = 64;

using document = std::variant<fingerprints, reference>;

/// Reads a document. The error says why it is worth nothing: it is then as if there were none. `expires` is cut at
/// expires_most; 0 is an error, since what it stands beside is invalid (K06).
[[nodiscard]] std::expected<document, std::string> read(std::string_view json);

/// "https://im.example/.well-known/posh/xmpp-server.json" (K05, RFC 7711 §8); `domain` in A-labels.
[[nodiscard]] std::string url_of(std::string_view domain);

/// Is that certificate, both of its hashes given, among them? Compared by the strongest that is announced.
[[nodiscard]] bool names(const fingerprints&, const fingerprint& certificate);

}  // namespace comity::connection::posh
