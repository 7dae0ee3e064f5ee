// server/admin/commands.hpp: what an operator can ask of the server, as one JSON object in and one out.
//
// A request is {"command":"user add","args":{…}}; an answer {"ok":true,"result":…} or {"ok":false,"error":"…"}. The
// commands on accounts need the store alone, so the operator's tool runs the same ones when no daemon is there.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "connection/connection_info.hpp"
#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "server/admin/progress.hpp"
#include "server/auth/authenticator.hpp"
#include "server/sandbox/hardening.hpp"
#include "server/storage/store.hpp"
#include "tls/secret.hpp"

namespace comity::admin {

/// Gets one line of JSON without a line end; called once, on any thread.
using replier = std::move_only_function<void(std::string)>;

[[nodiscard]] std::string refusal(std::string_view why);

/// user add, passwd, delete, list. All collaborators outlive it and what it has begun.
class account_commands {
public:
  struct collaborators {
    storage::store& store;
    auth::authenticator& authenticator;
    std::function<bool(std::string_view domain)> hosts;
    /// Live sessions of an account end: after a new password, or with the account (THREATS C9).
    std::function<void(const jid&, stream_condition)> end_sessions;
  };
  explicit account_commands(collaborators with) : with_{std::move(with)} {}

  /// False where it is none of these commands; `reply` is untouched then. Any thread.
  [[nodiscard]] bool run(std::string_view request, replier& reply);

private:
  void set_password(const std::string& user, tls::secret password, bool create, replier reply);
  void remove(const std::string& user, replier reply);
  void list(const std::string& domain, replier reply);
  [[nodiscard]] std::expected<jid, std::string> account(const std::string& text) const;
  collaborators with_;
};

/// Does one command: its arguments (an object), whom to tell before the answer (or nullptr), and the answer. Control
/// thread.
using handler = std::function<void(const nlohmann::json& args, const progress_ref&, replier)>;
/// {"ok":true,"result":…} of a JSON text.
[[nodiscard]] std::string success(std::string_view result);

/// Everything; on the control thread.
class commands {
public:
  struct collaborators {
    account_commands& accounts;
    connection::connection_registry& connections;
    std::function<std::vector<std::pair<std::string, std::size_t>>()> sessions_by_host;
    /// Calls what it is given with the number of deadlines that connections wait for. From any thread, later.
    std::function<void(std::move_only_function<void(std::size_t)>)> count_timers;
    /// Ends all that goes to and comes from another server's domain, its queues included; none without other servers.
    std::function<void(const std::string& domain)> close_remote = {};
    std::function<std::expected<void, std::string>()> reload;
    std::function<void()> drain;
    std::function<void()> stop;
    std::string version;
    std::chrono::steady_clock::time_point started;
    const sandbox::hardening& hardened;
    /// Those that have a file of their own, by name.
    std::map<std::string, handler, std::less<>> more = {};
  };
  explicit commands(collaborators with) : with_{std::move(with)} {}
  /// `told` may be nullptr: then nobody wants to know anything before the answer.
  void run(std::string_view request, replier reply, const progress_ref& told = nullptr);

private:
  void status(replier reply);
  [[nodiscard]] std::string status_of(const std::vector<connection::connection_info>&, std::size_t timers) const;
  void list_connections(const std::string& scope, const std::string& domain, replier reply);
  void close(const std::string& target, replier reply);
  collaborators with_;
};

}  // namespace comity::admin
