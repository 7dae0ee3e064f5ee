#include "server/check/running.hpp"

#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "connection/jid.hpp"
#include "dns/rdata.hpp"
#include "server/config/certificate_files.hpp"
#include "server/http/well_known.hpp"
#include "server/ports.hpp"
#include "tls/crypto.hpp"
#include "tls/dane.hpp"
#include "tls/key_file.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::check {

namespace {

using config::listen_protocol;
using config::listen_tls;

open_port port_of(const config::listen_settings& l, bool federates) {
  const bool any = l.protocol == listen_protocol::any;
  open_port p;
  p.port = l.address.port;
  p.address = config::to_string(l.address);
  p.clients = any || l.protocol == listen_protocol::c2s;
  p.servers = federates && (any || l.protocol == listen_protocol::s2s);
  p.starttls = l.tls == listen_tls::starttls || l.tls == listen_tls::either;
  p.direct_tls = l.tls == listen_tls::direct || l.tls == listen_tls::either;
  p.loopback = l.address.host == "::1" || l.address.host.starts_with("127.");
  return p;
}

bool below(std::string_view name, std::string_view domain) {
  return name == domain ||
         (name.size() > domain.size() && name.ends_with(domain) && name[name.size() - domain.size() - 1] == '.');
}

std::expected<std::optional<std::string>, std::string> next_key(const config::settings& all,
                                                                const config::host_settings& host) {
  const auto pair = config::certificate_files(all, host);
  const auto file = pair ? next_key_file(pair->private_key) : std::filesystem::path{};
  std::error_code fault;
  if (!std::filesystem::exists(file, fault)) {
    return std::nullopt;
  }
  auto digest = tls::public_key_sha256(file);
  if (!digest) {
    return std::unexpected{file.string() + " " + digest.error()};
  }
  return tls::hex(*digest);
}

/// A host's current key, and its next one where there is one.
std::expected<void, std::string> add_keys(std::vector<own_key>& to, const running_server& all,
                                          const config::host_settings& host, const std::string& domain,
                                          const std::optional<std::string>& given) {
  if (const auto served = tls::served_credentials(all.certificates, domain)) {
    to.push_back({.domain = domain, .sha256 = tls::hex(tls::association_data(served, 1, 1))});
  }
  auto next = given ? std::expected<std::optional<std::string>, std::string>{given} : next_key(all.settings, host);
  if (!next) {
    return std::unexpected{std::move(next.error())};
  }
  if (*next) {
    to.push_back({.domain = domain, .sha256 = std::move(**next), .next = true});
  }
  return {};
}

}  // namespace

std::string_view srv_label(way w) noexcept {
  static constexpr std::array<std::string_view, way_count> labels{"_xmpp-client._tcp", "_xmpps-client._tcp",
                                                                  "_xmpp-server._tcp", "_xmpps-server._tcp"};
  return labels.at(index_of(w));
}

std::string srv_name(way w, std::string_view domain) {
  return std::string{srv_label(w)} + "." + std::string{domain};
}

std::string_view who(dns::service s) noexcept {
  return s == dns::service::client ? "clients" : "servers";
}

std::string_view method_name(bool direct_tls) noexcept {
  return direct_tls ? "direct TLS" : "STARTTLS";
}

std::vector<open_port> running_host::reached_by(way w) const {
  std::vector<open_port> found;
  std::ranges::copy_if(ports, std::back_inserter(found), [&](const auto& p) { return p.serves(w) && !p.loopback; });
  return found;
}

std::filesystem::path next_key_file(const std::filesystem::path& private_key) {
  auto file = private_key;
  file += ".next";
  return file;
}

std::string default_target(std::string_view machine, std::string_view domain) {
  const auto name = dns::folded_name(machine);
  const bool full = name && name->find('.') != std::string::npos && !name->ends_with(".localdomain") &&
                    !name->ends_with(".local") && *name != "localhost";
  return full ? *name : "xmpp." + std::string{domain};
}

std::string machine_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string{name.data()} : std::string{};
}

std::expected<running_host, std::string> running(const running_server& all, std::string_view domain,
                                                 const wished& wish) {
  const auto ours = [&](const auto& h) { return to_a_labels(h.domain) == domain; };
  const auto host = std::ranges::find_if(all.settings.hosts, ours);
  if (host == all.settings.hosts.end()) {
    return std::unexpected{"'" + std::string{domain} +
                           "' is not served here; use a domain of a [[host]] in the configuration"};
  }
  running_host r;
  r.domain = domain;
  r.target = wish.target.empty() ? default_target(machine_name(), domain) : wish.target;
  for (const auto& l : all.ports) {
    r.ports.push_back(port_of(l, all.settings.s2s.enabled));
  }
  for (const auto port : server::websocket_ports(all.ports)) {
    r.urls.push_back(http::websocket_url(r.target, port));
  }
  if (auto added = add_keys(r.keys, all, *host, r.domain, wish.next_key_hex); !added) {
    return std::unexpected{std::move(added.error())};
  }
  // Under a name that is not the domain's own, the other hosts are taken to be reached too, each with its certificate.
  for (const auto& h : all.settings.hosts) {
    if (below(r.target, r.domain) || ours(h)) {
      continue;
    }
    if (auto added = add_keys(r.keys, all, h, to_a_labels(h.domain), std::nullopt); !added) {
      return std::unexpected{std::move(added.error())};
    }
  }
  if (const auto served = tls::served_credentials(all.certificates, domain)) {
    r.issuer = tls::summary(served).issuer;
  }
  return r;
}

}  // namespace comity::check
