#include "server/admin/comityctl_check.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "tls/crypto.hpp"
#include "tls/key_file.hpp"

namespace comity::admin {

namespace {

using json = nlohmann::json;

struct records_options {
  std::string host, target, next_key, format = "zone";
};

/// The key itself stays here: the daemon is told what is published of it.
std::string digest_of(const std::string& file) {
  const auto digest = tls::public_key_sha256(file);
  if (!digest) {
    throw std::runtime_error{file + " " + digest.error()};
  }
  return tls::hex(*digest);
}

void print_records(const tool& with, const records_options& o) {
  json args{{"host", o.host}, {"target", o.target}, {"format", with.as_json ? "json" : o.format}};
  if (!o.next_key.empty()) {
    args["next_key"] = digest_of(o.next_key);
  }
  const auto result = with.ask("dns records", std::move(args));
  std::cout << (with.as_json ? result.dump(2) + "\n" : result.get<std::string>());
}

struct check_options {
  std::string host;
  bool wait = false;
  unsigned every = 10;
};

bool any_error(const json& findings) {
  return std::ranges::any_of(findings, [](const auto& f) { return f.at("severity") == "error"; });
}

std::string text_of(const json& findings) {
  std::string text;
  for (const auto& f : findings) {
    text += f.at("severity").get<std::string>() + ": " + f.at("host").get<std::string>() + ": " +
            f.at("text").get<std::string>() + "\n";
  }
  return text;
}

/// Whether nothing was found that fails. A right set-up is passed over in silence.
bool check(const tool& with, const check_options& o) {
  const auto look = [&] { return with.ask("check", {{"host", o.host}}); };
  auto findings = look();
  std::string said;
  while (o.wait && any_error(findings)) {
    if (auto text = text_of(findings); text != said) {
      std::cerr << text << "waiting for the errors to go, looking every " << o.every << " s\n";
      said = std::move(text);
    }
    std::this_thread::sleep_for(std::chrono::seconds{o.every});
    findings = look();
  }
  std::cout << (with.as_json ? findings.dump(2) + "\n" : text_of(findings));
  return !any_error(findings);
}

}  // namespace

void add_check_commands(CLI::App& app, tool with, bool& failed) {
  auto* dns = app.add_subcommand("dns", "the DNS");
  dns->require_subcommand(1);
  auto* records = dns->add_subcommand("records", "what a host has to publish");
  auto o = std::make_shared<records_options>();
  records->add_option("host", o->host, "a domain that is served here")->required()->type_name("HOST");
  records->add_option("--target", o->target, "the host name that the records lead to")->type_name("NAME");
  records->add_option("--next-key", o->next_key, "the key that comes next, for TLSA records of both")
      ->type_name("FILE");
  records->add_option("--format", o->format, "zone or nsupdate")->check(CLI::IsMember({"zone", "nsupdate"}));
  records->callback([with, o] { print_records(with, *o); });

  auto* look = app.add_subcommand("check", "look at what is published from outside");
  auto c = std::make_shared<check_options>();
  look->add_option("host", c->host, "a domain that is served here; all without it")->type_name("HOST");
  auto* wait = look->add_flag("--wait", c->wait, "look again until no error is found");
  look->add_option("--every", c->every, "how often to look")
      ->needs(wait)
      ->check(CLI::Range(1, 3600))
      ->type_name("SECONDS");
  look->callback([with = std::move(with), c, &failed] { failed = !check(with, *c); });
}

}  // namespace comity::admin
