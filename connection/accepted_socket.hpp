// connection/accepted_socket.hpp: a connection that has come in, on its way to what will serve it.
//
// A listener makes it, a front (connection/front/) may look at its first bytes and route it, and whoever speaks its
// protocol takes it over. Whoever holds it owns the descriptor. It goes from hand to hand on one loop's thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "connection/limits.hpp"
#include "connection/vocabulary.hpp"
#include "dns/answer.hpp"
#include "tls/stream.hpp"

namespace comity::connection {

struct accepted_socket {
  int descriptor = -1;  // connected and non-blocking
  std::string address;  // of the client, for logs and the operator: "192.0.2.7:51234"
  connection::method method = method::starttls;
  ip_limits::permit permit;                                                     // of that address
  std::optional<dns::address> ip = std::nullopt;                                // the same address, to be compared
  std::chrono::steady_clock::time_point at = std::chrono::steady_clock::now();  // when it came: deadlines count from it
  /// TLS where it is established already, on that descriptor; else nothing has been read, and TLS, if it is to be,
  /// begins with what the descriptor holds.
  std::optional<tls::stream> tls = std::nullopt;
  std::string unread =
      {};  // the first bytes inside TLS, decrypted to tell what they are: those the peer sent before others
  bool introduced = false;          // who the client is, a proxy has said by a PROXY header
  bool decrypted_by_proxy = false;  // a WebSocket without TLS here, whose TLS ends at a proxy that is trusted
};

}  // namespace comity::connection
