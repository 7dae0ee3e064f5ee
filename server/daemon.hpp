// server/daemon.hpp: the whole server put together, from a checked configuration to the last closed stream.
//
// Lives on the control thread (the one that calls run()); signals, the operator's socket and the metrics endpoint are
// served there, streams on the loops of loop_pool, the database on threads of its own.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "dns/child_resolver.hpp"
#include "server/config/config.hpp"
#include "server/log.hpp"
#include "server/memory_group.hpp"
#include "server/sandbox/hardening.hpp"

namespace comity::server {

class daemon {
public:
  /// What is of the process, from before files were given up.
  struct collaborators {
    server_log& log;                      // outlives the daemon
    dns::child_starter resolver_process;  // what it starts processes by outlives the daemon
    sandbox::hardening& hardened;         // has given up files already; outlives the daemon
    memory_group memory;
  };
  /// Opens everything: database, sockets, ports. The error is one line that says what could not be opened and why.
  /// `files` are those that config::check_files loaded for these settings.
  [[nodiscard]] static std::expected<std::unique_ptr<daemon>, std::string> open(config::settings settings,
                                                                                config::checked_files files,
                                                                                collaborators with);
  ~daemon();
  daemon(const daemon&) = delete;
  daemon& operator=(const daemon&) = delete;

  /// Serves until a signal or the operator ends it; returns the exit status of the process. SIGHUP reloads; SIGTERM and
  /// SIGINT stop gracefully within server.shutdown_timeout, a second one at once.
  [[nodiscard]] int run();

private:
  struct parts;
  explicit daemon(std::unique_ptr<parts>) noexcept;
  std::unique_ptr<parts> parts_;
};

}  // namespace comity::server
