// What becomes of a daemon once everything is open, until its last stream has closed.
#include <systemd/sd-daemon.h>

#include <asio.hpp>
#include <csignal>
#include <future>
#include <utility>

#include "server/code_pages.hpp"
#include "server/daemon_parts.hpp"
#include "server/derived_settings.hpp"

namespace comity::server {

namespace {

using namespace std::chrono_literals;

constexpr auto poll_interval = 20ms;  // how often a stop looks whether the last stream has gone

}  // namespace

struct daemon::parts::awaited {
  explicit awaited(asio::io_context& control)
      : signals{control, SIGTERM, SIGINT, SIGHUP}, stopping{control}, watchdog{control} {}

  asio::signal_set signals;
  asio::steady_timer stopping;
  asio::steady_timer watchdog;
};

/// From here on they wait for wait_for_signal().
void daemon::parts::take_signals() {
  awaits = std::make_shared<awaited>(control.context());
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
  memory_watched = std::make_unique<memory_watch>(
      std::move(memory), memory_watch::collaborators{.control = control.context(), .log = log, .shed = [this] {
                                                       loops.connections().shed(memory_watch::share);
                                                     }});
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
  awaits->watchdog.expires_after(
      watchdog_interval.count() != 0
          ? std::chrono::milliseconds{std::chrono::duration_cast<std::chrono::milliseconds>(watchdog_interval)}
          : std::chrono::milliseconds{1000});
  awaits->watchdog.async_wait([this](std::error_code aborted) {
    if (!aborted) {
      watch();
    }
  });
}

/// Takes everything down in the order that lets each part finish: streams first, then what they have asked for.
void daemon::parts::close() {
  serving = false;
  memory_watched.reset();
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
  awaits->signals.async_wait([this](std::error_code aborted, int signal) {
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
  awaits->stopping.expires_after(poll_interval);
  awaits->stopping.async_wait([this](std::error_code aborted) {
    if (!aborted) {
      wait_for_streams();
    }
  });
}

}  // namespace comity::server
