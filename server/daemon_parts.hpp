// server/daemon_parts.hpp: what a daemon is made of. Opened in daemon.cpp; served, reloaded and stopped in
// daemon_serving.cpp. For these two alone.
#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "connection/c2s/client_stream.hpp"
#include "connection/limits.hpp"
#include "dns/child_resolver.hpp"
#include "server/admin/admin_server.hpp"
#include "server/admin/commands.hpp"
#include "server/auth/authenticator.hpp"
#include "server/c2s_service.hpp"
#include "server/certificates/certificate_keeper.hpp"
#include "server/check/check_commands.hpp"
#include "server/check/check_service.hpp"
#include "server/config/config.hpp"
#include "server/daemon.hpp"
#include "server/http/http_listener.hpp"
#include "server/loop_pool.hpp"
#include "server/memory_watch.hpp"
#include "server/metrics.hpp"
#include "server/ports.hpp"
#include "server/remote_servers.hpp"
#include "server/router.hpp"
#include "server/storage/store.hpp"
#include "server/trace/trace_hub.hpp"
#include "server/web_service.hpp"

namespace comity::server {

struct daemon::parts {
  parts(config::settings s, collaborators w);
  ~parts();
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

  void take_signals();
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
  memory_group memory;  // until it is watched
  trace::trace_hub traces;
  trace::traced_log log{written, traces};
  connection::connection_metrics metrics;
  loop_pool loops;
  connection::ip_limits limits;
  tls::server_context tls;
  connection::loop control;  // of the main thread, where nothing of a stream ever runs
  struct awaited;            // signals and times
  std::shared_ptr<awaited> awaits;
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
  std::unique_ptr<memory_watch> memory_watched;

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

}  // namespace comity::server
