#include "server/daemon.hpp"

#include <sys/resource.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <asio.hpp>
#include <atomic>
#include <csignal>
#include <future>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "connection/c2s/client_stream.hpp"
#include "connection/limits.hpp"
#include "dns/child_resolver.hpp"
#include "server/admin/admin_server.hpp"
#include "server/admin/commands.hpp"
#include "server/admin/explain_command.hpp"
#include "server/admin/log_command.hpp"
#include "server/admin/trace_command.hpp"
#include "server/auth/authenticator.hpp"
#include "server/c2s_service.hpp"
#include "server/certificates/certificate_keeper.hpp"
#include "server/check/check_commands.hpp"
#include "server/check/check_service.hpp"
#include "server/code_pages.hpp"
#include "server/config/config.hpp"
#include "server/element_limits.hpp"
#include "server/http/http_listener.hpp"
#include "server/loop_pool.hpp"
#include "server/metrics.hpp"
#include "server/ports.hpp"
#include "server/remote_servers.hpp"
#include "server/router.hpp"
#include "server/storage/sqlite/sqlite_store.hpp"
#include "server/trace/trace_hub.hpp"
#include "server/web_service.hpp"

namespace comity::server {

namespace {

using namespace std::chrono_literals;

constexpr auto poll_interval = 20ms;  // how often a stop looks whether the last stream has gone

std::vector<std::string> domains_of(const config::settings& s) {
  std::vector<std::string> domains;
  domains.reserve(s.hosts.size());
  for (const auto& h : s.hosts) {
    domains.push_back(h.domain);
  }
  return domains;
}

managed_limits managed_limits_of(const config::settings& s) {
  return {.resume_timeout = std::chrono::ceil<std::chrono::seconds>(s.stream_management.resume_timeout),
          .queue_stanzas = s.stream_management.queue_stanzas};
}

std::vector<connection::route> routes_of(const config::settings& s) {
  auto routes = inbound_routes(s);
  if (s.s2s.enabled) {
    for (const auto m : {connection::method::starttls, connection::method::direct_tls}) {
      routes.push_back({connection::scope::s2s, connection::direction::outbound, m});
    }
  }
  return routes;
}

std::shared_ptr<const connection::c2s_settings> c2s_settings_of(const config::limit_settings& l) {
  connection::c2s_settings s;
  s.after_authentication = authenticated_limits(l, l.stanza_size_c2s);
  s.before_authentication = unauthenticated_limits(l);
  s.tls_timeout = l.tls_timeout;
  s.handshake_timeout = l.handshake_timeout;
  s.send_queue_bytes = l.send_queue_bytes;
  s.bytes_per_second = l.bytes_per_second_c2s;
  return std::make_shared<const connection::c2s_settings>(s);
}

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

struct daemon::parts {
  parts(config::settings s, server_log& l, dns::child_starter p, sandbox::hardening& h)
      : settings{std::move(s)},
        written{l},
        resolver_process{std::move(p)},
        hardened{h},
        metrics{loops_for(settings.server.threads) + 1, routes_of(settings)},
        loops{loops_for(settings.server.threads), metrics},
        limits{settings.limits.connections_per_ip, settings.limits.unauthenticated_per_ip, connections_at_most()},
        control{static_cast<std::uint32_t>(loops.size()), metrics.cell(loops.size())},
        signals{control.context(), SIGTERM, SIGINT, SIGHUP} {
    loops.tap(traces);
    loops.report_to(log);
  }
  ~parts() { close(); }
  parts(const parts&) = delete;
  parts& operator=(const parts&) = delete;

  std::expected<void, std::string> open(config::checked_files);
  std::expected<void, std::string> restore_sessions();
  void keep_sessions();
  std::expected<void, std::string> open_ports();
  std::expected<void, std::string> open_endpoint();
  std::expected<void, std::string> open_control();
  [[nodiscard]] std::map<std::string, admin::handler, std::less<>> more_commands();
  void start_watchdog();
  void watch();
  void harden();
  int run();
  void close();

  void wait_for_signal();
  /// Why it was refused, as the log has it too; empty where the new configuration is in force.
  std::string reload();
  void drain();
  void stop();
  void close_listeners();
  void wait_for_streams();
  [[nodiscard]] http::response readiness() const;
  [[nodiscard]] std::shared_ptr<const connection::c2s_settings> stream_settings();

