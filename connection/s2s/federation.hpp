// connection/s2s/federation.hpp: the way to all remote domains, over all loops.
//
// Everything about one pair of domains (ours, theirs) that goes out, its queue, discovery, attempts and stream, lives
// on one loop, the pair's home, chosen by the names; so no lock guards it. Calls may come on any thread: they are
// posted to the home, in order for any one caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection/log.hpp"
#include "connection/loop_connections.hpp"
#include "connection/negotiation/domain_flow.hpp"
#include "connection/negotiation/stream_feature.hpp"
#include "connection/s2s/explanation.hpp"
#include "connection/s2s/s2s_collaborators.hpp"
#include "connection/s2s/s2s_host.hpp"
#include "connection/session_ref.hpp"
#include "connection/stanza.hpp"

namespace comity::connection {

class s2s_metrics;
class connect_budget;

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
  /// The loops must have stopped, and the connections on them be gone.
  ~federation();
  federation(const federation&) = delete;
  federation& operator=(const federation&) = delete;

  /// What streams on that loop work with, serve_server() above all.
  [[nodiscard]] const s2s_collaborators& on(std::size_t loop) const noexcept;

  /// Takes a stanza from a local to a remote domain; from here on it is delivered, or its sender told, once.
  void send(stanza_ref);

  /// Resolves and, unless it is a dry run, connects anew beside what is there, as far as an authenticated stream. Every
  /// step is told as it comes, from `asked` to `outcome`, on one loop.
  void explain(explain_request, std::function<void(explained_step)> told);

  /// Ends every stream to and from the domain, and what waits for it is bounced.
  void close(std::string remote, std::string text);

  /// The first phase of stopping: what waits is bounced with <remote-server-timeout/>, nothing is dialled any more, and
  /// every stream to or from a peer says <system-shutdown/>.
  void stop();

  // --- for streams ---------------------------------------------------------------------------------------------------

  /// Asks the flow's sender, as its authoritative server, about a key. `done` is called once, on some loop.
  void verify(verify_key, std::shared_ptr<connect_budget>, std::move_only_function<void(key_verdict)> done);
  /// A stream that the peer opened may carry the flow, away from us (XEP-0288); it sends what it is given by carry().
  void offer(domain_flow, session_ref, std::optional<std::uint32_t> max_bytes);
  /// It is over. It was given `taken` stanzas of the flow, and has not written these; what is given to it from now on
  /// it hands to returned().
  void withdrawn(domain_flow, std::uint64_t stream, std::size_t taken, std::vector<stanza_ref> unwritten);
  void returned(stanza_ref);
  /// Gives a stanza to a stream that was offered.
  void carry(session_ref, stanza_ref);

private:
  struct state;
  std::unique_ptr<state> state_;
};

/// The domains between which a stanza goes.
[[nodiscard]] inline domain_flow flow_of(const stanza& s) {
  return {.sender = std::string{s.from().domainpart()}, .target = std::string{s.to().domainpart()}};
}

}  // namespace comity::connection
