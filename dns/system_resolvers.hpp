// dns/system_resolvers.hpp: which resolvers this machine uses, and with what question to find out what they are good
// for. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace comity::dns {

/// The addresses on the `nameserver` lines of resolv.conf(5), the first three of them as the system has it, without
/// those that have a zone ("fe80::1%eth0").
[[nodiscard]] std::vector<std::string> nameservers(std::string_view resolv_conf);

/// The name that the first record of a file of trust anchors is for, "." of the root's; "." where there is none.
[[nodiscard]] std::string anchored_name(std::string_view trust_anchors);

/// The addresses of the servers that a file of root hints names, in the form of a zone file.
[[nodiscard]] std::vector<std::string> hinted_addresses(std::string_view root_hints);

}  // namespace comity::dns
