// tls/connection_state.hpp: what the callbacks of one handshake share with its stream. Private to tls.
#pragma once

#include <openssl/ssl.h>

#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace comity::tls {

class certificate_table;
class ticket_keys;

struct session_free {
  void operator()(SSL_SESSION* s) const noexcept { SSL_SESSION_free(s); }
};

/// What there is besides where the peer presents a certificate: each server that we connect to, and clients asked for
/// one.
struct peer_state {
  std::string excess;                                // what it presented beyond certificate_limits
  std::unique_ptr<SSL_SESSION, session_free> given;  // by the server, the newest
  std::string foreign_protocol;                      // selected by the server, and not of our offer
  bool sni_acknowledged = false;                     // by the server
};

/// Tied to its SSL as ex_data; owned by the stream.
struct connection_state {
  std::shared_ptr<const certificate_table> table;
  ticket_keys* tickets = nullptr;          // of the server_context, which outlives the stream
  std::span<const std::string_view> alpn;  // what may be selected, or what we offer; a literal list
  std::string default_domain;              // whose certificate answers a ClientHello without SNI
  std::string sni;                         // as offered
  std::vector<std::string> offered;        // ALPN names as the peer offered them, the first few
  std::unique_ptr<peer_state> peer;        // nullptr for the many clients that are asked for no certificate
  bool unknown_name = false;               // we refused the name
  bool no_overlap = false;                 // we refused the protocols
  bool established = false;                // the handshake is over
  bool renegotiated = false;               // the peer began another handshake inside TLS
  bool said_goodbye = false;               // close_notify is on its way
  unsigned updates = 0;                    // of keys and tickets, that the peer sent after the handshake
};

[[nodiscard]] connection_state* state_of(const SSL*) noexcept;
/// False where OpenSSL has no memory for it.
[[nodiscard]] bool attach(SSL*, connection_state*) noexcept;

/// A callback's work, whose exceptions must not go through OpenSSL's frames: then it gives `otherwise`.
template <typename Work>
[[nodiscard]] int contained(int otherwise, Work work) noexcept {
  try {
    return work();
  } catch (const std::exception&) {  // no memory (THREATS X13)
    return otherwise;
  }
}

}  // namespace comity::tls
