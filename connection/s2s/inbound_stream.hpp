// connection/s2s/inbound_stream.hpp: one remote server's connection to us, from the accepted socket to its end.
//
// STARTTLS and direct TLS are the same path, as on a client's stream. What a peer may say it says for pairs of domains,
// each authorised on its own: by its certificate (SASL EXTERNAL, or a dialback answered from the certificate) or by
// asking the domain's own server (XEP-0220). Owned by its loop's loop_connections; lives on that loop.
#pragma once

#include <memory>

#include "connection/s2s/s2s_collaborators.hpp"

namespace comity::connection {

struct accepted_socket;

/// Starts serving; the stream is found in `with.loop` from now on. That loop's thread only.
void serve_server(const s2s_collaborators& with, std::shared_ptr<const s2s_settings> settings, accepted_socket socket);

}  // namespace comity::connection
