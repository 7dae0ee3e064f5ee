// comityd: reads its configuration, opens what it needs, serves.
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "server/config/config.hpp"
#include "server/daemon.hpp"
#include "server/log.hpp"
#include "server/metrics.hpp"
#include "tls/buffers.hpp"

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

int serve(const std::filesystem::path& file, bool check_only) {
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
  raise_descriptor_limit();
  (void)std::signal(SIGPIPE, SIG_IGN);
  comity::server_log log{{.settings = settings->log}};
  auto daemon = comity::server::daemon::open(std::move(*settings), std::move(*files), log);
  if (!daemon) {
    (void)log.flush(std::chrono::seconds{1});
    say("comityd: " + daemon.error());
    return EX_UNAVAILABLE;
  }
  return (*daemon)->run();
}

}  // namespace

int main(int argc, char** argv) {
  comity::tls::keep_record_buffers();
  try {
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
