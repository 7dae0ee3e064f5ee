// tls/peer_certificate.hpp: what a peer presented: its certificate, and the chain that came with it.
//
// A handle, cheap to copy and immutable; any thread. It is held while a peer is judged, by identity, chain and dane; an
// established stream keeps no more of it than its summary or fingerprint.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/crypto.hpp"

namespace comity::tls {

class certificate_table;
struct presented_identifiers;

/// The most that a peer may present (THREATS B7). More ends the handshake with an alert, before anything is computed
/// with it. Bytes are those of the whole Certificate message.
struct certificate_limits {
  static constexpr std::size_t issuers = 5;  // certificates above the leaf
  static constexpr std::size_t bytes = std::size_t{64} * 1024;
  static constexpr std::size_t names = 256;                      // in one certificate's subjectAltName
  static constexpr int smallest_rsa = 2048, largest_rsa = 8192;  // bits; the smallest of the leaf alone
  static constexpr int largest_exponent = 32;                    // bits; larger ones only make verification slow
};

/// What an operator is shown of a certificate. Texts are one line without control characters.
struct certificate_summary {
  std::string subject, issuer;     // as RFC 2253 writes them
  std::vector<std::string> names;  // as presented: "DNS:a.example", "SRV:_xmpp-server.a.example", "XMPP:a.example"
  std::chrono::system_clock::time_point not_before, not_after;
  std::string sha256;  // of the DER, hex
};

class peer_credentials {
public:
  /// Of a peer that presented nothing.
  peer_credentials() noexcept = default;
  /// Whether there is a certificate.
  [[nodiscard]] explicit operator bool() const noexcept { return held_ != nullptr; }

  /// The inside, OpenSSL's; private to tls.
  struct held;
  explicit peer_credentials(std::shared_ptr<const held> inside) noexcept : held_{std::move(inside)} {}
  [[nodiscard]] const held& inside() const noexcept { return *held_; }

private:
  std::shared_ptr<const held> held_;
};

/// What we ourselves present for that host (A-labels), as a peer would see it; nothing for no host of ours.
[[nodiscard]] peer_credentials served_credentials(const certificate_table&, std::string_view domain);

// Of the leaf. The credentials must hold one.
[[nodiscard]] certificate_summary summary(const peer_credentials&);
[[nodiscard]] presented_identifiers identifiers(const peer_credentials&);
/// Hash of the DER, raw (RFC 7711 §3.1 takes it in base64, L11 compares it).
[[nodiscard]] std::string fingerprint(const peer_credentials&, hash);

}  // namespace comity::tls
