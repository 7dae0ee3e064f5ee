// comityctl: the operator's tool. Speaks to the daemon; on accounts it works alone where no daemon runs.
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <iostream>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "server/admin/client.hpp"
#include "server/admin/comityctl_check.hpp"
#include "server/admin/comityctl_manual.hpp"
#include "server/admin/comityctl_setup.hpp"
#include "server/admin/comityctl_tool.hpp"
#include "server/admin/comityctl_watch.hpp"
#include "server/admin/commands.hpp"
#include "server/admin/table.hpp"
#include "server/auth/authenticator.hpp"
#include "server/config/config.hpp"
#include "server/log.hpp"
#include "server/storage/sqlite/sqlite_store.hpp"
#include "tls/crypto.hpp"
#include "tls/secret.hpp"

namespace {

using json = nlohmann::json;
namespace config = comity::config;

constexpr int done = 0, refused = 1, usage = 2;
constexpr std::size_t generated_bits = 132;
constexpr const char* default_config = "/etc/comity/comity.toml";
constexpr const char* default_socket = "/run/comity/admin.sock";

using comity::admin::failure;

struct options {
  std::string socket, config;
  bool as_json = false;
};

std::optional<config::settings> read_config(const options& o) {
  const auto file = !o.config.empty()                         ? o.config
                    : std::filesystem::exists(default_config) ? std::string{default_config}
                                                              : std::string{};
  if (file.empty()) {
    return std::nullopt;
  }
  auto settings = config::load(file);
  if (!settings) {
    std::string all;
    for (const auto& f : settings.error()) {
      all += (all.empty() ? "" : "\n") + to_string(f);
    }
    throw failure{all};
  }
  return std::move(*settings);
}

/// While it lives, root is whoever owns the data: what root made there would be root's, and the daemon could not open
/// it.
class as_owner {
public:
  explicit as_owner(const std::filesystem::path& data) : mask_{::umask(S_IRWXG | S_IRWXO)} {
    struct stat found{};
    if (::geteuid() != 0 || ::stat(data.c_str(), &found) != 0 || found.st_uid == 0) {
      return;
    }
    if (::setegid(found.st_gid) != 0 || ::seteuid(found.st_uid) != 0) {
      throw failure{"cannot become the owner of " + data.string() + ": " + std::generic_category().message(errno)};
    }
    changed_ = true;
  }
  ~as_owner() {
    if (changed_ && (::seteuid(0) != 0 || ::setegid(0) != 0)) {
      std::terminate();
    }
    ::umask(mask_);
  }
  as_owner(const as_owner&) = delete;
  as_owner& operator=(const as_owner&) = delete;

private:
  mode_t mask_;
  bool changed_ = false;
};

/// The commands on accounts, on the store itself.
std::string alone(const config::settings& settings, const std::string& request) {
  const as_owner owner{settings.server.data_directory};
  comity::server_log log{{.settings = {.level = comity::log::level::error, .format = config::log_format::text}}};
  auto store = comity::storage::open_sqlite(settings.storage.sqlite_file, log);
  if (!store) {
    throw failure{store.error()};
  }
  std::promise<std::string> answer;
  {
    auto authenticator = std::make_unique<comity::auth::authenticator>(**store);
    comity::admin::account_commands commands{
        {.store = **store,
         .authenticator = *authenticator,
         .hosts =
             [&](std::string_view domain) {
               return std::ranges::any_of(settings.hosts, [&](const auto& h) { return h.domain == domain; });
             },
         .end_sessions = [](const comity::jid&, comity::stream_condition) {}}};
    comity::admin::replier reply = [&](std::string text) { answer.set_value(std::move(text)); };
    auto got = answer.get_future();
    if (!commands.run(request, reply)) {
      throw failure{"no such command"};
    }
    got.wait();
    authenticator.reset();  // nothing goes to the store any more
    store->reset();         // what is on its way back has arrived
    return got.get();
  }
}

using teller = std::function<void(const json&)>;

json ask(const options& o, const std::string& command, json args, const teller& told = {}) {
  const auto request = json{{"command", command}, {"args", std::move(args)}}.dump();
  std::optional<config::settings> settings;
  if (o.socket.empty()) {
    settings = read_config(o);
  }
  const auto socket = !o.socket.empty() ? o.socket
                      : settings        ? settings->server.admin_socket.string()
                                        : std::string{default_socket};
  auto daemon = comity::admin::client::connect(socket);
  if (!daemon) {
    throw failure{daemon.error()};
  }
  std::string reply;
  if (*daemon) {
    auto answered = (*daemon)->ask(request, [&told](std::string_view value) {
      if (told) {
        told(json::parse(value));
      }
    });
    if (!answered) {
      throw failure{answered.error()};
    }
    reply = std::move(*answered);
  } else if (settings && command.starts_with("user ")) {
    reply = alone(*settings, request);
  } else {
    throw failure{"no daemon answers on " + socket + "; is comityd running, and with this configuration?"};
  }
  const auto parsed = json::parse(reply, nullptr, false);
  if (!parsed.is_object() || !parsed.value("ok", false)) {
    throw failure{parsed.is_object() ? parsed.value("error", "refused") : "the daemon's answer is no JSON"};
  }
  return parsed.at("result");
}

// --- passwords -------------------------------------------------------------------------------------------------------

/// A line from the terminal, not shown. What was typed before the question is no answer to it.
std::string typed(const char* prompt) {
  termios before{};
  ::tcgetattr(STDIN_FILENO, &before);
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
  std::fputs(prompt, stderr);
  std::string line;
  std::getline(std::cin, line);
  ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  std::fputs("\n", stderr);
  return line;
}

struct password_options {
  bool from_stdin = false;
  bool generate = false;
};

/// Never from the command line or the environment, where others could read it.
comity::tls::secret password(const password_options& o) {
  if (o.generate) {
    return comity::tls::secret{comity::tls::random_token(generated_bits)};
  }
  std::string line;
  if (o.from_stdin) {
    std::getline(std::cin, line);
    if (line.ends_with('\r')) {
      line.pop_back();
    }
  } else if (::isatty(STDIN_FILENO) == 1) {
    line = typed("Password: ");
    if (typed("Once more: ") != line) {
      throw failure{"the two passwords differ"};
    }
  } else {
    throw failure{"no terminal to ask for the password on; use --password-stdin or --generate"};
  }
  if (line.empty()) {
    throw failure{"the password is empty; give one of at least one character"};
  }
  return comity::tls::secret{std::move(line)};
}

// --- what is printed -------------------------------------------------------------------------------------------------

/// A terminal's lines are not broken; a file or another program gets all there is.
std::size_t line_width() {
  winsize size{};
  if (::isatty(STDOUT_FILENO) == 1 && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) {
    return size.ws_col;
  }
  return std::numeric_limits<std::size_t>::max();
}

void print(const json& result) {
  std::cout << result.dump(2) << '\n';
}

std::string cell(const json& row, const char* name) {
  const auto& v = row.at(name);
  return v.is_string() ? v.get<std::string>() : v.dump();
}

void print_connections(const json& rows) {
  std::vector<std::vector<std::string>> lines;
  for (const auto& r : rows) {
    lines.push_back({cell(r, "id"), cell(r, "peer"), cell(r, "address"), cell(r, "scope"), cell(r, "direction"),
                     cell(r, "method"), cell(r, "alpn"), cell(r, "tls_version"), cell(r, "cipher"),
                     cell(r, "authentication"), cell(r, "trust"),
                     comity::admin::duration(r.at("age").get<std::int64_t>()), cell(r, "bytes_received"),
                     cell(r, "bytes_sent"), cell(r, "queue")});
  }
  std::cout << comity::admin::table({"ID", "PEER", "ADDRESS", "SCOPE", "DIR", "METHOD", "ALPN", "TLS", "CIPHER", "AUTH",
                                     "TRUST", "AGE", "IN", "OUT", "QUEUE"},
                                    lines, line_width());
}

/// "a, b"; or what says that there is nothing.
std::string in_a_row(const json& words, std::string_view nothing) {
  std::string line;
  for (const auto& w : words) {
    line += (line.empty() ? "" : ", ") + w.get<std::string>();
  }
  return line.empty() ? std::string{nothing} : line;
}

void print_status(const json& s) {
  std::cout << "version   " << s.at("version").get<std::string>() << '\n'
            << "uptime    " << comity::admin::duration(s.at("uptime").get<std::int64_t>()) << '\n'
            << "sessions  " << s.at("sessions") << '\n'
            << "timers    " << s.at("timers") << '\n'
            << "hardening " << in_a_row(s.at("hardening").at("applied"), "off") << '\n';
  if (const auto lacking = in_a_row(s.at("hardening").at("lacking"), ""); !lacking.empty()) {
    std::cout << "lacking   " << lacking << '\n';
  }
  std::cout << '\n';
  std::vector<std::vector<std::string>> rows;
  for (const auto& h : s.at("hosts")) {
    rows.push_back({cell(h, "host"), cell(h, "sessions")});
  }
  std::cout << comity::admin::table({"HOST", "SESSIONS"}, rows, line_width()) << '\n';
  rows.clear();
  for (const auto& c : s.at("connections")) {
    rows.push_back({cell(c, "scope"), cell(c, "direction"), cell(c, "method"), cell(c, "count")});
  }
  std::cout << comity::admin::table({"SCOPE", "DIRECTION", "METHOD", "CONNECTIONS"}, rows, line_width());
}

// --- the command line ------------------------------------------------------------------------------------------------

struct command_line {
  options common;
  password_options passwords;
  std::string jid, domain, target;
  bool c2s = false, s2s = false;
  bool found_wrong = false;  // the command was obeyed, and its answer is no good news
};

void add_user_commands(CLI::App& app, command_line& c) {
  auto* user = app.add_subcommand("user", "accounts");
  user->require_subcommand(1);
  const auto with_password = [&c](CLI::App* command) {
    command->add_option("jid", c.jid, "user@domain")->required()->type_name("JID");
    auto* from_stdin = command->add_flag("--password-stdin", c.passwords.from_stdin, "read the password's line");
    command->add_flag("--generate", c.passwords.generate, "make a password and print it")->excludes(from_stdin);
  };
  const auto set = [&c](const char* name) {
    const auto secret = password(c.passwords);
    auto result = ask(c.common, name, {{"jid", c.jid}, {"password", secret.reveal()}});
    if (c.passwords.generate) {
      result["password"] = secret.reveal();
    }
    if (c.common.as_json) {
      print(result);
    } else if (c.passwords.generate) {
      std::cout << secret.reveal() << '\n';
    }
  };
  auto* add = user->add_subcommand("add", "make an account");
  with_password(add);
  add->callback([set] { set("user add"); });
  auto* passwd = user->add_subcommand("passwd", "set the password of an account");
  with_password(passwd);
  passwd->callback([set] { set("user passwd"); });
  auto* remove = user->add_subcommand("delete", "delete an account and all it has");
  remove->add_option("jid", c.jid, "user@domain")->required()->type_name("JID");
  remove->callback([&c] {
    const auto result = ask(c.common, "user delete", {{"jid", c.jid}});
    if (c.common.as_json) {
      print(result);
    }
  });
  auto* list = user->add_subcommand("list", "list accounts");
  list->add_option("domain", c.domain, "of one domain")->type_name("DOMAIN");
  list->callback([&c] {
    const auto rows = ask(c.common, "user list", {{"domain", c.domain}});
    if (c.common.as_json) {
      return print(rows);
    }
    for (const auto& r : rows) {
      std::cout << r.at("jid").get<std::string>() << '\n';
    }
  });
}

void add_server_commands(CLI::App& app, command_line& c) {
  app.add_subcommand("status", "what runs")->callback([&c] {
    const auto result = ask(c.common, "status", json::object());
    c.common.as_json ? print(result) : print_status(result);
  });
  auto* list = app.add_subcommand("connections", "list connections");
  auto* c2s = list->add_flag("--c2s", c.c2s, "of clients");
  list->add_flag("--s2s", c.s2s, "of servers")->excludes(c2s);
  list->add_option("--domain", c.domain, "of one domain of ours")->type_name("DOMAIN");
  list->callback([&c] {
    const auto* scope = c.c2s ? "c2s" : c.s2s ? "s2s" : "";
    const auto rows = ask(c.common, "connections", {{"scope", scope}, {"domain", c.domain}});
    c.common.as_json ? print(rows) : print_connections(rows);
  });
  auto* close = app.add_subcommand("close", "end connections");
  close->add_option("target", c.target, "a connection's number, a JID or a domain")->required();
  close->callback([&c] {
    const auto result = ask(c.common, "close", {{"target", c.target}});
    if (c.common.as_json) {
      return print(result);
    }
    std::cout << "closed " << result.at("closed") << '\n';
  });
  for (const auto& [name, what] :
       {std::pair{"reload", "read configuration and certificates again"},
        std::pair{"drain", "accept no more and let sessions end"}, std::pair{"stop", "stop gracefully"}}) {
    app.add_subcommand(name, what)->callback([&c, command = std::string{name}] {
      const auto result = ask(c.common, command, json::object());
      c.common.as_json ? print(result) : void(std::cout << result.get<std::string>() << '\n');
    });
  }
}

/// For completion: what the daemon lists in answer to `command`, by one member of each row; nothing where none runs.
std::vector<std::string> listed(const options& o, const std::string& command, json args, const char* member) {
  const auto settings = o.socket.empty() ? read_config(o) : std::nullopt;
  const auto daemon = comity::admin::client::connect(!o.socket.empty() ? std::filesystem::path{o.socket}
                                                     : settings        ? settings->server.admin_socket
                                                                       : std::filesystem::path{default_socket});
  std::vector<std::string> found;
  if (daemon && *daemon) {
    const auto answered = (*daemon)->ask(json{{"command", command}, {"args", std::move(args)}}.dump());
    const auto rows = json::parse(answered.value_or("{}"), nullptr, false);
    for (const auto& row : rows.value("result", json::array())) {
      found.push_back(cell(row, member));
    }
  }
  return found;
}

/// For completion: the values there are of a type of argument. Whatever goes wrong, there are none.
std::vector<std::string> values_of(const options& o, std::string_view type) {
  std::vector<std::string> found;
  try {
    if (type == "JID") {
      return listed(o, "user list", {{"domain", ""}}, "jid");
    }
    if (type == "HOST" || type == "DOMAIN") {
      if (const auto settings = read_config(o)) {
        for (const auto& h : settings->hosts) {
          found.push_back(h.domain);
        }
      }
    }
    if (type == "DOMAIN") {
      std::ranges::move(listed(o, "connections", {{"scope", "s2s"}, {"domain", ""}}, "peer"),
                        std::back_inserter(found));
    }
  } catch (const failure&) {
    found.clear();
  } catch (const std::exception&) {
    found.clear();
  }
  std::erase(found, std::string{});
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  command_line c;
  CLI::App app{"comityctl: ask a running Comity, and tell it what to do", "comityctl"};
  app.require_subcommand(1);
  app.fallthrough();  // the options below may stand before or after the command
  auto* socket = app.add_option("--socket", c.common.socket, "the daemon's admin socket")->type_name("PATH");
  app.add_option("--config", c.common.config, "the daemon's configuration, for its socket and its database")
      ->type_name("FILE")
      ->excludes(socket);
  app.add_flag("--json", c.common.as_json, "print JSON");
  add_user_commands(app, c);
  add_server_commands(app, c);
  const comity::admin::tool tool{
      .ask = [&c](const std::string& command, json args) { return ask(c.common, command, std::move(args)); },
      .follow = [&c](const std::string& command, json args,
                     const teller& told) { return ask(c.common, command, std::move(args), told); },
      .as_json = c.common.as_json};
  comity::admin::add_check_commands(app, tool, c.found_wrong);
  comity::admin::add_watch_commands(app, tool);
  comity::admin::add_manual_commands(app, c.common.as_json);
  comity::admin::add_completion_command(app, c.common.socket, c.common.config,
                                        [&c](std::string_view type) { return values_of(c.common, type); });
  comity::admin::add_setup_command(
      app, {.ask = [&c](const std::string& command, json args) { return ask(c.common, command, std::move(args)); },
            .config = c.common.config,
            .as_json = c.common.as_json,
            .typed = typed});
  // Commands run once the whole line is known: options may come behind them.
  app.immediate_callback(false);
  try {
    app.parse(argc, argv);
    return c.found_wrong ? refused : done;
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? done : usage;
  } catch (const failure& f) {
    if (!f.what.empty()) {
      std::cerr << "comityctl: " << f.what << '\n';
    }
    return refused;
  } catch (const std::exception& e) {
    std::cerr << "comityctl: " << e.what() << '\n';
    return refused;
  }
}
