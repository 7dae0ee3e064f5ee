// connection/s2s/explanation.hpp: what happened on the way to a remote domain, for `comityctl s2s explain`, as values.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "connection/vocabulary.hpp"
#include "dns/service_resolver.hpp"

namespace comity::connection {

/// One address tried.
struct attempt_record {
  std::chrono::system_clock::time_point began;
  std::chrono::milliseconds took{};
  std::string target;   // the name that led here
  std::string address;  // "192.0.2.7:5269", "[2001:db8::7]:5270"
  connection::method method = method::starttls;
  std::string sni;                         // "" before TLS
  std::string alpn;                        // as selected by the peer
  std::string tls;                         // "TLSv1.3 TLS_AES_256_GCM_SHA384", "" before
  std::string proof;                       // "dane", "pkix", "posh", "dialback", "" where none was found
  connection::phase phase = phase::tcp;    // the last one reached
  std::optional<connection::cause> cause;  // nullopt: it became an authenticated stream
  std::string detail;
};

struct explanation {
  /// One line a step of discovery: each question with its answer and DNSSEC status, then the endpoints in the order in
  /// which they are tried.
  std::vector<std::string> discovery;
  std::vector<attempt_record> attempts;  // the last ones, oldest first
  std::string outcome;                   // "established", or why not
};

/// A question to the DNS with its answer, as one line: "SRV _xmpp-server._tcp.a.example: records, secure; 1 5 5269 b".
[[nodiscard]] std::string line_of(const dns::traced_query&);
/// An endpoint of the service: "srv_xmpps: b.example port 5270 by direct_tls, priority 1, delegation secure".
[[nodiscard]] std::string line_of(const dns::target&);

}  // namespace comity::connection
