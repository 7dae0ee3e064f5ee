#include "server/check/check_service.hpp"

#include <algorithm>
#include <array>
#include <asio.hpp>
#include <list>
#include <utility>

#include "connection/jid.hpp"
#include "server/check/own_records_metrics.hpp"
#include "server/http/https_client.hpp"
#include "server/remote_servers.hpp"
#include "tls/client_context.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::check {

namespace {

constexpr std::chrono::hours interval{1};
constexpr std::size_t runs_at_once = 4;

bool below(std::string_view name, std::string_view zone) {
  return name == zone ||
         (name.size() > zone.size() && name.ends_with(zone) && name[name.size() - zone.size() - 1] == '.');
}

/// Over a client that lasts as long as this is kept.
web_fetch fetch_by(const std::filesystem::path& authorities) {
  namespace http = server::http;
  auto client = std::make_shared<http::https_client>(http::https_client::settings{.ca_file = authorities});
  return [client = std::move(client)](const std::string& text, std::vector<dns::address> at,
                                      std::move_only_function<void(web_answer)> done) {
    auto url = http::parse_https_url(text);
    if (!url) {
      return done({.status = 0, .body = {}, .error = "no URL"});
    }
    client->get(std::move(*url), std::move(at), [done = std::move(done)](http::fetched got) mutable {
      done({.status = got.status, .body = std::move(got.body), .error = std::move(got.error)});
    });
  };
}

}  // namespace

bool resolvable(std::string_view domain, const config::dns_settings& dns) {
  static constexpr std::array<std::string_view, 8> nobodys{"localhost", "local",     "test",  "invalid",
                                                           "internal",  "home.arpa", "onion", "example"};
  const auto within = [domain](std::string_view zone) { return below(domain, zone); };
  return std::ranges::none_of(nobodys, within) || std::ranges::any_of(dns.special_zones, within) ||
         std::ranges::any_of(dns.stubs, [&](const auto& s) { return within(s.first); });
}

struct check_service::state {
  state(collaborators w, std::chrono::seconds first) : with{std::move(w)}, client{with.tls}, timer{with.control} {
    look_again_after(first);
  }

  void look_again_after(std::chrono::seconds wait) {
    timer.expires_after(wait);
    timer.async_wait([this](std::error_code aborted) {
      if (aborted) {
        return;
      }
      // A failure is said where the operator asks; the records are looked at again in any case.
      if (const auto begun = begin({}, false, [](const auto&) {}); !begun) {
        with.log.write(log::level::warn, "check.failed", {{"detail", begun.error()}});
      }
      look_again_after(interval);
    });
  }

  std::expected<void, std::string> begin(const std::string& domain, bool dial, completion done) {
    if (runs.size() >= runs_at_once) {
      return std::unexpected{"too many checks are under way; try again in a moment"};
    }
    auto hosts = subjects(domain, dial);
    if (!hosts) {
      return std::unexpected{std::move(hosts.error())};
    }
    if (hosts->empty()) {
      return {};  // none whose records anybody could look up, and nobody waits for the answer
    }
    auto authorities = tls::trust_store::load({.authorities = with.settings.tls.ca_file, .revocations = {}});
    if (!authorities) {
      return std::unexpected{with.settings.tls.ca_file.string() + " " + authorities.error().what};
    }
    auto resolver = with.start_resolver(server::dns_settings_of(with.settings.dns));
    if (!resolver) {
      return std::unexpected{std::move(resolver.error())};
    }
    web_fetch web;
    if (dial && std::ranges::any_of(*hosts, [](const auto& h) { return !h.running.urls.empty(); })) {
      web = fetch_by(with.settings.tls.ca_file);
    }
    const auto at = runs.emplace(runs.end());
    *at = std::make_unique<check_run>(
        check_run::collaborators{.control = with.control, .loops = with.loops, .tls = client},
        check_run::task{.hosts = std::move(*hosts),
                        .dns = std::move(*resolver),
                        .authorities = std::move(*authorities),
                        .web = std::move(web)},
        [this, at, done = std::move(done)](std::vector<host_findings> found) mutable {
          for (const auto& h : found) {
            metrics.looked_at(h.domain, h.findings, std::chrono::system_clock::now());
          }
          const auto ended = std::move(*at);
          runs.erase(at);
          done(std::move(found));
        });
    return {};
  }

  std::expected<std::vector<inspected_host>, std::string> subjects(const std::string& wanted, bool dial) {
    const auto certificates = with.tls.current();
    const auto ports = with.ports();
    const running_server server{.settings = with.settings, .ports = ports, .certificates = *certificates};
    const auto keys = std::make_shared<std::vector<own_key>>();
    std::vector<inspected_host> hosts;
    std::vector<std::string> domains;
    for (const auto& h : with.settings.hosts) {
      const auto domain = to_a_labels(h.domain);
      domains.push_back(domain);
      // A name below the domain: the keys of others do not belong to its own.
      auto facts = running(server, domain, {.target = domain, .next_key_hex = {}});
      if (!facts) {
        return std::unexpected{std::move(facts.error())};
      }
      keys->insert(keys->end(), facts->keys.begin(), facts->keys.end());
      const bool meant = wanted.empty() ? dial || resolvable(domain, with.settings.dns) : wanted == domain;
      if (meant) {
        hosts.push_back({.running = std::move(*facts),
                         .unicode = h.domain,
                         .served = tls::served_credentials(*certificates, domain),
                         .all_keys = keys,
                         .dial = dial});
      }
    }
    metrics.keep(domains);
    if (hosts.empty() && !wanted.empty()) {
      return std::unexpected{"'" + wanted + "' is not served here; use a domain of a [[host]] in the configuration"};
    }
    return hosts;
  }

  collaborators with;
  tls::client_context client;
  own_records_metrics metrics;
  asio::steady_timer timer;
  std::list<std::unique_ptr<check_run>> runs;
};

check_service::check_service(collaborators with, std::chrono::seconds first)
    : state_{std::make_unique<state>(std::move(with), first)} {
}

check_service::~check_service() = default;

std::expected<void, std::string> check_service::check(const std::string& domain, completion done) {
  return state_->begin(domain, true, std::move(done));
}

std::shared_ptr<prometheus::Collectable> check_service::collectable() const {
  return state_->metrics.collectable();
}

}  // namespace comity::check
