#include "server/admin/commands.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace comity::admin {

namespace {

using json = nlohmann::json;

std::string line(const json& j) {
  return j.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string result(json value) {
  return line({{"ok", true}, {"result", std::move(value)}});
}

struct asked {
  std::string command;
  json args;
  [[nodiscard]] std::string text(const char* name) const {
    const auto found = args.find(name);
    return found != args.end() && found->is_string() ? found->get<std::string>() : std::string{};
  }
  /// It is not there any more then.
  [[nodiscard]] tls::secret take_secret(const char* name) {
    const auto found = args.find(name);
    return found != args.end() && found->is_string() ? tls::secret{std::move(found->get_ref<std::string&>())}
                                                     : tls::secret{};
  }
};

std::optional<asked> parse(std::string_view request) {
  auto j = json::parse(request, nullptr, false);
  if (!j.is_object() || !j.contains("command") || !j["command"].is_string()) {
    return std::nullopt;
  }
  asked a{j["command"].get<std::string>(), json::object()};
  if (j.contains("args") && j["args"].is_object()) {
    a.args = std::move(j["args"]);
  }
  return a;
}

std::string_view scope_of(const connection::connection_info& i) {
  return i.service.empty() ? to_string(i.route.scope) : i.service;
}

json row_of(const connection::connection_info& i) {
  return {{"id", i.ref.id},
          {"peer", i.peer},
          {"address", i.address},
          {"domain", i.domain},
          {"scope", scope_of(i)},
          {"direction", to_string(i.route.direction)},
          {"method", to_string(i.route.method)},
          {"established", i.established},
          {"alpn", i.alpn},
          {"tls_version", i.tls_version},
          {"cipher", i.cipher},
          {"authentication", i.authentication},
          {"trust", i.trust},
          {"age", i.age.count()},
          {"bytes_received", i.bytes_received},
          {"bytes_sent", i.bytes_sent},
          {"queue", i.queue_bytes}};
}

/// Whether either end is that domain: our host, or the domain of whoever is at the other end.
bool concerns(std::string_view domain, const connection::connection_info& i) {
  const auto peer = jid::parse(i.peer);
  return i.domain == domain || (peer && peer->domainpart() == domain);
}

/// The domain that `target` is; nullopt where it is something else, a connection's number above all.
std::optional<std::string> domain_in(const std::string& target) {
  const auto address = jid::parse(target);
  if (target.find_first_not_of("0123456789") == std::string::npos || !address || address->has_localpart() ||
      address->has_resource()) {
    return std::nullopt;
  }
  return std::string{address->domainpart()};
}

/// Whether `target`, a connection's number, a full or bare JID or a domain, means this connection.
bool means(const std::string& target, const connection::connection_info& i) {
  std::uint64_t number = 0;
  const auto* end = target.data() + target.size();
  if (const auto [stop, fault] = std::from_chars(target.data(), end, number); fault == std::errc{} && stop == end) {
    return number == i.ref.id;
  }
  const auto wanted = jid::parse(target);
  const auto peer = jid::parse(i.peer);
  if (!wanted) {
    return false;
  }
  if (!wanted->has_localpart() && !wanted->has_resource()) {
    return concerns(wanted->domainpart(), i);
  }
  return peer && (*wanted == *peer || (!wanted->has_resource() && wanted->text() == peer->bare_text()));
}

}  // namespace

std::string refusal(std::string_view why) {
  return line({{"ok", false}, {"error", why}});
}

std::string success(std::string_view result) {
  return std::string{R"({"ok":true,"result":)"}.append(result).append("}");
}

// --- accounts --------------------------------------------------------------------------------------------------------

bool account_commands::run(std::string_view request, replier& reply) {
  auto a = parse(request);
  if (!a || !a->command.starts_with("user ")) {
    return false;
  }
  const auto verb = std::string_view{a->command}.substr(5);
  if (verb == "add" || verb == "passwd") {
    set_password(a->text("jid"), a->take_secret("password"), verb == "add", std::move(reply));
  } else if (verb == "delete") {
    remove(a->text("jid"), std::move(reply));
  } else if (verb == "list") {
    list(a->text("domain"), std::move(reply));
  } else {
    return false;
  }
  return true;
}

std::expected<jid, std::string> account_commands::account(const std::string& text) const {
  auto user = jid::parse(text);
  if (!user) {
    return std::unexpected{"'" + text + "' is no JID: " + std::string{to_string(user.error())} + "; use user@domain"};
  }
  if (!user->has_localpart() || user->has_resource()) {
    return std::unexpected{"'" + text + "' names no account; use user@domain without a resource"};
  }
  if (!with_.hosts(user->domainpart())) {
    return std::unexpected{"'" + std::string{user->domainpart()} +
                           "' is not served here; use a domain of a [[host]] in the configuration"};
  }
  return *user;
}

void account_commands::set_password(const std::string& text, tls::secret password, bool create, replier reply) {
  auto user = account(text);
  if (!user || password.empty()) {
    return reply(refusal(user ? "the password is empty; give one of at least one character" : user.error()));
  }
  with_.authenticator.make_credentials(
      std::move(password), [this, user = std::move(*user), create, reply = std::move(reply)](auto made) mutable {
        if (!made) {
          return reply(refusal(made.error() == auth::authenticator::make_error::busy
                                   ? "too many passwords are being hashed; try again in a moment"
                                   : "the password has characters that no client could send; use printable ones"));
        }
        auto done = [this, user, create, reply = std::move(reply)](std::expected<void, storage::error> stored) mutable {
          if (!stored) {
            return reply(refusal(user.text() + ": " + std::string{to_string(stored.error())}));
          }
          if (!create) {
            with_.end_sessions(user, stream_condition::reset);
          }
          reply(result({{"jid", user.text()}}));
        };
        if (create) {
          with_.store.account_create(user, std::move(*made), std::move(done));
        } else {
          with_.store.account_passwd(user, std::move(*made), std::move(done));
        }
      });
}

void account_commands::remove(const std::string& text, replier reply) {
  auto user = account(text);
  if (!user) {
    return reply(refusal(user.error()));
  }
  with_.store.account_delete(*user, [this, user = *user, reply = std::move(reply)](auto gone) mutable {
    if (!gone) {
      return reply(refusal(user.text() + ": " + std::string{to_string(gone.error())}));
    }
    with_.end_sessions(user, stream_condition::not_authorized);
    reply(result({{"jid", user.text()}}));
  });
}

void account_commands::list(const std::string& domain, replier reply) {
  std::string enforced;
  if (!domain.empty()) {
    auto d = enforce_domainpart(domain);
    if (!d || !with_.hosts(*d)) {
      return reply(refusal("'" + domain + "' is not served here; use a domain of a [[host]] in the configuration"));
    }
    enforced = std::move(*d);
  }
  with_.store.account_list(enforced, [reply = std::move(reply)](auto users) mutable {
    if (!users) {
      return reply(refusal(to_string(users.error())));
    }
    auto rows = json::array();
    for (const auto& u : *users) {
      rows.push_back({{"jid", u.text()}});
    }
    reply(result(std::move(rows)));
  });
}

// --- everything ------------------------------------------------------------------------------------------------------

void commands::run(std::string_view request, replier reply, const progress_ref& told) {
  if (with_.accounts.run(request, reply)) {
    return;
  }
  const auto a = parse(request);
  if (!a) {
    return reply(refusal("no request: one JSON object with \"command\" is expected on a line"));
  }
  if (a->command == "status") {
    status(std::move(reply));
  } else if (a->command == "connections") {
    list_connections(a->text("scope"), a->text("domain"), std::move(reply));
  } else if (a->command == "close") {
    close(a->text("target"), std::move(reply));
  } else if (a->command == "reload") {
    const auto done = with_.reload();
    reply(done ? result("reloaded") : refusal(done.error()));
  } else if (a->command == "drain") {
    with_.drain();
    reply(result("draining"));
  } else if (a->command == "stop") {
    reply(result("stopping"));
    with_.stop();
  } else if (const auto own = with_.more.find(a->command); own != with_.more.end()) {
    own->second(a->args, told, std::move(reply));
  } else {
    reply(refusal("no such command: " + a->command));
  }
}

void commands::status(replier reply) {
  with_.count_timers([this, reply = std::move(reply)](std::size_t timers) mutable {
    with_.connections.list(
        [this, timers, reply = std::move(reply)](auto all) mutable { reply(status_of(all, timers)); });
  });
}

std::string commands::status_of(const std::vector<connection::connection_info>& all, std::size_t timers) const {
  std::map<std::array<std::string_view, 3>, std::size_t> counts;
  for (const auto& i : all) {
    if (i.established) {
      ++counts[{to_string(i.route.scope), to_string(i.route.direction), to_string(i.route.method)}];
    }
  }
  auto connections = json::array();
  for (const auto& [key, count] : counts) {
    connections.push_back({{"scope", key[0]}, {"direction", key[1]}, {"method", key[2]}, {"count", count}});
  }
  auto hosts = json::array();
  std::size_t sessions = 0;
  for (const auto& [host, count] : with_.sessions_by_host()) {
    hosts.push_back({{"host", host}, {"sessions", count}});
    sessions += count;
  }
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - with_.started);
  return result({{"version", with_.version},
                 {"uptime", up.count()},
                 {"hosts", std::move(hosts)},
                 {"sessions", sessions},
                 {"hardening", {{"applied", with_.hardened.applied()}, {"lacking", with_.hardened.lacking()}}},
                 {"timers", timers},
                 {"connections", std::move(connections)}});
}

