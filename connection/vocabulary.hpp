// connection/vocabulary.hpp: the closed sets that label connections in metrics, logs and the operator's tool.
//
// One enum each, one name table each; the names are those of the manual. Adding a member here adds the series.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace comity::connection {

enum class scope : std::uint8_t { c2s, s2s };
inline constexpr std::size_t scope_count = 2;

/// Who opened the connection.
enum class direction : std::uint8_t { inbound, outbound };
inline constexpr std::size_t direction_count = 2;

enum class method : std::uint8_t { starttls, direct_tls, websocket };
inline constexpr std::size_t method_count = 3;

enum class phase : std::uint8_t { dns, tcp, tls, stream, authentication, bind };
inline constexpr std::size_t phase_count = 6;

/// Why a connection failed or ended. The same word in metrics, logs, `s2s explain` and the manual.
enum class cause : std::uint8_t {
  dns_nxdomain,
  dns_servfail,
  dns_bogus,
  dns_timeout,
  srv_unavailable,
  no_address,
  address_forbidden,
  tcp_refused,
  tcp_unreachable,
  tcp_timeout,
  proxy_header,
  tls_not_offered,
  tls_alert,
  tls_timeout,
  alpn_mismatch,
  cert_expired,
  cert_not_yet_valid,
  cert_name_mismatch,
  cert_untrusted,
  cert_missing,
  dane_mismatch,
  dane_unusable,
  posh_mismatch,
  host_unknown,
  stream_error,
  stream_timeout,
  auth_rejected,
  auth_no_common_mechanism,
  auth_timeout,
  dialback_invalid,
  policy,
  limit,
  peer_closed,
  shutdown,
  internal,
};
inline constexpr std::size_t cause_count = 35;

/// Why a socket was refused before a stream.
enum class rejection : std::uint8_t { per_ip_limit, global_limit, draining };
inline constexpr std::size_t rejection_count = 3;

[[nodiscard]] std::string_view to_string(scope) noexcept;
[[nodiscard]] std::string_view to_string(direction) noexcept;
[[nodiscard]] std::string_view to_string(method) noexcept;
[[nodiscard]] std::string_view to_string(phase) noexcept;
[[nodiscard]] std::string_view to_string(cause) noexcept;
[[nodiscard]] std::string_view to_string(rejection) noexcept;

}  // namespace comity::connection
