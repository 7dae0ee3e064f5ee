#include "server/admin/comityctl_setup.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "connection/jid.hpp"
#include "dns/rdata.hpp"
#include "server/check/records.hpp"
#include "server/check/running.hpp"
#include "server/setup/service.hpp"
#include "server/setup/setup.hpp"
#include "tls/crypto.hpp"
#include "tls/secret.hpp"

namespace comity::admin {

namespace {

using json = nlohmann::json;

constexpr std::size_t generated_bits = 132;

struct setup_options {
  std::string domain, account, certificate, private_key, prefix = "/", target;
  bool no_account = false, local_authority = false, force = false, no_start = false;
  bool password_stdin = false, generate = false, unattended = false;
};

[[noreturn]] void refuse(const std::string& why) {
  throw std::runtime_error{why};
}

/// One run of the command.
class setup_run {
public:
  setup_run(const setup_tool& with, setup_options o) : with_{with}, asked_{std::move(o)} {}

  void run() {
    wish();
    if (at_a_terminal()) {
      ask_about_certificate();
    }
    const bool there = std::filesystem::exists(wish_.places.configuration);
    auto made = setup::prepare(wish_);
    if (!made) {
      refuse(made.error());
    }
    for (const auto& line : made->said) {
      tell(line);
    }
    result_["configuration"] = wish_.places.configuration.string();
    with_.config = wish_.places.configuration.string();
    account();
    start(!there || wish_.force);
    records(*made);
    if (with_.as_json) {
      std::cout << result_.dump(2) << '\n';
    }
  }

private:
  [[nodiscard]] bool at_a_terminal() const {
    return !asked_.unattended && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
  }

  void tell(const std::string& line) {
    if (with_.as_json) {
      result_["done"].push_back(line);
    } else {
      std::cerr << line << '\n';
    }
  }

  static std::string answer_to(const std::string& question) {
    std::cerr << question;
    std::string line;
    if (!std::getline(std::cin, line)) {
      refuse("nobody answers; use --unattended, and options in place of answers");
    }
    return line;
  }

  void wish() {
    const auto domain = enforce_domainpart(asked_.domain);
    if (!domain || domain->find('.') == std::string::npos || domain->starts_with('[') || dns::address::parse(*domain)) {
      refuse("'" + asked_.domain + "' is no domain; use one like example.org, the part of addresses after the @");
    }
    wish_.domain = *domain;
    // Files are named in the configuration as seen from anywhere.
    wish_.prefix = std::filesystem::absolute(asked_.prefix);
    wish_.places = setup::places{wish_.prefix};
    if (!with_.config.empty()) {
      wish_.places.configuration = std::filesystem::absolute(with_.config);
    }
    wish_.local_authority = asked_.local_authority;
    wish_.force = asked_.force;
    if (asked_.certificate.empty() != asked_.private_key.empty()) {
      refuse("--certificate and --private-key go together");
    }
    if (!asked_.certificate.empty()) {
      wish_.own = setup::certificate_place{.by = "yours",
                                           .certificate = std::filesystem::absolute(asked_.certificate),
                                           .private_key = std::filesystem::absolute(asked_.private_key)};
    }
  }

  void ask_about_certificate() {
    if (wish_.own || wish_.local_authority || (std::filesystem::exists(wish_.places.configuration) && !wish_.force)) {
      return;
    }
    if (const auto found = setup::usable_certificate(wish_, [](const std::string&) {})) {
      const auto answer =
          answer_to("Use the certificate of " + found->by + ", " + found->certificate.string() + "? [Y/n] ");
      wish_.local_authority = answer.starts_with('n') || answer.starts_with('N');
      return;
    }
    const auto answer = answer_to("No certificate for " + wish_.domain +
                                  " was found. Make one that only your own devices are to trust? [Y/n] ");
    if (answer.starts_with('n') || answer.starts_with('N')) {
      refuse("get one first (certbot certonly -d " + wish_.domain + "), or name it by --certificate and --private-key");
    }
    wish_.local_authority = true;
  }

  // --- the first account ---------------------------------------------------------------------------------------------