  // In the order in which they are made; they go in the opposite one, after close().
  config::settings settings;
  server_log& written;
  dns::child_starter resolver_process;
  sandbox::hardening& hardened;
  trace::trace_hub traces;
  trace::traced_log log{written, traces};
  connection::connection_metrics metrics;
  loop_pool loops;
  connection::ip_limits limits;
  tls::server_context tls;
  connection::loop control;  // of the main thread, where nothing of a stream ever runs
  asio::signal_set signals;
  asio::steady_timer stopping{control.context()};
  asio::steady_timer watchdog{control.context()};
  std::chrono::microseconds watchdog_interval{};
  std::unique_ptr<storage::store> store;
  std::unique_ptr<auth::authenticator> authenticator;
  std::unique_ptr<remote_servers> remotes;  // none: s2s is off
  std::unique_ptr<server::router> router;
  std::unique_ptr<c2s_service> service;
  std::unique_ptr<web_service> web;
  std::unique_ptr<server_metrics> all_metrics;
  std::unique_ptr<http::http_listener> endpoint;
  std::unique_ptr<admin::account_commands> account_commands;
  std::unique_ptr<admin::commands> commands;
  std::unique_ptr<check::check_service> own_checks;
  std::unique_ptr<check::check_commands> checks;
  std::unique_ptr<admin::admin_server> admin;
  std::unique_ptr<ports> listening;
  std::unique_ptr<certificate_keeper> certificates;

