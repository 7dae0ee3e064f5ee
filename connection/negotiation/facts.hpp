// connection/negotiation/facts.hpp: what is established about a stream so far, as features may know it.
//
// Facts only grow: a stream restart drops the stream (parser, id, offers), never a proof already made. A new transport
// starts from none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "connection/connection_metrics.hpp"
#include "connection/jid.hpp"
#include "connection/negotiation/domain_flow.hpp"
#include "connection/s2s/trust.hpp"
#include "connection/sasl/mechanism.hpp"
#include "connection/stream_framing.hpp"

namespace comity::connection {

/// What one side says it takes on a stream (XEP-0478 §4); nullopt where it says nothing.
struct stream_limits {
  std::optional<std::uint32_t> max_bytes;     // of one first-level element
  std::optional<std::uint32_t> idle_seconds;  // of silence, after which it may end the stream
  [[nodiscard]] constexpr bool empty() const noexcept { return !max_bytes && !idle_seconds; }
  friend bool operator==(const stream_limits&, const stream_limits&) = default;
};

struct stream_facts {
  connection::route route;           // scope, direction and method of this connection
  std::string local_domain;          // our host the peer addressed; "" before the first header
  bool encrypted = false;            // TLS is established, or ends at a proxy that is trusted
  channel_bindings bindings;         // of that TLS
  std::optional<jid> authenticated;  // bare JID of the proven user; of a server, its domain proven by SASL
  std::optional<jid> bound;          // its full JID
  mechanism authenticated_by = mechanism::unknown;
  // streams between servers
  std::string stream_id;                   // of the stream that is open, given by the receiving entity
  std::string peer_domain;                 // `from` of the peer's header under TLS; "" where it gave none
  std::optional<trust::verdict> judgment;  // of the peer's certificate as that domain's, once known
  domain_flows flows;                      // towards us: what the peer may send stanzas for
  bool bidi = false;                       // stanzas go both ways (XEP-0288)
  stream_limits peer_limits;               // what the peer said it takes

  [[nodiscard]] stream_framing framing() const noexcept { return framing_of(route.method); }
};

}  // namespace comity::connection
