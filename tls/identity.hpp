// tls/identity.hpp: whether the names in a certificate are those of the peer we mean (RFC 6125 §6, RFC 6120 §13.7.1.2).
//
// Pure: names in, a match out. Comparison is of A-labels, ASCII case-insensitive. The common name is never looked at
// (G09, RFC 9525 §2). The same for both directions, and for STARTTLS and direct TLS.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace comity::tls {

/// The subjectAltName of a certificate, as presented: nothing in it is checked yet.
struct presented_identifiers {
  std::vector<std::string> dns;   // DNS-ID: dNSName, perhaps with a wildcard
  std::vector<std::string> srv;   // SRV-ID: SRVName (RFC 4985), "_xmpp-server.a.example"
  std::vector<std::string> xmpp;  // XmppAddr (RFC 6120 §13.7.1.4), UTF-8
};

enum class xmpp_service : std::uint8_t { server, client };

/// A name the peer may be known by (RFC 6125 §6.2).
struct reference_identity {
  /// The service domain: the stream's `to` when we opened it, its `from` when the peer did (G03). DNS-ID, SRV-ID of the
  /// service and XmppAddr count. `unicode` is the enforced domainpart of the JID, for XmppAddr; "" where it is the
  /// same.
  [[nodiscard]] static reference_identity service_domain(std::string_view a_labels, std::string_view unicode = {},
                                                         xmpp_service service = xmpp_service::server);
  /// A host that a *secure* SRV record delegates the service to (B12, RFC 7673 §4.1). DNS-ID alone counts.
  [[nodiscard]] static reference_identity target_host(std::string_view a_labels);

  std::string name;     // A-labels
  std::string unicode;  // or ""
  xmpp_service service = xmpp_service::server;
  bool host = false;  // a target, not the service domain
};

enum class identifier_kind : std::uint8_t { none, dns_id, srv_id, xmpp_addr };

/// What was found, for the log: true where anything was.
struct identity_match {
  identifier_kind kind = identifier_kind::none;
  std::string presented;      // the identifier that matched
  std::size_t reference = 0;  // which of the references given
  [[nodiscard]] explicit operator bool() const noexcept { return kind != identifier_kind::none; }
};

/// The first presented identifier that one of the references names.
[[nodiscard]] identity_match match_identity(const presented_identifiers&, std::span<const reference_identity>);

/// RFC 6125 §6.4: a DNS-ID against a name of A-labels. A wildcard is the whole leftmost label and stands for exactly
/// one label (G07); it never stands directly below the root, and a malformed identifier matches nothing.
[[nodiscard]] bool dns_id_matches(std::string_view presented, std::string_view name);

}  // namespace comity::tls
