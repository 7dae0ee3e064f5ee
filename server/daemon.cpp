#include "server/daemon.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "server/admin/explain_command.hpp"
#include "server/admin/log_command.hpp"
#include "server/admin/trace_command.hpp"
#include "server/daemon_parts.hpp"
#include "server/derived_settings.hpp"
#include "server/storage/sqlite/sqlite_store.hpp"

namespace comity::server {

namespace {

unsigned loops_for(unsigned configured) {
  return configured != 0 ? configured : std::max(1U, std::thread::hardware_concurrency());
}

/// A connection takes a descriptor. Some are left for the store, names, the log and whoever asks how we are, and for
/// connections that we open (THREATS G4).
std::uint32_t connections_at_most() {
  constexpr rlim_t least = 64, share = 20;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connection::ip_limits::unlimited) {
    return connection::ip_limits::unlimited;
  }
  const auto reserved = std::min(std::max(least, limit.rlim_cur / share), limit.rlim_cur / 2);
  return static_cast<std::uint32_t>(limit.rlim_cur - reserved);
}

}  // namespace

daemon::parts::parts(config::settings s, collaborators w)
    : settings{std::move(s)},
      written{w.log},
      resolver_process{std::move(w.resolver_process)},
      hardened{w.hardened},
      memory{std::move(w.memory)},
      metrics{loops_for(settings.server.threads) + 1, routes_of(settings)},
      loops{loops_for(settings.server.threads), metrics},
      limits{settings.limits.connections_per_ip, settings.limits.unauthenticated_per_ip, connections_at_most()},
      control{static_cast<std::uint32_t>(loops.size()), metrics.cell(loops.size())} {
  take_signals();
  loops.tap(traces);
  loops.report_to(log);
}

daemon::parts::~parts() {
  close();
}

// --- opening ---------------------------------------------------------------------------------------------------------

std::expected<void, std::string> daemon::parts::open(config::checked_files files) {
  tls.swap(std::move(files.certificates));
  streams = c2s_settings_of(settings.limits);

  // All that may take a capability comes before the threads that have no use for one.
  if (auto opened_ports = open_ports(); !opened_ports) {
    return opened_ports;
  }
  if (auto opened_endpoint = open_endpoint(); !opened_endpoint) {
    return opened_endpoint;
  }
  hardened.give_up_capabilities();

  auto opened = storage::open_sqlite(settings.storage.sqlite_file, log);
  if (!opened) {
    return std::unexpected{opened.error()};
  }
  store = std::move(*opened);
  authenticator = std::make_unique<auth::authenticator>(*store);
  if (settings.s2s.enabled) {
    auto others = remote_servers::open({.loops = loops, .tls = tls, .log = log, .resolver_process = resolver_process},
                                       settings, std::move(files.authorities));
    if (!others) {
      return std::unexpected{"cannot resolve names: " + others.error()};
    }
    remotes = std::move(*others);
  }
  router =
      std::make_unique<server::router>(router::collaborators{.store = *store,
                                                             .outlet = loops,
                                                             .homes = loops,
                                                             .log = log,
                                                             .now = [] { return std::chrono::system_clock::now(); },
                                                             .remote = remotes ? &remotes->route() : nullptr,
                                                             .version = version_text(),
                                                             .limits = {}},
                                       domains_of(settings), settings.limits.resources_per_user);
  router->configure(domains_of(settings), settings.limits.resources_per_user, managed_limits_of(settings));
  if (auto restored = restore_sessions(); !restored) {
    return restored;
  }
  if (remotes) {
    remotes->attach(*router);
  }
  service = std::make_unique<c2s_service>(loops, *router, *authenticator, settings.hosts.front().domain);
  return open_control();
}

/// Sessions that a graceful stop has kept: they are there before any client is.
std::expected<void, std::string> daemon::parts::restore_sessions() {
  std::promise<std::expected<std::vector<std::string>, storage::error>> taken;
  store->sessions_take([&taken](auto kept) { taken.set_value(std::move(kept)); });
  auto kept = taken.get_future().get();
  if (!kept) {
    return std::unexpected{"cannot read kept sessions: " + std::string{to_string(kept.error())}};
  }
  router->restore(*kept);
  return {};
}

