#include "server/s2s_service.hpp"

#include <charconv>
#include <optional>
#include <stdexcept>
#include <utility>

#include "connection/negotiation/dialback_key.hpp"
#include "connection/s2s/federation.hpp"
#include "connection/s2s/trust.hpp"
#include "server/element_limits.hpp"
#include "tls/crypto.hpp"

namespace comity::server {

namespace {

connection::required_trust trust_of(config::s2s_trust t) {
  using enum connection::required_trust;
  switch (t) {
    case config::s2s_trust::dane:
      return dane;
    case config::s2s_trust::certificate:
      return certificate;
    case config::s2s_trust::dialback:
      return dialback;
  }
  return dane;
}

connection::required_trust trust_of(config::peer_trust t, config::s2s_trust everybody) {
  switch (t) {
    case config::peer_trust::as_all:
      return trust_of(everybody);
    case config::peer_trust::dane:
      return connection::required_trust::dane;
    case config::peer_trust::certificate:
      return connection::required_trust::certificate;
    case config::peer_trust::dialback:
      return connection::required_trust::dialback;
  }
  return connection::required_trust::dane;
}

/// The text is "host:port" as the configuration has checked it, IPv6 in brackets.
std::optional<connection::fixed_endpoint> endpoint_of(const config::peer_settings& p) {
  if (p.endpoint.empty()) {
    return std::nullopt;
  }
  const std::string_view text = p.endpoint;
  const auto colon = text.rfind(':');
  auto host = text.substr(0, colon);
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
  }
  connection::fixed_endpoint e;
  e.host = host;
  std::from_chars(text.data() + colon + 1, text.data() + text.size(), e.port);
  e.method =
      p.method == config::peer_method::direct_tls ? connection::method::direct_tls : connection::method::starttls;
  return e;
}

connection::s2s_settings streams_of(const config::settings& all) {
  connection::s2s_settings s;
  set_stream_limits(s, all.limits, all.limits.stanza_size_s2s, all.limits.bytes_per_second_s2s);
  s.connect_timeout = all.s2s.connect_timeout;
  s.attempt_delay = all.s2s.attempt_delay;
  s.queue.stanzas = all.s2s.queue_stanzas;
  s.queue.timeout = all.s2s.queue_timeout;
  auto addresses = connection::address_rules::make(all.s2s.forbidden_addresses, all.s2s.allowed_addresses);
  if (!addresses) {
    throw std::logic_error{"a network passed the configuration and is none: " + addresses.error()};
  }
  s.addresses = std::move(*addresses);
  s.idle_timeout = all.s2s.idle_timeout;
  return s;
}

}  // namespace

std::shared_ptr<const s2s_rules> s2s_rules_of(const config::settings& all,
                                              std::shared_ptr<const tls::trust_store> authorities) {
  s2s_rules r;
  r.default_domain = all.hosts.front().domain;
  r.streams = std::make_shared<const connection::s2s_settings>(streams_of(all));
  r.everybody.trust = trust_of(all.s2s.trust);
  for (const auto& p : all.peers) {
    r.peers.emplace(p.domain,
                    connection::peer_policy{
                        .trust = trust_of(p.trust, all.s2s.trust), .allow = p.allow, .endpoint = endpoint_of(p)});
  }
  r.authorities = std::move(authorities);
  return std::make_shared<const s2s_rules>(std::move(r));
}

s2s_service::s2s_service(std::shared_ptr<const s2s_rules> rules)
    : secret_{connection::new_dialback_secret()}, rules_{std::move(rules)} {
}

void s2s_service::attach(server::router& router, connection::federation& federation) noexcept {
  router_ = &router;
  federation_ = &federation;
}

void s2s_service::configure(std::shared_ptr<const s2s_rules> rules) {
  const std::lock_guard hold{lock_};
  rules_ = std::move(rules);
}

std::shared_ptr<const s2s_rules> s2s_service::rules() const {
  const std::lock_guard hold{lock_};
  return rules_;
}

bool s2s_service::hosts(std::string_view domain) const {
  return router_->hosts(domain);
}

std::string s2s_service::default_domain() const {
  return rules()->default_domain;
}

connection::peer_policy s2s_service::policy(std::string_view remote) const {
  const auto now = rules();
  const auto own = now->peers.find(remote);
  return own == now->peers.end() ? now->everybody : own->second;
}

std::shared_ptr<const connection::s2s_settings> s2s_service::settings() const {
  return rules()->streams;
}

std::shared_ptr<const tls::trust_store> s2s_service::authorities() const {
  return rules()->authorities;
}

void s2s_service::received(stanza_ref s) {
  router_->from_server(std::move(s));
}

void s2s_service::undeliverable(stanza_ref error) {
  router_->from_server(std::move(error));  // as the remote entity's own answer would come
}

void s2s_service::send(stanza_ref s) {
  federation_->send(std::move(s));
}

}  // namespace comity::server
