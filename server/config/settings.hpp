// server/config/settings.hpp: what the configuration says, as plain typed values.
//
// Consumers get the struct that concerns them, never the document. Made by config::load (config.hpp), immutable after.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "connection/log.hpp"

namespace comity::config {

struct address {
  std::string host;  // numeric, without brackets: "::", "127.0.0.1"
  std::uint16_t port = 0;
  friend bool operator==(const address&, const address&) = default;
};
/// "[::]:5222", "127.0.0.1:5222".
[[nodiscard]] std::string to_string(const address&);

struct server_settings {
  std::filesystem::path data_directory;
  std::filesystem::path admin_socket;
  unsigned threads = 0;  // 0: one a core
  std::chrono::milliseconds shutdown_timeout{};
  bool run_as_root = false;
  bool hardening = true;
};

enum class log_format : std::uint8_t { text, json };
struct log_settings {
  log::level level = log::level::info;
  log_format format = log_format::text;
};

struct storage_settings {
  std::filesystem::path sqlite_file;  // absolute, or ":memory:" never
};

struct host_settings {
  std::string domain;                 // enforced U-label form (RFC 7622 §3.2)
  std::filesystem::path certificate;  // "", and then private_key too: found in tls.certificate_directory
  std::filesystem::path private_key;
  int line = 0, column = 0;  // where the table stands, for faults found later
  int certificate_line = 0, certificate_column = 0;
  int key_line = 0, key_column = 0;
};

enum class listen_protocol : std::uint8_t { c2s, s2s, http, any };
enum class listen_tls : std::uint8_t { starttls, direct, either, none };
/// What is served under a name, as written: "c2s", "s2s", "http", "sniff", "refuse" or "forward:HOST:PORT".
using route_table = std::map<std::string, std::string>;
struct listen_settings {
  config::address address;
  listen_protocol protocol = listen_protocol::c2s;
  listen_tls tls = listen_tls::starttls;
  route_table alpn;                         // by protocol, with "none" and "other"; complete
  route_table sni;                          // by server name, A-labels in lower case
  bool forward_proxy_header = false;        // what is forwarded begins with one
  std::vector<std::string> proxy_protocol;  // "network/length": who must begin with one
  int line = 0, column = 0;
  friend bool operator==(const listen_settings&, const listen_settings&) = default;
};

enum class tls_minimum : std::uint8_t { tls_1_2, tls_1_3 };
struct tls_settings {
  tls_minimum minimum_version = tls_minimum::tls_1_2;
  std::filesystem::path certificate_directory;  // "": none
  std::filesystem::path ca_file;                // "": the system's roots
  std::filesystem::path crl_file;               // "": revocation is not checked
};

struct dns_settings {
  std::vector<std::string> servers;        // {"auto"}, "192.0.2.1", "2001:db8::1@5353"…; none: recursion from the root
  std::filesystem::path root_hints;        // "": those built in
  std::vector<std::string> trust_anchors;  // absolute paths; none: nothing is validated
  std::map<std::string, std::vector<std::string>> stubs;  // zone (A-labels) to "address" or "address@port"
  std::vector<std::string> special_zones;                 // A-labels
  std::chrono::milliseconds timeout{};
  friend bool operator==(const dns_settings&, const dns_settings&) = default;
};

/// The least proof that a peer server must give.
enum class s2s_trust : std::uint8_t { dane, certificate, dialback };
/// What one peer's table may say: that of [s2s], or one of them.
enum class peer_trust : std::uint8_t { as_all, dane, certificate, dialback };
enum class peer_method : std::uint8_t { any, starttls, direct_tls };

struct s2s_settings {
  bool enabled = false;
  s2s_trust trust = s2s_trust::certificate;
  std::chrono::milliseconds connect_timeout{};
  std::chrono::milliseconds attempt_delay{};
  std::uint32_t queue_stanzas = 0;
  std::chrono::milliseconds queue_timeout{};
  std::chrono::milliseconds idle_timeout{};
  std::vector<std::string> forbidden_addresses;  // "special" or "network/length"
  std::vector<std::string> allowed_addresses;    // "network/length"
};

/// [[s2s.peer]]
struct peer_settings {
  std::string domain;  // enforced U-label form
  peer_trust trust = peer_trust::as_all;
  bool allow = true;
  std::string endpoint;  // "host:port", host in A-labels or numeric; "": found by SRV
  peer_method method = peer_method::any;
  int line = 0, column = 0;
};

struct limit_settings {
  std::size_t stanza_size_c2s = 0;
  std::size_t stanza_size_s2s = 0;
  std::size_t unauthenticated_bytes = 0;
  std::chrono::milliseconds tls_timeout{};
  std::chrono::milliseconds handshake_timeout{};
  std::uint32_t stanza_depth = 0;
  std::uint32_t stanza_elements = 0;
  std::uint32_t element_attributes = 0;
  std::uint32_t connections_per_ip = 0;
  std::uint32_t unauthenticated_per_ip = 0;
  std::size_t bytes_per_second_c2s = 0;  // 0: as much as comes
  std::size_t bytes_per_second_s2s = 0;
  std::size_t send_queue_bytes = 0;
  std::uint32_t resources_per_user = 0;
};

struct stream_management_settings {
  std::chrono::milliseconds resume_timeout{};
  std::uint32_t queue_stanzas = 0;
};

struct http_settings {
  std::vector<std::string> websocket_origins;  // "*": any; else "https://host" or "https://host:port", lower case
  std::vector<std::string> trusted_proxies;    // "network/length"
};

struct metrics_settings {
  config::address address;
};

/// Where a value stands in the file.
struct position {
  int line = 1, column = 1;
  friend bool operator==(const position&, const position&) = default;
};

struct settings {
  std::filesystem::path file;  // as given, for messages
  /// Of values that the file holds, by "table.key", for faults found later; not of what is in [[tables]].
  std::map<std::string, position, std::less<>> places;
  server_settings server;
  log_settings log;
  storage_settings storage;
  std::vector<host_settings> hosts;
  std::vector<listen_settings> listeners;
  tls_settings tls;
  dns_settings dns;
  s2s_settings s2s;
  std::vector<peer_settings> peers;
  limit_settings limits;
  stream_management_settings stream_management;
  http_settings http;
  metrics_settings metrics;
};

}  // namespace comity::config
