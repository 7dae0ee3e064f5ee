// connection/front/forwarder.hpp: a connection passed on to another program as it came, the ClientHello first.
//
// Bytes go both ways untouched. Neither side is read while what it said before waits for the other (back-pressure), and
// the end of one side is passed on while the other still speaks (half-close). Owned by its loop's loop_connections;
// lives on that loop.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "connection/accepted_socket.hpp"
#include "connection/front/alpn_router.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "tls/client_hello.hpp"

namespace comity::connection {

struct forwarding {
  accepted_socket client;
  front_route to;
  std::string introduction;           // goes to the backend before the client's first byte: a PROXY header, or nothing
  tls::client_hello hello;            // for the operator
  std::chrono::milliseconds timeout;  // for the backend to be reached; then the client gets internal_error
};

/// That loop's thread only. The references outlive the connection.
void forward(loop_connections&, log::sink&, forwarding);

}  // namespace comity::connection
