#include "server/admin/comityctl_check.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <stdexcept>
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

}  // namespace

void add_check_commands(CLI::App& app, tool with) {
  auto* dns = app.add_subcommand("dns", "the DNS");
  dns->require_subcommand(1);
  auto* records = dns->add_subcommand("records", "what a host has to publish");
  auto o = std::make_shared<records_options>();
  records->add_option("host", o->host, "a domain that is served here")->required()->type_name("HOST");
  records->add_option("--target", o->target, "the host name that the records lead to")->type_name("NAME");
  records->add_option("--next-key", o->next_key, "the key that comes next, for TLSA records of both")
      ->type_name("FILE");
  records->add_option("--format", o->format, "zone or nsupdate")->check(CLI::IsMember({"zone", "nsupdate"}));
  records->callback([with = std::move(with), o] { print_records(with, *o); });
}

}  // namespace comity::admin
