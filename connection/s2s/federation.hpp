// connection/s2s/federation.hpp: the way to all remote domains, over all loops.
//
// Everything about one pair of domains (local, remote) that goes out, its queue, discovery, attempts and stream, lives
// on one loop, the pair's home, chosen by the names; so no lock guards it. Calls may come on any thread: they are
// posted to the home, in order for any one caller.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connection/connection_info.hpp"
#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "connection/s2s/explanation.hpp"
#include "connection/s2s/s2s_host.hpp"
#include "connection/session_ref.hpp"
#include "connection/stanza.hpp"

namespace comity::tls {
class server_context;
class client_context;
class session_cache;
}  // namespace comity::tls

namespace comity::dns {
class resolver;
}

namespace comity::connection {

class outbound_links;
class s2s_metrics;
struct s2s_collaborators;

/// Two domains, ours and theirs, both enforced. Swapped they would be another pair, hence the type.
struct domain_pair {
  std::string local;
  std::string remote;
  friend auto operator<=>(const domain_pair&, const domain_pair&) = default;
};

class federation {
public:
  struct collaborators {  // all outlive the federation
    std::vector<loop_connections*> loops;
    s2s_host& host;
    posh_source& posh;
    dns::resolver& dns;
    const tls::server_context& server_tls;
    const tls::client_context& client_tls;
    tls::session_cache& sessions;
    s2s_metrics& metrics;
    log::sink& log;
    random_below random;  // any thread
  };
  explicit federation(const collaborators&);
  /// The loops must have stopped.
  ~federation();
  federation(const federation&) = delete;
  federation& operator=(const federation&) = delete;

  /// What streams on that loop work with, serve_server() above all.
  [[nodiscard]] const s2s_collaborators& on(std::size_t loop) const noexcept;

  /// Takes a stanza from a local to a remote domain; from here on it is delivered, or its sender told, once. Any
  /// thread.
  void send(stanza_ref);

  /// Resolves and, unless `dry_run`, connects anew beside what is there, as far as an authenticated stream, and tells
  /// every step. `done` is called once, on some loop.
  void explain(domain_pair, bool dry_run, std::move_only_function<void(explanation)> done);

  /// Ends every stream to and from the domain, and what waits for it is bounced. Any thread.
  void close(std::string remote, std::string text);

  /// The first phase of stopping: what waits is bounced with <remote-server-timeout/>, nothing is dialled any more, and
  /// every stream to a peer says <system-shutdown/>. Any thread.
  void stop();

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::connection
