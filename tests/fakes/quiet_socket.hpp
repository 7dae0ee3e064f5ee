// tests/fakes/quiet_socket.hpp: OpenSSL on a test's own descriptor, without a signal when the other end has gone.
#pragma once

#include <openssl/ssl.h>

#include "tls/socket_bio.hpp"

namespace comity::fakes {

/// As SSL_set_fd; but OpenSSL's own way to a socket raises SIGPIPE, which would end the test program.
inline void attach_socket(SSL* ssl, int descriptor) {
  auto* socket = tls::new_socket_bio(descriptor);
  SSL_set_bio(ssl, socket, socket);
}

}  // namespace comity::fakes