  std::mutex settings_lock;
  std::shared_ptr<const connection::c2s_settings> streams;
  std::chrono::steady_clock::time_point stop_by;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  std::atomic<bool> draining{false};
  std::atomic<bool> serving{false};
  std::atomic<bool> store_answers{true};
  std::atomic<bool> loops_asked{false};  // and have not all answered yet
  bool stopping_now = false;
  int status = 0;
};

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

// --- serving ---------------------------------------------------------------------------------------------------------

/// Everything is open. The loops' threads are yet to come, and the others wait for work.
void daemon::parts::harden() {
  hardened.give_up_calls();
  const auto all = [](const std::vector<std::string>& words) {
    std::string line;
    for (const auto& w : words) {
      line += (line.empty() ? "" : ", ") + w;
    }
    return line;
  };
  const auto applied = all(hardened.applied()), lacking = all(hardened.lacking());
  log.write(lacking.empty() && settings.server.hardening ? log::level::info : log::level::warn, "server.hardened",
            {{"applied", applied}, {"lacking", lacking}});
}

int daemon::parts::run() {
  harden();
  listening->start();
  loops.start();
  wait_for_signal();
  certificates->keep(settings);
  log.write(log::level::info, "server.ready", {{"version", version_text()}});
  serving = true;
  ::sd_notify(0, "READY=1");
  start_watchdog();
  (void)let_go_of_code();

  control.run();

  close();
  log.write(log::level::info, "server.stop", {{"status", static_cast<std::int64_t>(status)}});
  return status;
}

/// Beats while this thread and every loop do: a loop that is stuck keeps the beat from the service manager, which
/// starts the daemon anew. A store that does not answer is told by /readyz instead, since a new process would find the
/// same.
void daemon::parts::start_watchdog() {
  std::uint64_t microseconds = 0;
  if (::sd_watchdog_enabled(0, &microseconds) > 0) {
    watchdog_interval = std::chrono::microseconds{microseconds} / 3;
  }
  watch();
}

void daemon::parts::watch() {
  store->ping([this](std::expected<void, storage::error> answered) { store_answers = answered.has_value(); });
  if (watchdog_interval.count() != 0 && !loops_asked.exchange(true)) {
    loops.ask_all([this] {
      loops_asked = false;
      ::sd_notify(0, "WATCHDOG=1");
    });
  }
  watchdog.expires_after(
      watchdog_interval.count() != 0
          ? std::chrono::milliseconds{std::chrono::duration_cast<std::chrono::milliseconds>(watchdog_interval)}
          : std::chrono::milliseconds{1000});
  watchdog.async_wait([this](std::error_code aborted) {
    if (!aborted) {
      watch();
    }
  });
}

/// Takes everything down in the order that lets each part finish: streams first, then what they have asked for.
void daemon::parts::close() {
  serving = false;
  certificates.reset();
  admin.reset();
  traces.clear();
  endpoint.reset();
  loops.stop();  // no loop runs anything from here on
  own_checks.reset();
  listening.reset();
  if (remotes) {
    remotes->loops_stopped();
  }
  // First who hashes passwords, since what is made of them goes to the store.
  authenticator.reset();
  if (store) {
    keep_sessions();
  }
  store.reset();  // commits what waits, and answers into loops that no longer run
}

void daemon::parts::wait_for_signal() {
  signals.async_wait([this](std::error_code aborted, int signal) {
    if (aborted) {
      return;
    }
    if (signal == SIGHUP) {
      reload();
    } else {
      stop();
    }
    wait_for_signal();
  });
}

std::string daemon::parts::reload() {
  const auto refuse = [this](const std::vector<config::fault>& faults) {
    std::string all;
    for (const auto& f : faults) {
      const auto text = to_string(f);
      log.write(log::level::error, "config.refused", {{"detail", text}});
      all += (all.empty() ? "" : "\n") + text;
    }
    all_metrics->reloaded(false);
    return all;
  };
  ::sd_notify(0, "RELOADING=1");
  auto next = config::load(settings.file);
  if (!next) {
    ::sd_notify(0, "READY=1");
    return refuse(next.error());
  }
  if (const auto beyond = config::check_reach(*next, sandbox::out_of_reach); !beyond.empty()) {
    ::sd_notify(0, "READY=1");
    return refuse(beyond);
  }
  auto files = config::check_files(*next);
  if (!files) {
    ::sd_notify(0, "READY=1");
    return refuse(files.error());
  }
  if (remotes && next->s2s.enabled) {  // switching it off takes a restart
    if (const auto reloaded = remotes->reload(*next, std::move(files->authorities)); !reloaded) {
      ::sd_notify(0, "READY=1");
      return refuse({{.file = next->file, .text = reloaded.error()}});
    }
  }
  for (const auto& key : config::restart_needed(settings, *next)) {
    log.write(log::level::warn, "config.restart_needed", {{"key", key}});
  }
  // All of it was right, and from here on nothing can fail. What needs a restart stays as it runs.
  settings = config::after_reload(settings, std::move(*next));
  tls.swap(std::move(files->certificates));
  written.apply(settings.log);
  limits.configure(settings.limits.connections_per_ip, settings.limits.unauthenticated_per_ip);
  service->default_domain(settings.hosts.front().domain);
  router->configure(domains_of(settings), settings.limits.resources_per_user, managed_limits_of(settings));
  listening->configure(settings);
  web->configure(settings, listening->opened());
  {
    const std::lock_guard lock{settings_lock};
    streams = c2s_settings_of(settings.limits);
  }
  all_metrics->reloaded(true);
  log.write(log::level::info, "config.reload", {{"file", settings.file.native()}});
  certificates->keep(settings);
  ::sd_notify(0, "READY=1");
  return {};
}

// --- stopping --------------------------------------------------------------------------------------------------------

void daemon::parts::close_listeners() {
  std::promise<void> closed;
  loops.loop(0).post([&] {
    listening->close();
    closed.set_value();
  });
  closed.get_future().wait();
}

/// Accepts no more, and lets the sessions there are come to their own end.
void daemon::parts::drain() {
  if (!draining.exchange(true)) {
    log.write(log::level::info, "server.drain", {});
    close_listeners();
  }
}

/// RFC 6120 §4.9.3.21: every stream is told, and closed; then the process ends. Asked twice, it ends at once.
void daemon::parts::stop() {
  if (std::exchange(stopping_now, true)) {
    log.write(log::level::warn, "server.stop", {{"detail", "at once"}});
    status = 1;
    control.stop();
    return;
  }
  ::sd_notify(0, "STOPPING=1");
  draining = true;
  close_listeners();
  if (remotes) {
    remotes->stop();
  }
  loops.connections().dismiss_all(stream_condition::system_shutdown, connection::cause::shutdown, {});
  stop_by = std::chrono::steady_clock::now() + settings.server.shutdown_timeout;
  wait_for_streams();
}

void daemon::parts::wait_for_streams() {
  if (loops.connections().size() == 0 || std::chrono::steady_clock::now() >= stop_by) {
    loops.settle();  // the last sessions' unavailable presence and what it stores
    control.stop();
    return;
  }
  stopping.expires_after(poll_interval);
  stopping.async_wait([this](std::error_code aborted) {
    if (!aborted) {
      wait_for_streams();
    }
  });
}

// --- daemon ----------------------------------------------------------------------------------------------------------

std::expected<std::unique_ptr<daemon>, std::string> daemon::open(config::settings settings, config::checked_files files,
                                                                 server_log& log, dns::child_starter resolver_process,
                                                                 sandbox::hardening& hardened) {
  log.write(log::level::info, "server.start", {{"version", version_text()}, {"file", settings.file.native()}});
  auto parts = std::make_unique<daemon::parts>(std::move(settings), log, std::move(resolver_process), hardened);
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
