// dns/settings.hpp: how names are to be resolved: [dns] of the configuration, checked by who reads it.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace comity::dns {

struct settings {
  /// {"auto"}: the system's resolvers as far as they pass DNSSEC on, else recursion from the root. Empty: recursion.
  /// Else forwarders, "ip" or "ip@port".
  std::vector<std::string> servers{"auto"};
  std::string root_hints;  // a file; empty: built in
  /// Files of DS or DNSKEY records. Empty: nothing is validated, so nothing is ever secure.
  std::vector<std::string> trust_anchors{"/usr/share/dns/root.key"};
  /// Zone to its servers, "ip" or "ip@port".
  std::map<std::string, std::vector<std::string>> stubs;
  /// Names that libunbound answers itself, as RFC 6761 has it ("test", "home.arpa"), to be resolved after all. That of
  /// a stub is one without being named here.
  std::vector<std::string> special_zones;
  /// Bound on one lookup.
  std::chrono::milliseconds timeout{5000};
  friend bool operator==(const settings&, const settings&) = default;
};

}  // namespace comity::dns
