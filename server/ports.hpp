// server/ports.hpp: the ports that are listened on, and the way from each to whoever serves what comes in.
//
// Made, started and destroyed by the daemon's control thread; accepts on the first loop, and serves on the loop with
// the fewest connections. What is plainly a stream's port goes to the stream at once; all else goes through a front
// (connection/front/).
#pragma once

#include <expected>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/front/front_connection.hpp"
#include "connection/limits.hpp"
#include "connection/listener.hpp"
#include "connection/log.hpp"
#include "server/config/settings.hpp"
#include "server/loop_pool.hpp"
#include "tls/context.hpp"

namespace comity::server {

/// Every way in that the listeners of the configuration allow, for the metrics.
[[nodiscard]] std::vector<connection::route> inbound_routes(const config::settings&);

/// The ports at which strangers reach WebSocket under TLS of ours, for them to be told (XEP-0156): not those that are
/// for this machine or for proxies alone, which are reached under other numbers.
[[nodiscard]] std::vector<std::uint16_t> websocket_ports(const std::vector<config::listen_settings>& opened);

/// How a front handles what comes in on that port; nullptr where none is needed.
[[nodiscard]] std::shared_ptr<const connection::front_settings> front_of(const config::listen_settings&,
                                                                         const config::settings&);

class ports {
public:
  struct collaborators {  // all outlive it
    loop_pool& loops;
    connection::ip_limits& limits;
    const tls::server_context& tls;
    log::sink& log;
  };
  /// Binds all of them. The error is one line.
  [[nodiscard]] static std::expected<std::unique_ptr<ports>, std::string> open(collaborators, const config::settings&,
                                                                               connection::front_takers);
  ~ports();
  ports(const ports&) = delete;
  ports& operator=(const ports&) = delete;

  /// Begins to accept. Before the loops run.
  void start();
  /// Accepts no more. On the first loop.
  void close();
  /// As configured, with the numbers that the system chose where the configuration left it to. Any thread.
  [[nodiscard]] std::vector<config::listen_settings> opened() const;
  /// After a reload: limits and proxies for connections to come; the ports stay those that are open.
  void configure(const config::settings&);

private:
  struct port {
    config::listen_settings as;
    std::uint16_t number = 0;
    std::shared_ptr<const connection::front_settings> front;  // under lock_
    std::unique_ptr<connection::listener> listener;
  };
  ports(collaborators, connection::front_takers);
  void take(port&, connection::accepted_socket);
  [[nodiscard]] std::shared_ptr<const connection::front_settings> front(const port&);

  collaborators with_;
  connection::front_takers takers_;
  std::mutex lock_;  // held for the copy of a pointer
  std::vector<std::unique_ptr<port>> ports_;
};

}  // namespace comity::server
