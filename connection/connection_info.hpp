// connection/connection_info.hpp: what an operator may know of one connection (`comityctl connections`), as a value.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/session_ref.hpp"

namespace comity::connection {

struct connection_info {
  session_ref ref;
  std::string peer;     // bound full JID, authenticated bare JID, or "" before
  std::string address;  // "192.0.2.7:51234", "[2001:db8::7]:51234"
  std::string domain;   // our host the stream is for, "" before the header
  connection::route route;
  /// What it is where it is no XMPP stream, or not yet: "http", "forward", "front"; a literal, "" for a stream. `route`
  /// means nothing then.
  std::string_view service;
  bool established = false;
  std::string alpn;         // "" for none
  std::string tls_version;  // "TLSv1.3", "" before TLS
  std::string cipher;
  std::string authentication;  // "SCRAM-SHA-1-PLUS", "" before
  std::string trust;           // s2s: dane, pkix, posh, dialback
  std::chrono::seconds age{};
  std::uint64_t bytes_received = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t queue_bytes = 0;
};

/// All live connections, over all loops. Any thread.
class connection_registry {
public:
  virtual ~connection_registry() = default;
  /// `done` gets every connection as each loop sees it now; runs on some loop's thread.
  virtual void list(std::move_only_function<void(std::vector<connection_info>)> done) = 0;
  /// Ends one connection with that stream error; `done(true)` where it was there.
  virtual void close(session_ref, stream_condition, std::string text, std::move_only_function<void(bool)> done) = 0;
};

}  // namespace comity::connection