/// The loops have stopped.
void daemon::parts::keep_sessions() {
  if (auto kept = router ? router->suspended() : std::vector<std::string>{}; !kept.empty()) {
    log.write(log::level::info, "session.kept", {{"count", static_cast<std::int64_t>(kept.size())}});
    store->sessions_keep(std::move(kept), [](auto&& /*the store has logged a failure*/) {});
  }
}

std::expected<void, std::string> daemon::parts::open_ports() {
  connection::front_takers takers;
  takers.c2s = [this](connection::loop_connections& where, connection::accepted_socket s) {
    connection::serve_client({where, *service, tls, log}, stream_settings(), std::move(s));
  };
  if (settings.s2s.enabled) {
    takers.s2s = [this](connection::loop_connections& where, connection::accepted_socket s) {
      remotes->serve(where, std::move(s));
    };
  }
  web = std::make_unique<web_service>(web_service::collaborators{.limits = limits, .tls = tls, .log = log}, takers.c2s);
  takers.http = [this](connection::loop_connections& where, connection::accepted_socket s) {
    web->serve(where, std::move(s));
  };
  auto opened = ports::open({.loops = loops, .limits = limits, .tls = tls, .log = log}, settings, std::move(takers));
  if (!opened) {
    return std::unexpected{std::move(opened.error())};
  }
  listening = std::move(*opened);
  web->configure(settings, listening->opened());
  return {};
}

std::shared_ptr<const connection::c2s_settings> daemon::parts::stream_settings() {
  const std::lock_guard lock{settings_lock};
  return streams;
}

/// It answers from run() on.
std::expected<void, std::string> daemon::parts::open_endpoint() {
  std::map<std::string, http::handler, std::less<>> routes;
  routes["/metrics"] = [this](const http::request&) {
    return http::response{.status = 200, .content_type = server_metrics::content_type, .body = all_metrics->render()};
  };
  routes["/healthz"] = [](const http::request&) { return http::response{.body = "ok\n"}; };
  routes["/readyz"] = [this](const http::request&) { return readiness(); };
  const auto& at = settings.metrics.address;
  auto opened = http::http_listener::open({.loop = control, .log = log}, at.host, at.port, std::move(routes));
  if (!opened) {
    return std::unexpected{"cannot listen on " + config::to_string(at) + " (metrics.address): " + opened.error()};
  }
  endpoint = std::move(*opened);
  return {};
}

