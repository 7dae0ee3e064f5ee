#include "server/web_service.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "connection/jid.hpp"
#include "connection/s2s/posh.hpp"
#include "server/http/websocket_handshake.hpp"
#include "server/http/well_known.hpp"
#include "server/ports.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::server {

namespace {

using namespace std::chrono_literals;

/// How long others may keep what they read of our certificates. A renewed one is not known before it is in force, so
/// this is how long it may be refused by who asked just before.
constexpr auto posh_expires = 1h;
constexpr std::uint16_t https_port = 443;

using hosts = std::set<std::string, std::less<>>;  // A-labels

/// The host of ours that a request is for. Under TLS it is the one whose certificate was asked for, where one was: no
/// host speaks under another's (RFC 9110 §7.4, THREATS B9).
std::optional<http::authority> host_of(const http::request& r, const hosts& ours) {
  auto named = http::read_authority(r.authority);
  const bool sound = named && ours.contains(named->host) &&
                     (r.from.server_name.empty() || http::same_token(r.from.server_name, named->host));
  return sound ? named : std::nullopt;
}

/// Where WebSocket is: at the authority that was asked, since there we are reached, and at the ports that are open to
/// all.
std::vector<std::string> websocket_urls(const http::request& r, const http::authority& asked,
                                        const std::vector<std::uint16_t>& ports) {
  auto all = ports;
  if (const auto here = asked.port.value_or(https_port); r.from.secure && std::ranges::find(all, here) == all.end()) {
    all.insert(all.begin(), here);
  }
  std::vector<std::string> urls;
  urls.reserve(all.size());
  for (const auto port : all) {
    urls.push_back(http::websocket_url(asked.host, port));
  }
  return urls;
}

struct host_meta {
  hosts ours;
  std::vector<std::uint16_t> ports;
  bool json = false;

  http::response operator()(const http::request& r) const {
    const auto asked = host_of(r, ours);
    if (!asked) {
      return http::plain(421);
    }
    const auto urls = websocket_urls(r, *asked, ports);
    return {.content_type = json ? "application/json" : "application/xrd+xml",
            .body = json ? http::host_meta_json(urls) : http::host_meta_xml(urls),
            .fields = {{"Access-Control-Allow-Origin", "*"}}};  // XEP-0156 §6: pages of any site may read it
  }
};

struct posh {
  hosts ours;
  const tls::server_context& tls;

  http::response operator()(const http::request& r) const {
    const auto asked = host_of(r, ours);
    if (!asked) {
      return http::plain(421);
    }
    const auto served = tls::served_credentials(*tls.current(), asked->host);
    if (!served) {
      return http::plain(404);  // a host whose certificate comes with the next reload
    }
    return {.content_type = "application/json",
            .body = http::posh_document({.sha256 = tls::fingerprint(served, tls::hash::sha256),
                                         .sha512 = tls::fingerprint(served, tls::hash::sha512)},
                                        posh_expires)};
  }
};

/// The certificates in force are asked for at each request.
std::shared_ptr<const http::site> web_site(const config::settings& s,
                                           const std::vector<config::listen_settings>& opened,
                                           const tls::server_context& tls, websocket_taker websocket) {
  hosts ours;
  for (const auto& h : s.hosts) {
    ours.insert(to_a_labels(h.domain));
  }
  http::site site;
  for (const auto& [path, json] :
       {std::pair{http::host_meta_path, false}, std::pair{http::host_meta_json_path, true}}) {
    site.paths.emplace(path, host_meta{.ours = ours, .ports = websocket_ports(opened), .json = json});
  }
  site.paths.emplace(http::posh_client_path, posh{.ours = ours, .tls = tls});
  if (s.s2s.enabled) {
    site.paths.emplace(http::posh_server_path, posh{.ours = ours, .tls = tls});
  }
  site.paths.emplace(http::websocket_path, [origins = s.http.websocket_origins](const http::request& r) {
    return http::websocket_handshake(r, origins);
  });
  site.limits.idle_time = s.limits.handshake_timeout;
  site.limits.request_time = std::min(site.limits.request_time, s.limits.handshake_timeout);
  site.proxies.reserve(s.http.trusted_proxies.size());
  for (const auto& network : s.http.trusted_proxies) {
    site.proxies.push_back(*connection::address_block::parse(network));  // checked with the configuration
  }
  site.upgraded = std::move(websocket);
  return std::make_shared<const http::site>(std::move(site));
}

}  // namespace

web_service::web_service(collaborators with, websocket_taker websocket)
    : with_{with}, websocket_{std::move(websocket)} {
}

void web_service::configure(const config::settings& s, const std::vector<config::listen_settings>& opened) {
  auto next = web_site(s, opened, with_.tls, websocket_);
  const std::lock_guard lock{lock_};
  site_ = std::move(next);
}

void web_service::serve(connection::loop_connections& where, connection::accepted_socket socket) {
  std::shared_ptr<const http::site> served;
  {
    const std::lock_guard lock{lock_};
    served = site_;
  }
  http::serve_http({where, with_.limits, with_.log}, std::move(served), std::move(socket));
}

}  // namespace comity::server
