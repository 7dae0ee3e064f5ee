// server/certificates/certificate_keeper.hpp: keeps what is served, and whom others' certificates are believed by, as
// the files have it.
//
// Hears of a change, lets it settle, reads everything and puts it in force for handshakes to come; no connection
// notices. What is at fault is refused in one line, and what was in force stays: each host's certificate by itself.
// Warns of certificates that expire. Made by and living on the control thread.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "connection/log.hpp"
#include "server/certificates/settling.hpp"
#include "server/config/settings.hpp"
#include "tls/chain.hpp"
#include "tls/context.hpp"

namespace asio {
class io_context;
}

namespace comity::server {

class certificate_keeper {
public:
  struct collaborators {  // all outlive it
    asio::io_context& control;
    tls::server_context& tls;
    log::sink& log;
    std::function<std::chrono::system_clock::time_point()> now;
    /// Authorities and their lists were read anew; empty where there are no other servers.
    std::function<void(std::shared_ptr<const tls::trust_store>)> trust;
    settling::pace pace = {};
  };
  explicit certificate_keeper(collaborators);
  ~certificate_keeper();
  certificate_keeper(const certificate_keeper&) = delete;
  certificate_keeper& operator=(const certificate_keeper&) = delete;

  /// These settings are in force, with all that their files hold: says which certificates there are, and watches.
  void keep(const config::settings&);

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::server
