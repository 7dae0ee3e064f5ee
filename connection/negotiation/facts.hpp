// connection/negotiation/facts.hpp: what is established about a stream so far, as features may know it.
//
// Facts only grow: a stream restart drops the stream (parser, id, offers), never a proof already made. A new transport
// starts from none.
#pragma once

#include <optional>
#include <string>

#include "connection/connection_metrics.hpp"
#include "connection/jid.hpp"
#include "connection/sasl/mechanism.hpp"

namespace comity::connection {

struct stream_facts {
  connection::route route;           // scope, direction and method of this connection
  std::string local_domain;          // our host the peer addressed; "" before the first header
  bool encrypted = false;            // TLS is established
  channel_bindings bindings;         // of that TLS
  std::optional<jid> authenticated;  // bare JID of the proven user
  std::optional<jid> bound;          // its full JID
  mechanism authenticated_by = mechanism::unknown;
};

}  // namespace comity::connection
