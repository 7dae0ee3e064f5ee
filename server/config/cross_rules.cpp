#include "server/config/cross_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "server/config/options.hpp"

namespace comity::config {
namespace {

bool is_ipv4(const address& a) {
  return a.host.find(':') == std::string::npos;
}

/// Would binding both fail? Port 0 is a new port each time; [::] is dual-stack, so it takes IPv4 in as well.
bool overlap(const address& a, const address& b) {
  if (a.port != b.port || a.port == 0) {
    return false;
  }
  if (a.host == b.host || a.host == "::" || b.host == "::") {
    return true;
  }
  return is_ipv4(a) == is_ipv4(b) && (a.host == "0.0.0.0" || b.host == "0.0.0.0");
}

constexpr std::array all_pairs{
    ordered_pair{"limits.unauthenticated_bytes", "limits.stanza_size_c2s"},
    ordered_pair{"limits.unauthenticated_bytes", "limits.stanza_size_s2s"},
    ordered_pair{"limits.tls_timeout", "limits.handshake_timeout"},
    ordered_pair{"limits.unauthenticated_per_ip", "limits.connections_per_ip"},
    // A queue that cannot hold the largest stanza would close the stream of whoever it is sent to.
    ordered_pair{"limits.stanza_size_c2s", "limits.send_queue_bytes"},
    ordered_pair{"limits.stanza_size_s2s", "limits.send_queue_bytes"},
};

const option<settings>& named(std::string_view name) {
  return *std::ranges::find_if(options(), [&](const auto& o) {
    return name.starts_with(o.row.table) && name.substr(o.row.table.size() + 1) == o.row.key;
  });
}

/// The pairs are counts, sizes or durations.
std::uint64_t amount(const typed_value& value) {
  const auto* const duration = std::get_if<std::chrono::milliseconds>(&value);
  return duration != nullptr ? static_cast<std::uint64_t>(duration->count()) : std::get<std::uint64_t>(value);
}

/// Said at the later of the two that the file names.
void check_order(const settings& all, const value_places& places, std::vector<placed_fault>& faults) {
  for (const auto& [smaller, larger] : all_pairs) {
    const auto small_place = places.find(smaller);
    const auto large_place = places.find(larger);
    const auto refused = [&](auto place) { return place != places.end() && !place->second; };
    if (refused(small_place) || refused(large_place)) {
      continue;
    }
    const auto& small = named(smaller);
    const auto& large = named(larger);
    const auto small_value = small.value(all);
    const auto large_value = large.value(all);
    if (amount(small_value) <= amount(large_value)) {
      continue;
    }
    position at;
    for (const auto& place : {small_place, large_place}) {
      if (place != places.end() &&
          std::tie(place->second->line, place->second->column) > std::tie(at.line, at.column)) {
        at = *place->second;
      }
    }
    faults.push_back(
        {at, fmt::format("{} = {} is more than {} = {}; lower the one or raise the other", smaller,
                         written(small.row.kind, small_value), larger, written(large.row.kind, large_value))});
  }
}

void check_hosts(const settings& all, std::vector<placed_fault>& faults) {
  for (auto host = all.hosts.begin(); host != all.hosts.end(); ++host) {
    const auto earlier = std::find_if(all.hosts.begin(), host, [&](const auto& h) { return h.domain == host->domain; });
    if (earlier != host) {
      faults.push_back({{.line = host->line, .column = host->column},
                        fmt::format("host.domain = {} is served already by the [[host]] of line {}; remove one of them",
                                    in_quotes(host->domain), earlier->line)});
    }
    const auto refuse = [&](const char* text) {
      faults.push_back({{.line = host->line, .column = host->column}, text});
    };
    if (host->certificate.empty() != host->private_key.empty()) {
      refuse(host->certificate.empty()
                 ? "[[host]] has a private_key without its certificate; write certificate beside it"
                 : "[[host]] has a certificate without its private_key; write private_key beside it");
    } else if (host->certificate.empty() && all.tls.certificate_directory.empty()) {
      refuse("[[host]] has no certificate; write certificate and private_key, or certificate_directory in [tls]");
    }
  }
}

void check_servers(const settings& all, std::vector<placed_fault>& faults) {
  for (const auto& l : all.listeners) {
    if (l.protocol == listen_protocol::s2s && !all.s2s.enabled) {
      faults.push_back({{.line = l.line, .column = l.column},
                        "listen.protocol = \"s2s\" while s2s.enabled = false; remove this [[listen]] or enable s2s"});
    }
  }
  for (auto peer = all.peers.begin(); peer != all.peers.end(); ++peer) {
    const position at{.line = peer->line, .column = peer->column};
    const auto earlier = std::find_if(all.peers.begin(), peer, [&](const auto& p) { return p.domain == peer->domain; });
    if (earlier != peer) {
      faults.push_back({at, fmt::format("s2s.peer.domain = {} has a [[s2s.peer]] at line {} already; make one of them",
                                        in_quotes(peer->domain), earlier->line)});
    }
    if (std::ranges::find(all.hosts, peer->domain, &host_settings::domain) != all.hosts.end()) {
      faults.push_back(
          {at, fmt::format("s2s.peer.domain = {} is served here; remove this [[s2s.peer]]", in_quotes(peer->domain))});
    }
    if (peer->method != peer_method::any && peer->endpoint.empty()) {
      faults.push_back({at, "s2s.peer.method without s2s.peer.endpoint; write endpoint = \"HOST:PORT\" beside it"});
    }
  }
}

/// What goes together in one [[listen]].
void check_listeners(const settings& all, std::vector<placed_fault>& faults) {
  static const auto default_alpn = std::get<text_map>(*read_value(alpn_routes{}, raw_table{}, {}));
  for (const auto& l : all.listeners) {
    const auto refuse = [&](const char* text) { faults.push_back({{.line = l.line, .column = l.column}, text}); };
    const bool streams = l.protocol == listen_protocol::c2s || l.protocol == listen_protocol::s2s;
    if (l.protocol == listen_protocol::any && l.tls != listen_tls::direct) {
      refuse("listen.protocol = \"auto\" tells by TLS who connects; write tls = \"direct\" beside it");
    } else if (l.protocol == listen_protocol::http && l.tls != listen_tls::direct && l.tls != listen_tls::none) {
      refuse("listen.protocol = \"http\" knows no STARTTLS; write tls = \"direct\" or \"none\" beside it");
    } else if (streams && l.tls == listen_tls::none) {
      refuse("listen.tls = \"none\" is for HTTP alone; write \"starttls\", \"direct\" or \"either\"");
    }
    if (l.protocol != listen_protocol::any && (l.alpn != default_alpn || !l.sni.empty() || l.forward_proxy_header)) {
      refuse("listen.alpn, listen.sni and listen.forward_proxy_header are for protocol = \"auto\"; remove them here");
    }
  }
}

void check_addresses(const settings& all, const value_places& places, std::vector<placed_fault>& faults) {
  for (auto listener = all.listeners.begin(); listener != all.listeners.end(); ++listener) {
    const auto earlier = std::find_if(all.listeners.begin(), listener,
                                      [&](const auto& l) { return overlap(l.address, listener->address); });
    if (earlier != listener) {
      faults.push_back(
          {{.line = listener->line, .column = listener->column},
           fmt::format("listen.address = \"{}\" overlaps \"{}\" of line {}; choose another address or port",
                       to_string(listener->address), to_string(earlier->address), earlier->line)});
    }
  }
  const auto metrics = places.find("metrics.address");
  if (metrics != places.end() && !metrics->second) {
    return;
  }
  for (const auto& listener : all.listeners) {
    if (overlap(listener.address, all.metrics.address)) {
      const position at = metrics != places.end() ? *metrics->second : position{listener.line, listener.column};
      faults.push_back({at, fmt::format("metrics.address = \"{}\" overlaps the [[listen]] on \"{}\"; choose another "
                                        "address or port",
                                        to_string(all.metrics.address), to_string(listener.address))});
    }
  }
}

}  // namespace

std::span<const ordered_pair> ordered_pairs() noexcept {
  return all_pairs;
}

std::vector<placed_fault> cross_faults(const settings& all, const value_places& places) {
  std::vector<placed_fault> faults;
  check_hosts(all, faults);
  check_addresses(all, places, faults);
  check_servers(all, faults);
  check_listeners(all, faults);
  check_order(all, places, faults);
  return faults;
}

}  // namespace comity::config
