// tls/connection_state.hpp: what the callbacks of one handshake share with its stream. Private to tls.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace comity::tls {

class certificate_table;
class ticket_keys;

/// Tied to its SSL as ex_data; owned by the stream.
struct connection_state {
  std::shared_ptr<const certificate_table> table;
  ticket_keys* tickets = nullptr;          // of the server_context, which outlives the stream
  std::span<const std::string_view> alpn;  // what may be selected; a literal list
  std::string default_domain;              // whose certificate answers a ClientHello without SNI
  std::string sni;                         // as offered
  std::vector<std::string> offered;        // ALPN names as offered, the first few
  bool unknown_name = false;               // we refused the name
  bool no_overlap = false;                 // we refused the protocols
  bool established = false;                // the handshake is over
  bool renegotiated = false;               // the peer began another handshake inside TLS
  bool said_goodbye = false;               // close_notify is on its way
  unsigned key_updates = 0;                // that the peer sent
};

[[nodiscard]] connection_state* state_of(const SSL*) noexcept;
void attach(SSL*, connection_state*) noexcept;

}  // namespace comity::tls