std::expected<void, std::string> daemon::parts::open_control() {
  auto counts = remotes ? remotes->collectables() : std::vector<std::shared_ptr<prometheus::Collectable>>{};
  counts.insert(counts.begin(), metrics.collectable());
  own_checks = std::make_unique<check::check_service>(check::check_service::collaborators{
      .control = control.context(),
      .loops = loops,
      .tls = tls,
      .log = log,
      .settings = settings,
      .ports = [this] { return listening->opened(); },
      .start_resolver =
          [this](const dns::settings& asked) -> std::expected<std::unique_ptr<dns::resolver>, std::string> {
        return dns::child_resolver::start(
            asked, {.starter = resolver_process, .note = [](dns::note_level, const std::string&) {}, .observe = {}});
      }});
  counts.push_back(own_checks->collectable());
  all_metrics = std::make_unique<server_metrics>(
      std::move(counts), server_metrics::sources{.sessions_by_host = [this] { return router->sessions_by_host(); },
                                                 .certificates = [this] { return tls.current(); },
                                                 .log_counts = [this] { return written.counts(); }});
  account_commands = std::make_unique<admin::account_commands>(admin::account_commands::collaborators{
      .store = *store,
      .authenticator = *authenticator,
      .hosts = [this](std::string_view domain) { return router->hosts(domain); },
      .end_sessions = [this](const jid& user, stream_condition condition) { router->end_sessions(user, condition); }});
  commands = std::make_unique<admin::commands>(admin::commands::collaborators{
      .accounts = *account_commands,
      .connections = loops.connections(),
      .sessions_by_host = [this] { return router->sessions_by_host(); },
      .count_timers = [this](auto counted) { loops.count_timers(std::move(counted)); },
      .close_remote =
          [this](const std::string& domain) {
            if (remotes && !router->hosts(domain)) {
              remotes->close(domain, "closed by an operator");
            }
          },
      .reload = [this]() -> std::expected<void, std::string> {
        auto why = reload();
        return why.empty() ? std::expected<void, std::string>{} : std::unexpected{std::move(why)};
      },
      .drain = [this] { drain(); },
      .stop = [this] { control.post([this] { stop(); }); },
      .version = version_text(),
      .started = started,
      .hardened = hardened,
      .more = more_commands()});
  checks = std::make_unique<check::check_commands>(
      check::check_commands::collaborators{.settings = settings,
                                           .ports = [this] { return listening->opened(); },
                                           .certificates = [this] { return tls.current(); },
                                           .checks = *own_checks});
  auto socket = admin::admin_server::open(
      control.context(), settings.server.admin_socket, log,
      [this](std::string_view request, const admin::progress_ref& told, admin::replier reply) {
        if (!checks->run(request, reply)) {
          commands->run(request, std::move(reply), told);
        }
      });
  if (!socket) {
    return std::unexpected{socket.error()};
  }
  admin = std::move(*socket);

  certificate_keeper::collaborators kept{.control = control.context(),
                                         .tls = tls,
                                         .log = log,
                                         .now = [] { return std::chrono::system_clock::now(); },
                                         .trust = {},
                                         .pace = {}};
  if (remotes) {
    kept.trust = [this](auto authorities) { remotes->trust(std::move(authorities)); };
  }
  certificates = std::make_unique<certificate_keeper>(std::move(kept));
  return {};
}

std::map<std::string, admin::handler, std::less<>> daemon::parts::more_commands() {
  admin::explain_command::collaborators ways{.explain = {},
                                             .hosts = [this](std::string_view domain) { return router->hosts(domain); },
                                             .default_domain = [this] { return settings.hosts.front().domain; }};
  if (remotes) {
    ways.explain = [this](auto what, auto told) { remotes->explain(std::move(what), std::move(told)); };
  }
  admin::log_level_command log_level{{.now = [this] { return written.level(); },
                                      .configured = [this] { return settings.log.level; },
                                      .change = [this](log::level l) { written.level(l); },
                                      .log = log}};
  return {{"s2s explain", admin::explain_command{std::move(ways)}},
          {"trace", admin::trace_command{traces}},
          {"log level", std::move(log_level)}};
}

/// Ready is: ports open, not draining, and the store answered the last time it was asked.
http::response daemon::parts::readiness() const {
  http::response r{.body = "ready\n"};
  const auto not_ready = [&r](std::string why) {
    r.status = 503;
    r.body = std::move(why);
  };
  if (draining) {
    not_ready("draining\n");
  } else if (!serving) {
    not_ready("starting\n");
  } else if (!store_answers) {
    not_ready("the database does not answer\n");
  }
  return r;
}

// --- daemon ----------------------------------------------------------------------------------------------------------

std::expected<std::unique_ptr<daemon>, std::string> daemon::open(config::settings settings, config::checked_files files,
                                                                 collaborators with) {
  with.log.write(log::level::info, "server.start", {{"version", version_text()}, {"file", settings.file.native()}});
  auto parts = std::make_unique<daemon::parts>(std::move(settings), std::move(with));
  if (auto opened = parts->open(std::move(files)); !opened) {
    return std::unexpected{std::move(opened.error())};
  }
  return std::unique_ptr<daemon>{new daemon{std::move(parts)}};
}

daemon::daemon(std::unique_ptr<parts> p) noexcept : parts_{std::move(p)} {
}

daemon::~daemon() = default;

int daemon::run() {
  return parts_->run();
}

}  // namespace comity::server
