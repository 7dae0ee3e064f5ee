// tls/hash_name.hpp: what a hash is called wherever that is kept, or keys are derived from it.
#pragma once

#include <string_view>

#include "tls/crypto.hpp"

namespace comity::tls {

/// "sha-1", "sha-256" or "sha-512". It stands in databases and must never change. Any thread.
[[nodiscard]] std::string_view name_of(hash) noexcept;

}  // namespace comity::tls
