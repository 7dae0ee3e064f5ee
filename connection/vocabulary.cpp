#include "connection/vocabulary.hpp"

#include <array>
#include <utility>

namespace comity::connection {

std::string_view to_string(scope s) noexcept {
  return s == scope::c2s ? "c2s" : "s2s";
}

std::string_view to_string(direction d) noexcept {
  return d == direction::inbound ? "inbound" : "outbound";
}

std::string_view to_string(method m) noexcept {
  static constexpr std::array<std::string_view, method_count> names{"starttls", "direct_tls", "websocket"};
  return names.at(std::to_underlying(m));
}

std::string_view to_string(phase p) noexcept {
  static constexpr std::array<std::string_view, phase_count> names{"dns", "tcp", "tls", "stream", "authentication",
                                                                   "bind"};
  return names.at(std::to_underlying(p));
}

std::string_view to_string(cause c) noexcept {
  static constexpr std::array<std::string_view, cause_count> names{"dns_nxdomain",
                                                                   "dns_servfail",
                                                                   "dns_bogus",
                                                                   "dns_timeout",
                                                                   "srv_unavailable",
                                                                   "no_address",
                                                                   "address_forbidden",
                                                                   "tcp_refused",
                                                                   "tcp_unreachable",
                                                                   "tcp_timeout",
                                                                   "proxy_header",
                                                                   "tls_not_offered",
                                                                   "tls_alert",
                                                                   "tls_timeout",
                                                                   "alpn_mismatch",
                                                                   "cert_expired",
                                                                   "cert_not_yet_valid",
                                                                   "cert_name_mismatch",
                                                                   "cert_untrusted",
                                                                   "cert_missing",
                                                                   "dane_mismatch",
                                                                   "dane_unusable",
                                                                   "posh_mismatch",
                                                                   "host_unknown",
                                                                   "stream_error",
                                                                   "stream_timeout",
                                                                   "auth_rejected",
                                                                   "auth_no_common_mechanism",
                                                                   "auth_timeout",
                                                                   "dialback_invalid",
                                                                   "policy",
                                                                   "limit",
                                                                   "peer_closed",
                                                                   "shutdown",
                                                                   "internal"};
  return names.at(std::to_underlying(c));
}

std::string_view to_string(rejection r) noexcept {
  static constexpr std::array<std::string_view, rejection_count> names{"per_ip_limit", "global_limit", "draining"};
  return names.at(std::to_underlying(r));
}

}  // namespace comity::connection