void commands::list_connections(const std::string& scope, const std::string& asked_domain, replier reply) {
  const auto enforced = asked_domain.empty() ? std::string{} : enforce_domainpart(asked_domain);
  if (!enforced) {
    return reply(refusal("'" + asked_domain + "' is no domain"));
  }
  with_.connections.list([scope, domain = *enforced, reply = std::move(reply)](auto all) mutable {
    std::ranges::sort(all, {}, [](const auto& i) { return i.ref.id; });
    auto rows = json::array();
    for (const auto& i : all) {
      if ((scope.empty() || scope == scope_of(i)) && (domain.empty() || concerns(domain, i))) {
        rows.push_back(row_of(i));
      }
    }
    reply(result(std::move(rows)));
  });
}

void commands::close(const std::string& target, replier reply) {
  if (target.empty()) {
    return reply(refusal("name what to close: a connection's number, a JID or a domain"));
  }
  with_.connections.list([this, target, reply = std::move(reply)](auto all) mutable {
    std::erase_if(all, [&](const auto& i) { return !means(target, i); });
    if (const auto domain = domain_in(target); domain && with_.close_remote) {
      with_.close_remote(*domain);  // what waits for it goes back, whether or not a stream is there
    }
    if (all.empty()) {
      return reply(refusal("no connection of '" + target + "'"));
    }
    struct closing {
      std::atomic<std::size_t> left, closed{0};
      replier reply;
    };
    auto shared = std::make_shared<closing>();
    shared->left = all.size();
    shared->reply = std::move(reply);
    for (const auto& i : all) {
      with_.connections.close(i.ref, stream_condition::reset, "closed by an operator", [shared](bool was_there) {
        shared->closed += was_there ? 1 : 0;
        if (--shared->left == 0) {
          shared->reply(result({{"closed", shared->closed.load()}}));
        }
      });
    }
  });
}

}  // namespace comity::admin
