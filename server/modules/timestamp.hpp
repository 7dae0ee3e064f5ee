// server/modules/timestamp.hpp: points in time as XEP-0082 writes them.
#pragma once

#include <chrono>
#include <string>

namespace comity::server {

/// "2026-11-24T15:26:20Z": UTC, whole seconds.
[[nodiscard]] std::string utc_stamp(std::chrono::system_clock::time_point);

}  // namespace comity::server
