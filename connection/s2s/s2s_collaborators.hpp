// connection/s2s/s2s_collaborators.hpp: what server streams of one loop work with.
#pragma once

#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "connection/s2s/s2s_host.hpp"

namespace comity::tls {
class server_context;
class client_context;
class session_cache;
}  // namespace comity::tls

namespace comity::dns {
class resolver;
}

namespace comity::connection {

class federation;
class known_certificates;
class s2s_metrics_cell;

/// All of it outlives the streams.
struct s2s_collaborators {
  loop_connections& loop;
  s2s_host& host;
  posh_source& posh;
  connection::federation& federation;
  dns::resolver& dns;
  const tls::server_context& server_tls;  // what we show to those who come in
  const tls::client_context& client_tls;  // and to those we go to
  tls::session_cache& sessions;           // theirs, to be resumed
  s2s_metrics_cell& metrics;              // of this loop
  known_certificates& known;
  random_below random;
  log::sink& log;
};

}  // namespace comity::connection