  void account() {
    if (asked_.no_account) {
      return;
    }
    auto name = asked_.account;
    if (name.empty() && at_a_terminal()) {
      name = answer_to("Name of the first account: [admin] ");
    }
    if (name.empty()) {
      name = "admin";
    }
    const auto user = jid::parse(name.contains('@') ? name : name + "@" + wish_.domain);
    if (!user || !user->has_localpart() || user->has_resource() || user->domainpart() != wish_.domain) {
      refuse("'" + name + "' names no account of " + wish_.domain + "; use one like admin");
    }
    const auto accounts = with_.ask("user list", {{"domain", wish_.domain}});
    const bool there = std::ranges::any_of(accounts, [&](const auto& row) { return row.at("jid") == user->text(); });
    result_["account"] = user->text();
    if (there) {
      return tell(user->text() + " is there already: left as it is");
    }
    bool generated = false;
    const auto secret = password(generated);
    with_.ask("user add", {{"jid", user->text()}, {"password", secret.reveal()}});
    if (generated && with_.as_json) {
      result_["password"] = secret.reveal();
    } else if (generated) {
      std::cout << "; the password of " << user->text() << ", which is not shown again: " << secret.reveal() << '\n';
    }
    tell("made the account " + user->text());
  }

  /// Never from the command line, where others could read it.
  tls::secret password(bool& generated) {
    std::string line;
    if (asked_.password_stdin) {
      std::getline(std::cin, line);
      if (line.ends_with('\r')) {
        line.pop_back();
      }
      if (line.empty()) {
        refuse("the password is empty; give a line with one on standard input");
      }
      return tls::secret{std::move(line)};
    }
    if (at_a_terminal() && !asked_.generate) {
      line = with_.typed("Its password (empty: one is made): ");
      if (!line.empty()) {
        if (with_.typed("Once more: ") != line) {
          refuse("the two passwords differ; run it again, it goes on from here");
        }
        return tls::secret{std::move(line)};
      }
    }
    generated = true;
    return tls::secret{tls::random_token(generated_bits)};
  }

  // --- running and being found ---------------------------------------------------------------------------------------

  void start(bool anew) {
    const auto by_hand = "comityd --config " + wish_.places.configuration.string();
    result_["started"] = false;
    if (asked_.no_start || wish_.prefix != "/" || !setup::service_at_hand()) {
      return tell("start it: " + by_hand);
    }
    if (auto started = setup::start_service(anew); !started) {
      refuse(started.error());
    }
    result_["started"] = true;
    tell("started comityd, now and whenever the machine starts");
  }

  void records(const setup::outcome& made) {
    check::wished target;
    if (!asked_.target.empty()) {
      const auto name = dns::folded_name(to_a_labels(asked_.target));
      if (!name || name->empty()) {
        refuse("'" + asked_.target + "' is no host name; use one like xmpp." + wish_.domain);
      }
      target.target = *name;
    }
    const auto facts = check::running(
        {.settings = made.settings, .ports = made.settings.listeners, .certificates = *made.certificates},
        to_a_labels(wish_.domain), target);
    if (!facts) {
      refuse(facts.error());
    }
    const auto text = check::zone_text(check::records_for(*facts));
    if (with_.as_json) {
      result_["zone"] = text;
    } else {
      std::cout << text;
      tell("publish these records, then see that all is right: comityctl check " + wish_.domain + " --wait");
    }
  }

  const setup_tool& with_;
  setup_options asked_;
  setup::wishes wish_;
  json result_ = {{"done", json::array()}};
};

}  // namespace

void add_setup_command(CLI::App& app, setup_tool with) {
  auto* command = app.add_subcommand("setup", "make a server for a domain, from nothing");
  auto o = std::make_shared<setup_options>();
  command->add_option("domain", o->domain, "the part of addresses after the @")->required()->type_name("DOMAIN");
  auto* account =
      command->add_option("--account", o->account, "the first account; admin without it")->type_name("NAME");
  command->add_flag("--no-account", o->no_account, "make none")->excludes(account);
  auto* from_stdin = command->add_flag("--password-stdin", o->password_stdin, "read its password's line");
  command->add_flag("--generate", o->generate, "make its password and print it")->excludes(from_stdin);
  auto* certificate = command->add_option("--certificate", o->certificate, "PEM, leaf first")->type_name("FILE");
  command->add_option("--private-key", o->private_key, "the certificate's")->type_name("FILE");
  command->add_flag("--local-ca", o->local_authority, "make an authority, and a certificate of it")
      ->excludes(certificate);
  command->add_option("--target", o->target, "the host name that DNS records lead to")->type_name("NAME");
  command->add_option("--prefix", o->prefix, "the folder that stands for /")->type_name("DIR");
  command->add_flag("--force", o->force, "replace a configuration that is there");
  command->add_flag("--no-start", o->no_start, "only print how it is started");
  command->add_flag("--unattended", o->unattended, "ask nothing");
  command->callback([with = std::move(with), o] { setup_run{with, *o}.run(); });
}

}  // namespace comity::admin
