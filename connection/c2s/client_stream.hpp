// connection/c2s/client_stream.hpp: one client's connection, from the accepted socket to its end.
//
// The driver around the pure negotiator: it moves bytes between socket, TLS, framer and parser, performs the
// negotiator's actions, keeps the deadlines, and, once a resource is bound, hands stanzas to the server and the
// server's to the client. STARTTLS, direct TLS and WebSocket are the same path: direct TLS merely begins at the
// handshake, and WebSocket, whose opening handshake somebody has done before, behind it. It is owned by its loop's
// loop_connections and lives on that loop. Negotiation state is dropped once a resource is bound, so what an idle
// client costs is the descriptor, OpenSSL's own state and a few hundred bytes.
#pragma once

#include <memory>

#include "connection/accepted_socket.hpp"
#include "connection/c2s/c2s_host.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"

namespace comity::tls {
class server_context;
}

namespace comity::connection {

/// What a client stream works with; all of it outlives the stream.
struct c2s_collaborators {
  loop_connections& loop;
  c2s_host& host;
  const tls::server_context& tls;
  log::sink& log;
};

/// Starts serving; the stream is found in `collaborators.loop` from now on. That loop's thread only.
void serve_client(const c2s_collaborators& collaborators, std::shared_ptr<const c2s_settings> settings,
                  accepted_socket socket);

}  // namespace comity::connection
