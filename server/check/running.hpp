// server/check/running.hpp: what this server offers to strangers, as the facts that DNS records follow from.
//
// Pure values, made from the configuration in force, the ports that are open and the certificates that are served.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/service_lookup.hpp"
#include "server/config/settings.hpp"
#include "tls/context.hpp"

namespace comity::check {

/// One of the four ways to a domain's services, each with an SRV name of its own (XEP-0368).
struct way {
  dns::service service = dns::service::client;
  bool direct_tls = false;
  friend bool operator==(const way&, const way&) = default;
};
inline constexpr std::size_t way_count = 4;
/// In the order in which their records are listed.
inline constexpr std::array<way, way_count> all_ways{{{dns::service::client, false},
                                                      {dns::service::client, true},
                                                      {dns::service::server, false},
                                                      {dns::service::server, true}}};
[[nodiscard]] constexpr std::size_t index_of(way w) noexcept {
  return (w.service == dns::service::server ? 2U : 0U) + (w.direct_tls ? 1U : 0U);
}
/// "_xmpps-server._tcp".
[[nodiscard]] std::string_view srv_label(way) noexcept;
/// The same under a domain, without a dot at the end.
[[nodiscard]] std::string srv_name(way, std::string_view domain);
/// "clients", "servers".
[[nodiscard]] std::string_view who(dns::service) noexcept;
/// "STARTTLS", "direct TLS".
[[nodiscard]] std::string_view method_name(bool direct_tls) noexcept;

/// A port that is listened on, and what may be published of it.
struct open_port {
  std::uint16_t port = 0;
  std::string address;  // "[::]:5222", for people
  bool clients = false, servers = false;
  bool starttls = false, direct_tls = false;
  bool loopback = false;  // nobody outside reaches it; what stands in front of it, if anything, is not known here
  [[nodiscard]] bool serves(way w) const noexcept {
    return (w.service == dns::service::client ? clients : servers) && (w.direct_tls ? direct_tls : starttls);
  }
};

/// The data of TLSA records "3 1 1" (RFC 6698), in hexadecimal: which key, and whose.
struct own_key {
  std::string domain;  // A-labels
  std::string sha256;
  bool next = false;  // not yet in use: to be published before it is (RFC 7671 §8.1)
};

struct running_host {
  std::string domain;             // A-labels
  std::string target;             // A-labels: the host name that the services are reached by
  std::vector<open_port> ports;   // in the order of the configuration
  std::vector<own_key> keys;      // that may be presented at `target`, this host's first
  std::string issuer;             // of the certificate, RFC 2253
  std::vector<std::string> urls;  // of WebSockets, "wss://…"

  /// The ports that strangers reach and that offer this way.
  [[nodiscard]] std::vector<open_port> reached_by(way) const;
};

/// What is known of all hosts at once.
struct running_server {
  const config::settings& settings;
  const std::vector<config::listen_settings>& ports;  // with the numbers that they really have
  const tls::certificate_table& certificates;
};

/// The key that a host will change to, by convention: in the file beside its private key whose name ends in ".next".
[[nodiscard]] std::filesystem::path next_key_file(const std::filesystem::path& private_key);

/// What is said instead where it is left out.
struct wished {
  std::string target;                       // a name, A-labels; "": default_target()
  std::optional<std::string> next_key_hex;  // else that of next_key_file(), where there is one
};

/// The facts of one host (A-labels). The error is one line: a host that is none of ours, a next key that cannot be
/// read.
[[nodiscard]] std::expected<running_host, std::string> running(const running_server&, std::string_view domain,
                                                               const wished& = {});

/// The machine's own name where that is a full one ("xmpp1.example.net"), else "xmpp." and the domain.
[[nodiscard]] std::string default_target(std::string_view machine, std::string_view domain);
/// As the system has it.
[[nodiscard]] std::string machine_name();

}  // namespace comity::check
