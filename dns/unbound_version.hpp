// dns/unbound_version.hpp: which libunbound the process runs with, for comity_build_info. Any thread.
#pragma once

#include <string>

namespace comity::dns {

/// "1.17.1".
[[nodiscard]] std::string unbound_version();

}  // namespace comity::dns
