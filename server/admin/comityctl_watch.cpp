#include "server/admin/comityctl_watch.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>
#include <utility>

namespace comity::admin {

namespace {

using json = nlohmann::json;

/// On a terminal, unless whoever sits there wants none (no-color.org).
bool coloured() {
  const auto set = [](const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    return value == nullptr ? std::string_view{} : std::string_view{value};
  };
  return ::isatty(STDOUT_FILENO) == 1 && set("NO_COLOR").empty() && set("TERM") != "dumb";
}

/// As wide as the terminal, and 100 columns where there is none.
std::size_t width() {
  constexpr std::size_t usual = 100;
  winsize size{};
  return ::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0
             ? size.ws_col
             : usual;
}

/// A string is lines as they are, anything else one line of JSON.
void print_told(const json& value) {
  if (value.is_string()) {
    std::cout << value.get_ref<const std::string&>() << std::flush;
  } else {
    std::cout << value.dump() << '\n' << std::flush;
  }
}

struct explain_options {
  std::string domain, from, method;
  bool dry_run = false;
};

void explain(const tool& t, const explain_options& o) {
  json args{{"domain", o.domain}, {"from", o.from}, {"method", o.method}, {"dry_run", o.dry_run}};
  if (!t.as_json) {
    args["text"] = {{"width", width()}, {"coloured", coloured()}};
  }
  const auto result = t.follow("s2s explain", std::move(args), print_told);
  if (t.as_json) {
    std::cout << result.dump(2) << '\n';
    if (const auto& outcome = result.at("outcome"); !outcome.at("cause").is_null()) {
      throw failure{o.domain + " is not reached: " + outcome.at("cause").get<std::string>() + " in " +
                    outcome.at("phase").get<std::string>()};
    }
  } else if (!result.at("reached").get<bool>()) {
    // A terminal has it on its last line already.
    throw failure{::isatty(STDOUT_FILENO) == 1 ? std::string{} : result.at("outcome").get<std::string>()};
  }
}

void add_explain(CLI::App& app, const tool& t) {
  auto* s2s = app.add_subcommand("s2s", "other servers");
  s2s->require_subcommand(1);
  auto* command = s2s->add_subcommand("explain", "reach another server now, and tell every step");
  auto o = std::make_shared<explain_options>();
  command->add_option("domain", o->domain, "the other server's domain")->required()->type_name("DOMAIN");
  command->add_flag("--dry-run", o->dry_run, "resolve alone, and dial nothing");
  command->add_option("--method", o->method, "by this method alone")
      ->type_name("METHOD")
      ->check(CLI::IsMember({"starttls", "direct_tls"}));
  command->add_option("--from", o->from, "as this domain of ours, the first one if left out")->type_name("HOST");
  command->callback([t, o] { explain(t, *o); });
}

struct trace_options {
  std::string party;
  bool bodies = false;
};

void add_trace(CLI::App& app, const tool& t) {
  auto* command = app.add_subcommand("trace", "follow a domain or a JID live, until Ctrl-C");
  auto o = std::make_shared<trace_options>();
  command->add_option("party", o->party, "whom to follow")->required()->type_name("DOMAIN|JID");
  command->add_flag("--bodies", o->bodies, "show what people say to each other");
  command->callback([t, o] {
    static_cast<void>(t.follow("trace", {{"party", o->party}, {"bodies", o->bodies}, {"json", t.as_json}}, print_told));
  });
}

void add_log(CLI::App& app, const tool& t) {
  auto* log = app.add_subcommand("log", "the daemon's log");
  log->require_subcommand(1);
  auto* command = log->add_subcommand("level", "show the log's level, or change it until the next reload");
  auto level = std::make_shared<std::string>();
  command->add_option("level", *level, "the least severity that is logged from now on")
      ->type_name("LEVEL")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
  command->callback([t, level] {
    const auto result = t.ask("log level", {{"level", *level}});
    if (t.as_json) {
      std::cout << result.dump(2) << '\n';
      return;
    }
    const auto now = result.at("level").get<std::string>(), configured = result.at("configured").get<std::string>();
    std::cout << now << (now == configured ? "" : " (" + configured + " in the configuration)") << '\n';
  });
}

}  // namespace

void add_watch_commands(CLI::App& app, tool t) {
  add_explain(app, t);
  add_trace(app, t);
  add_log(app, t);
}

}  // namespace comity::admin
