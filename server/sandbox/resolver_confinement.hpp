// server/sandbox/resolver_confinement.hpp: what the resolver process is left with: sockets to name servers, memory,
// time and threads (THREATS §3).
#pragma once

#include <expected>
#include <string>

#include "dns/settings.hpp"

namespace comity::sandbox {

/// Confines this process to what resolving by these settings needs, and says to what; one thread. Under a sanitizer it
/// gives up privileges only. The error is a sentence.
[[nodiscard]] std::expected<std::string, std::string> confine_resolver(const dns::settings&);

}  // namespace comity::sandbox
