// comityd: reads its configuration, opens what it needs, serves.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>

#include "connection/memory_reserve.hpp"
#include "dns/resolver_process.hpp"
#include "server/admin/admin_server.hpp"
#include "server/config/config.hpp"
#include "server/daemon.hpp"
#include "server/log.hpp"
#include "server/metrics.hpp"
#include "server/sandbox/hardening.hpp"
#include "server/sandbox/process_starter.hpp"
#include "server/sandbox/resolver_confinement.hpp"
#include "server/storage/sqlite/sqlite_store.hpp"
#include "tls/buffers.hpp"

// libcurl brings GnuTLS along for protocols that are not spoken here. This is how GnuTLS asks whether to set itself up
// before main(), which takes time and a hundred kilobytes of each of our processes (gnutls.h, GNUTLS_SKIP_GLOBAL_INIT).
extern "C" [[gnu::visibility("default"), gnu::used]] int _gnutls_global_init_skip();
int _gnutls_global_init_skip() {
  return 1;
}

namespace {

void say(const std::string& line) {
  std::fprintf(stderr, "%s\n", line.c_str());
}

/// As many descriptors as the system lets us have: each connection takes one.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }
}

int refuse(const std::vector<comity::config::fault>& faults) {
  for (const auto& f : faults) {
    say(to_string(f));
  }
  return EX_CONFIG;
}

/// This program again, as the process that resolves for another one.
int resolve() {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(comity::sandbox::resolver_socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_SEQPACKET) {
    say("comityd: only comityd itself starts a resolver process");
    return EX_USAGE;
  }
  (void)::prctl(PR_SET_NAME, "comity-resolver");
  return comity::dns::run_resolver_process(comity::sandbox::resolver_socket, comity::sandbox::confine_resolver);
}

int serve(const std::filesystem::path& file, bool check_only) {
  // Before there is anything in this process that another one should not have.
  std::optional<comity::sandbox::process_starter> starter;
  if (!check_only) {
    starter.emplace();
  }
  auto settings = comity::config::load(file);
  if (!settings) {
    return refuse(settings.error());
  }
  auto files = comity::config::check_files(*settings);
  if (!files) {
    return refuse(files.error());
  }
  if (check_only) {
    return EX_OK;
  }
  if (::geteuid() == 0 && !settings->server.run_as_root) {  // THREATS §3
    say("comityd: will not run as root; start it as a user of its own, as its service does, or set run_as_root = true "
        "in [server] of " +
        settings->file.native());
    return EX_CONFIG;
  }
  if (!settings->s2s.enabled) {
    starter.reset();
  }
  raise_descriptor_limit();
  comity::connection::keep_memory_in_reserve();
  (void)std::signal(SIGPIPE, SIG_IGN);
  comity::sandbox::hardening hardened{settings->server.hardening};
  if (auto made = comity::storage::make_folder_of(settings->storage.sqlite_file); !made) {
    say("comityd: " + made.error());
    return EX_UNAVAILABLE;
  }
  comity::admin::make_folder_of(settings->server.admin_socket);
  auto memory = comity::server::memory_group::of_this_process();
  hardened.give_up_files(*settings);  // the log's thread is the first of many
  comity::server_log log{{.settings = settings->log}};
  auto daemon = comity::server::daemon::open(std::move(*settings), std::move(*files),
                                             {.log = log,
                                              .resolver_process = [&starter] { return starter->start(); },
                                              .hardened = hardened,
                                              .memory = std::move(memory)});
  if (!daemon) {
    (void)log.flush(std::chrono::seconds{1});
    say("comityd: " + daemon.error());
    return EX_UNAVAILABLE;
  }
  return (*daemon)->run();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (comity::sandbox::asked_to_resolve(argc, argv)) {
      return resolve();
    }
    comity::tls::keep_record_buffers();
    CLI::App app{"Comity, an XMPP server", "comityd"};
    std::string file = "/etc/comity/comity.toml";
    bool check_only = false;
    app.add_option("--config", file, "configuration file")->capture_default_str()->type_name("FILE");
    app.add_flag("--check-config", check_only, "say what is wrong with the configuration, open nothing, and exit");
    app.set_version_flag("--version", "comityd " + comity::server::version_text());
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
      return app.exit(e) == 0 ? EX_OK : EX_USAGE;
    }
    return serve(file, check_only);
  } catch (const std::exception& e) {
    say(std::string{"comityd: "} + e.what());
    return EX_SOFTWARE;
  }
}
