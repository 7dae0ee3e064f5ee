// server/web_service.hpp: what is served by HTTP beside the streams: where our hosts have their WebSocket (XEP-0156)
// and by which certificates they are known (RFC 7711), and the way into the WebSocket itself (RFC 7395).
//
// Configured by the daemon's control thread, also while loops serve: a connection keeps what it began with.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "connection/accepted_socket.hpp"
#include "connection/limits.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "server/config/settings.hpp"
#include "server/http/http_connection.hpp"
#include "tls/context.hpp"

namespace comity::server {

/// Takes a connection over whose 101 is written; on its loop. TLS comes with it established; where there is none, a
/// proxy that is trusted has ended it.
using websocket_taker = std::function<void(connection::loop_connections&, connection::accepted_socket)>;

class web_service {
public:
  struct collaborators {  // all outlive it
    connection::ip_limits& limits;
    const tls::server_context& tls;
    log::sink& log;
  };
  web_service(collaborators, websocket_taker);
  /// What is served, by those settings and the ports that are open: before serve(), and after a reload.
  void configure(const config::settings&, const std::vector<config::listen_settings>& opened);
  /// On that loop.
  void serve(connection::loop_connections&, connection::accepted_socket);

private:
  collaborators with_;
  websocket_taker websocket_;
  std::mutex lock_;  // held for the copy of a pointer
  std::shared_ptr<const http::site> site_;
};

}  // namespace comity::server
