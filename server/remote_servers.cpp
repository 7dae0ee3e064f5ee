#include "server/remote_servers.hpp"

#include <random>
#include <utility>

#include "connection/dns_metrics.hpp"
#include "connection/s2s/federation.hpp"
#include "connection/s2s/inbound_stream.hpp"
#include "connection/s2s/s2s_collaborators.hpp"
#include "connection/s2s/s2s_metrics.hpp"
#include "dns/child_resolver.hpp"
#include "server/http/https_client.hpp"
#include "server/posh_store.hpp"
#include "server/s2s_service.hpp"
#include "tls/client_context.hpp"
#include "tls/session_cache.hpp"

namespace comity::server {

namespace {

log::level level_of(dns::note_level l) {
  switch (l) {
    case dns::note_level::info:
      return log::level::info;
    case dns::note_level::warning:
      return log::level::warn;
    case dns::note_level::error:
    case dns::note_level::broken:
      return log::level::error;
  }
  return log::level::error;
}

/// For order among equals and for delays, not for secrets.
std::uint64_t random_up_to(std::uint64_t bound) {
  static thread_local std::mt19937_64 generator{std::random_device{}()};
  return std::uniform_int_distribution<std::uint64_t>{0, bound}(generator);
}

std::vector<connection::loop_connections*> all_of(loop_pool& loops) {
  std::vector<connection::loop_connections*> all;
  all.reserve(loops.size());
  for (std::size_t i = 0; i < loops.size(); ++i) {
    all.push_back(&loops.connections_of(i));
  }
  return all;
}

}  // namespace

dns::settings dns_settings_of(const config::dns_settings& d) {
  return {.servers = d.servers,
          .root_hints = d.root_hints.native(),
          .trust_anchors = d.trust_anchors,
          .stubs = d.stubs,
          .special_zones = d.special_zones,
          .timeout = d.timeout};
}

struct remote_servers::parts {
  parts(collaborators c, const config::settings& all, std::shared_ptr<const tls::trust_store> authorities)
      : with{std::move(c)},
        service{s2s_rules_of(all, std::move(authorities))},
        client_tls{with.tls},
        metrics{with.loops.size()},
        https{std::make_unique<http::https_client>(http::https_client::settings{.ca_file = all.tls.ca_file})} {}

  std::expected<void, std::string> open(const config::settings& all) {
    auto started = dns::child_resolver::start(dns_settings_of(all.dns),
                                              {.starter = with.resolver_process,
                                               .note =
                                                   [&sink = with.log](dns::note_level l, const std::string& text) {
                                                     sink.write(level_of(l), "dns.resolver", {{"detail", text}});
                                                   },
                                               .observe = [this](const dns::observation& o) { dns_counts.observed(o); },
                                               .restarted = [this] { dns_counts.resolver_restarted(); }});
    if (!started) {
      return std::unexpected{started.error()};
    }
    resolver = std::move(*started);
    posh = std::make_unique<posh_store>(posh_store::collaborators{
        .resolver = *resolver, .fetcher = *https, .log = with.log, .may_dial = [this](const dns::address& a) {
          return service.settings()->addresses.may_dial(a.bytes());
        }});
    federation =
        std::make_unique<connection::federation>(connection::federation::collaborators{.loops = all_of(with.loops),
                                                                                       .host = service,
                                                                                       .posh = *posh,
                                                                                       .dns = *resolver,
                                                                                       .server_tls = with.tls,
                                                                                       .client_tls = client_tls,
                                                                                       .sessions = sessions,
                                                                                       .metrics = metrics,
                                                                                       .log = with.log,
                                                                                       .random = random_up_to});
    return {};
  }

  collaborators with;
  connection::dns_metrics dns_counts;
  s2s_service service;
  tls::client_context client_tls;
  tls::session_cache sessions;
  connection::s2s_metrics metrics;
  // These end in the opposite order: streams, then whom they ask.
  std::unique_ptr<dns::child_resolver> resolver;
  std::unique_ptr<posh_store> posh;
  std::unique_ptr<http::https_client> https;  // before the store whose work it runs
  std::unique_ptr<connection::federation> federation;
};

std::expected<std::unique_ptr<remote_servers>, std::string> remote_servers::open(
    collaborators with, const config::settings& all, std::shared_ptr<const tls::trust_store> authorities) {
  auto made = std::make_unique<parts>(std::move(with), all, std::move(authorities));
  if (auto opened = made->open(all); !opened) {
    return std::unexpected{std::move(opened.error())};
  }
  return std::unique_ptr<remote_servers>{new remote_servers{std::move(made)}};
}

remote_servers::remote_servers(std::unique_ptr<parts> p) noexcept : parts_{std::move(p)} {
}
remote_servers::~remote_servers() = default;

remote_route& remote_servers::route() noexcept {
  return parts_->service;
}

void remote_servers::attach(router& r) {
  parts_->service.attach(r, *parts_->federation);
}

void remote_servers::serve(connection::loop_connections& where, connection::accepted_socket socket) {
  connection::serve_server(parts_->federation->on(where.loop().index()), parts_->service.settings(), std::move(socket));
}

std::expected<void, std::string> remote_servers::reload(const config::settings& all,
                                                        std::shared_ptr<const tls::trust_store> authorities) {
  if (auto resolving = parts_->resolver->reload(dns_settings_of(all.dns)); !resolving) {
    return resolving;
  }
  parts_->service.configure(s2s_rules_of(all, std::move(authorities)));
  parts_->https->ca_file(all.tls.ca_file);
  parts_->sessions.clear();  // they were made under the certificates and authorities of before
  return {};
}

void remote_servers::trust(std::shared_ptr<const tls::trust_store> authorities) {
  auto rules = *parts_->service.rules();
  rules.authorities = std::move(authorities);
  parts_->service.configure(std::make_shared<const s2s_rules>(std::move(rules)));
  parts_->sessions.clear();  // they were made under the authorities of before
}

void remote_servers::explain(connection::explain_request what, std::function<void(connection::explained_step)> told) {
  parts_->federation->explain(std::move(what), std::move(told));
}

void remote_servers::close(std::string domain, std::string text) {
  parts_->federation->close(std::move(domain), std::move(text));
}

void remote_servers::stop() {
  parts_->federation->stop();
}

void remote_servers::loops_stopped() {
  parts_->https.reset();
}

std::vector<std::shared_ptr<prometheus::Collectable>> remote_servers::collectables() const {
  return {parts_->metrics.collectable(), parts_->dns_counts.collectable()};
}

}  // namespace comity::server
