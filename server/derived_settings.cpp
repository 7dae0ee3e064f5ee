#include "server/derived_settings.hpp"

#include <chrono>

#include "server/element_limits.hpp"
#include "server/ports.hpp"

namespace comity::server {

std::vector<std::string> domains_of(const config::settings& s) {
  std::vector<std::string> domains;
  domains.reserve(s.hosts.size());
  for (const auto& h : s.hosts) {
    domains.push_back(h.domain);
  }
  return domains;
}

managed_limits managed_limits_of(const config::settings& s) {
  return {.resume_timeout = std::chrono::ceil<std::chrono::seconds>(s.stream_management.resume_timeout),
          .queue_stanzas = s.stream_management.queue_stanzas};
}

std::vector<connection::route> routes_of(const config::settings& s) {
  auto routes = inbound_routes(s);
  if (s.s2s.enabled) {
    for (const auto m : {connection::method::starttls, connection::method::direct_tls}) {
      routes.push_back({connection::scope::s2s, connection::direction::outbound, m});
    }
  }
  return routes;
}

std::shared_ptr<const connection::c2s_settings> c2s_settings_of(const config::limit_settings& l) {
  connection::c2s_settings s;
  set_stream_limits(s, l, l.stanza_size_c2s, l.bytes_per_second_c2s);
  return std::make_shared<const connection::c2s_settings>(s);
}

}  // namespace comity::server
