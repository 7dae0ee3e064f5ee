// server/router.hpp: decides where every stanza goes (RFC 6120 §10, RFC 6121 §8), and who is online.
//
// The state of a local user (bound resources, presence, roster) belongs to the user's home loop; whatever concerns a
// user is run there, one thing after another, so no rule of RFC 6121 ever races with itself. The router is reached from
// any loop; it sends to bound sessions through `outlet` and never touches a connection.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "connection/log.hpp"
#include "connection/session_ref.hpp"
#include "connection/stanza.hpp"
#include "server/storage/store.hpp"

namespace comity::server {

/// The way out to bound sessions. Implemented over the loops; a fake in tests. Any loop's thread.
class outlet {
public:
  virtual ~outlet() = default;
  /// Queues the stanza for that session, in order of calling; dropped when it has ended.
  virtual void send(connection::session_ref to, stanza_ref) = 0;
  /// Ends the session with that stream error.
  virtual void close(connection::session_ref, stream_condition, std::string text) = 0;
};

/// The loops, as far as the router needs them. Implemented over connection::loop; a fake in tests.
class homes {
public:
  virtual ~homes() = default;
  /// Runs `work` on the home loop of that user; in the order of calling from any one thread. Runs it at once, before
  /// returning, when called on that loop. Any thread.
  virtual void at_home(const jid& bare_user, std::move_only_function<void()> work) = 0;
};

/// Wall-clock time, injected (stamps of XEP-0203, XEP-0202).
using wall_clock = std::function<std::chrono::system_clock::time_point()>;

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
  };
  router(collaborators, std::vector<std::string> domains, std::uint32_t resources_per_user);
  ~router();
  router(const router&) = delete;
  router& operator=(const router&) = delete;

  /// Binds a resource (RFC 6120 §7) for a session that authenticated as `user` (bare). `wanted` "" : the server
  /// chooses. A resource in use goes to the newcomer and the old session is closed with <conflict/> (§7.7.2.2). `done`
  /// gets the full JID; it runs on the user's home loop, so callers post it back. Any loop.
  void bind(connection::session_ref, const jid& user, std::string wanted,
            std::move_only_function<void(std::expected<jid, bind_failure>)> done);

  /// The session has ended (however): its resource goes, unavailable presence is sent for it where it was available.
  /// Any loop. Nothing happens where the resource has passed to another session.
  void unbind(connection::session_ref, const jid& full);

  /// A stanza from a bound client: `from` is its full JID already, `to` is enforced or empty. Any loop. Keeps order for
  /// each pair of sender and recipient.
  void from_client(connection::session_ref, stanza_ref);

  /// The account is gone or its password changed: its sessions are closed with that condition (THREATS C9). Any thread.
  void end_sessions(const jid& user, stream_condition);

  /// After a reload: hosts and limits as now configured. Loop-safe, any thread.
  void configure(std::vector<std::string> domains, std::uint32_t resources_per_user);
  [[nodiscard]] bool hosts(std::string_view domain) const;

  /// comity_sessions: bound resources a host. Any thread.
  [[nodiscard]] std::vector<std::pair<std::string, std::size_t>> sessions_by_host() const;

  struct impl;

private:
  std::unique_ptr<impl> impl_;
};

}  // namespace comity::server
