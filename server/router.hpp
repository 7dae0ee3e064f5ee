// server/router.hpp: decides where every stanza goes (RFC 6120 §10, RFC 6121 §8), and who is online.
//
// The state of a local user (bound resources, presence, roster) belongs to the user's home loop; whatever concerns a
// user is run there, one thing after another, so no rule of RFC 6121 ever races with itself. The router is reached from
// any loop; it sends to bound sessions through `outlet` and never touches a connection.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "connection/log.hpp"
#include "connection/negotiation/client_state.hpp"
#include "connection/negotiation/stream_management.hpp"
#include "connection/session_ref.hpp"
#include "connection/stanza.hpp"
#include "server/homes.hpp"
#include "server/storage/store.hpp"

namespace comity::server {

class exchange;

/// The way out to bound sessions. Implemented over the loops; a fake in tests. Any loop's thread.
class outlet {
public:
  virtual ~outlet() = default;
  /// That session is about to be sent something, as others are: what of it lies in memory may be fetched meanwhile.
  virtual void expect(connection::session_ref) noexcept {}
  /// Queues the stanza for that session, in order of calling; dropped when it has ended.
  virtual void send(connection::session_ref to, stanza_ref) = 0;
  /// An element that is no stanza, in order with them.
  virtual void say(connection::session_ref, std::string element) = 0;
  /// The client says that it has handled more than it was sent: ends the session (XEP-0198 §7).
  virtual void overcounted(connection::session_ref, std::uint32_t handled, std::uint32_t sent) = 0;
  /// Ends the session with that stream error.
  virtual void close(connection::session_ref, stream_condition, std::string text) = 0;
};

/// Wall-clock time, injected (stamps of XEP-0203, XEP-0202).
using wall_clock = std::function<std::chrono::system_clock::time_point()>;

/// The way to domains that are not hosted here. Where there is none, such stanzas are answered with
/// <remote-server-not-found/>. Any loop's thread.
class remote_route {
public:
  virtual ~remote_route() = default;
  /// Takes a stanza for a remote domain, in order for each pair of sender and recipient. From here on the answer to a
  /// stanza that cannot be delivered is the route's duty.
  virtual void send(stanza_ref) = 0;
};

/// Quotas of one account (THREATS F14).
struct account_limits {
  std::size_t roster_items = 5000;
  std::size_t pending_requests = 500;  // subscription requests from people outside the roster
  std::size_t request_bytes = 10'000;  // of a request that is kept; larger ones are kept without their content
  std::size_t offline_messages = 100;
  std::size_t blocked = 1000;             // JIDs in the block list
  std::size_t directed_presences = 1000;  // of one resource
  std::size_t held_stanzas = 250;         // of one session whose user does not look (XEP-0352)
  std::size_t held_octets = 64UL * 1024UL;
  std::size_t waiting = 10'000;  // stanzas of one user held up by the store
};

/// [stream_management] (XEP-0198).
struct managed_limits {
  std::chrono::seconds resume_timeout{300};
  std::size_t queue_stanzas = 500;  // of one session, unacknowledged
};

struct bind_failure {
  stanza_condition condition = stanza_condition::internal_server_error;
  std::string type;             // of the error element: "wait", "cancel", "modify"
  bool resource_limit = false;  // add <resource-limit-exceeded xmlns='urn:xmpp:errors'/> (XEP-0205)
};

class router {
public:
  struct collaborators {  // all outlive the router
    storage::store& store;
    server::outlet& outlet;
    server::homes& homes;
    log::sink& log;
    wall_clock now;
    remote_route* remote = nullptr;  // none: there is no federation
    std::string version = {};        // of this server, for XEP-0092; "" : not disclosed
    account_limits limits = {};
  };
  /// The loops must have stopped, or never run the router's work again, before it is destroyed.
  router(collaborators, std::vector<std::string> domains, std::uint32_t resources_per_user);
  ~router();
  router(const router&) = delete;
  router& operator=(const router&) = delete;

  /// Binds a resource (RFC 6120 §7) for a session that authenticated as `user` (bare). `wanted` "" : the server
  /// chooses. A resource in use goes to the newcomer and the old session is closed with <conflict/> (§7.7.2.2). `done`
  /// gets the full JID; it runs on the user's home loop, so callers post it back. Any loop.
  void bind(connection::session_ref, const jid& user, std::string wanted,
            std::move_only_function<void(std::expected<jid, bind_failure>)> done);

  /// The session's stream has ended (however): its resource goes, unavailable presence is sent for it where it was
  /// available. One that was `broken` keeps its resource for a while where its client may resume it. Any loop. Nothing
  /// happens where the resource has passed to another session.
  void unbind(connection::session_ref, const jid& full, bool broken = false);

  // Stream management (XEP-0198), for a bound session unless said otherwise. Any loop; in order with its stanzas.
  void manage(connection::session_ref, const jid& full, connection::management::enable);
  /// For a session that has authenticated and not bound. `done` as of bind(); what the client has not got is sent only
  /// after resumed().
  void resume(connection::session_ref, connection::resume_session,
              std::move_only_function<void(connection::resume_answer)> done);
  void resumed(connection::session_ref, const jid& full);
  void acknowledge(connection::session_ref, const jid& full);
  void acknowledged(connection::session_ref, const jid& full, std::uint32_t handled);
  void answered(connection::session_ref, const jid& full, const stanza_ref& reply);

  /// Whether the user looks at a bound session's client (XEP-0352). Any loop; in order with its stanzas.
  void indicated(connection::session_ref, const jid& full, connection::client_state);

  /// Every session that may be resumed, for the store; the loops have stopped.
  [[nodiscard]] std::vector<std::string> suspended() const;
  /// Takes them up again, without streams, each for as long as it may be resumed. Any thread, before clients come.
  void restore(const std::vector<std::string>&);

  /// A stanza from a bound client: `from` is its full JID already, `to` is enforced or empty. Any loop. Keeps order for
  /// each pair of sender and recipient.
  void from_client(connection::session_ref, stanza_ref);

  /// A stanza that came in from a remote domain which has proven to be its sender's; `from` and `to` are set. Any loop.
  void from_server(stanza_ref);

  /// The account is gone or its password changed: its sessions are closed with that condition (THREATS C9). Any thread.
  void end_sessions(const jid& user, stream_condition);

  /// After a reload: hosts and limits as now configured. Loop-safe, any thread.
  void configure(std::vector<std::string> domains, std::uint32_t resources_per_user, managed_limits = {});
  [[nodiscard]] bool hosts(std::string_view domain) const;

  /// comity_sessions: bound resources a host. Any thread.
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> sessions_by_host() const;

private:
  std::shared_ptr<exchange> exchange_;
};

}  // namespace comity::server
