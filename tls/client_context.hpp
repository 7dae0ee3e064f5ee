// tls/client_context.hpp: the TLS policy of BCP 195 (RFC 9325) for connections that we open to other servers.
//
// One for the whole daemon, beside the server_context whose certificates it presents, each for its own domain. The
// handshake accepts any certificate within certificate_limits: the peer is judged afterwards, by what the stream's
// peer() holds. Any thread may start a handshake.
#pragma once

#include <memory>

namespace comity::tls {

class server_context;

class client_context {
public:
  /// Takes certificates and lowest version from the table that is in force in `ours` when a connection begins; `ours`
  /// outlives this.
  explicit client_context(const server_context& ours);
  ~client_context();
  client_context(const client_context&) = delete;
  client_context& operator=(const client_context&) = delete;

private:
  friend class stream;
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::tls
