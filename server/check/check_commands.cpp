#include "server/check/check_commands.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "connection/jid.hpp"
#include "dns/rdata.hpp"
#include "server/check/records.hpp"

namespace comity::check {

namespace {

using json = nlohmann::json;

std::string text_of(const json& args, const char* name) {
  const auto found = args.find(name);
  return found != args.end() && found->is_string() ? found->get<std::string>() : std::string{};
}

std::string done(const json& result) {
  return json{{"ok", true}, {"result", result}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

json rows_of(const host_records& all) {
  auto rows = json::array();
  for (const auto& r : all.records) {
    rows.push_back({{"owner", r.owner}, {"ttl", record_ttl}, {"type", r.type}, {"data", r.data}, {"about", r.about}});
  }
  for (const auto& hint : all.hints) {
    rows.push_back({{"hint", hint}});
  }
  for (const auto& file : all.files) {
    rows.push_back({{"path", file.path}, {"content", file.content}});
  }
  return rows;
}

json rows_of(const std::vector<host_findings>& all) {
  auto rows = json::array();
  for (const auto& host : all) {
    for (const auto& f : host.findings) {
      rows.push_back({{"host", host.domain},
                      {"severity", to_string(f.severity)},
                      {"about", to_string(area_of(f.kind))},
                      {"finding", to_string(f.kind)},
                      {"text", f.text}});
    }
  }
  return rows;
}

bool is_digest(std::string_view hex) {
  return hex.size() == 64 && hex.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string records_reply(const running_server& all, const json& args) {
  const auto asked = text_of(args, "host");
  const auto domain = enforce_domainpart(asked);
  if (!domain) {
    return admin::refusal("'" + asked + "' is no domain");
  }
  wished wish;
  if (const auto target = text_of(args, "target"); !target.empty()) {
    const auto name = dns::folded_name(to_a_labels(target));
    if (!name || name->empty()) {
      return admin::refusal("'" + target + "' is no host name; use one like xmpp." + *domain);
    }
    wish.target = *name;
  }
  if (const auto key = text_of(args, "next_key"); !key.empty()) {
    if (!is_digest(key)) {
      return admin::refusal("the next key is to be given as the SHA-256 of its public key, in hexadecimal");
    }
    wish.next_key_hex = key;
  }
  const auto facts = running(all, to_a_labels(*domain), wish);
  if (!facts) {
    return admin::refusal(facts.error());
  }
  const auto records = records_for(*facts);
  const auto format = text_of(args, "format");
  return done(format == "json" ? rows_of(records)
                               : json(format == "nsupdate" ? nsupdate_text(records) : zone_text(records)));
}

}  // namespace

bool check_commands::run(std::string_view request, admin::replier& reply) {
  const auto asked = json::parse(request, nullptr, false);
  if (!asked.is_object()) {
    return false;
  }
  const auto command = text_of(asked, "command");
  const auto args = asked.value("args", json::object());
  if ((command != "dns records" && command != "check") || !args.is_object()) {
    return false;
  }
  if (command == "check") {
    check(text_of(args, "host"), std::move(reply));
    return true;
  }
  const auto ports = with_.ports();
  const auto certificates = with_.certificates();
  reply(records_reply({.settings = with_.settings, .ports = ports, .certificates = *certificates}, args));
  return true;
}

void check_commands::check(const std::string& host, admin::replier reply) {
  std::string domain;
  if (!host.empty()) {
    const auto enforced = enforce_domainpart(host);
    if (!enforced) {
      return reply(admin::refusal("'" + host + "' is no domain"));
    }
    domain = to_a_labels(*enforced);
  }
  const auto shared = std::make_shared<admin::replier>(std::move(reply));
  const auto begun = with_.checks.check(
      domain, [shared](const std::vector<host_findings>& found) { (*shared)(done(rows_of(found))); });
  if (!begun) {
    (*shared)(admin::refusal(begun.error()));
  }
}

}  // namespace comity::check
