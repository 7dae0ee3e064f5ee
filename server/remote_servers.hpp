// server/remote_servers.hpp: all that the daemon has for other servers: resolver, POSH, TLS as a client, the
// federation, and how the configuration rules them.
//
// Made and destroyed by the daemon's control thread. The loops outlive it, and have stopped when it goes.
#pragma once

#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/listener.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "connection/s2s/explanation.hpp"
#include "dns/child_resolver.hpp"
#include "dns/settings.hpp"
#include "server/config/config.hpp"
#include "server/loop_pool.hpp"
#include "server/router.hpp"
#include "tls/chain.hpp"
#include "tls/context.hpp"

namespace comity::server {

/// [dns] as the resolver takes it.
[[nodiscard]] dns::settings dns_settings_of(const config::dns_settings&);

class remote_servers {
public:
  struct collaborators {  // all outlive it
    loop_pool& loops;
    const tls::server_context& tls;
    log::sink& log;
    dns::child_starter resolver_process;
  };
  /// Starts the resolver. The error is one line: what of [dns] cannot be used.
  [[nodiscard]] static std::expected<std::unique_ptr<remote_servers>, std::string> open(
      collaborators, const config::settings&, std::shared_ptr<const tls::trust_store> authorities);
  ~remote_servers();
  remote_servers(const remote_servers&) = delete;
  remote_servers& operator=(const remote_servers&) = delete;

  /// What the router sends to other domains by.
  [[nodiscard]] remote_route& route() noexcept;
  /// Before the loops run.
  void attach(router&);

  /// A server has connected. On the thread of `where`.
  void serve(connection::loop_connections& where, connection::accepted_socket);

  /// For lookups, streams and fetches to come; on an error all stays as it was. Control thread.
  [[nodiscard]] std::expected<void, std::string> reload(const config::settings&,
                                                        std::shared_ptr<const tls::trust_store> authorities);
  /// The same for the authorities alone. Control thread.
  void trust(std::shared_ptr<const tls::trust_store> authorities);
  /// How a domain is reached, tried now; every step is told on one loop (connection::federation). Any thread.
  void explain(connection::explain_request, std::function<void(connection::explained_step)> told);
  /// Ends every stream to and from the domain, and what waits for it goes back. Any thread.
  void close(std::string domain, std::string text);
  /// The first phase of stopping: every stream between servers is told, what waits goes back. Any thread.
  void stop();
  /// The loops have stopped: nothing is resolved or fetched any more.
  void loops_stopped();

  /// comity_s2s_* and comity_dns_*.
  [[nodiscard]] std::vector<std::shared_ptr<prometheus::Collectable>> collectables() const;

private:
  struct parts;
  explicit remote_servers(std::unique_ptr<parts>) noexcept;
  std::unique_ptr<parts> parts_;
};

}  // namespace comity::server
