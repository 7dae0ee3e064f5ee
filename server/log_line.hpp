// server/log_line.hpp: one event as one line. Pure.
//
// A value may come from anyone on the network. It cannot end its line, look like another field, steer a terminal or
// grow the line beyond bounds (THREATS G7).
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "connection/log.hpp"
#include "server/config/settings.hpp"

namespace comity {

/// The part of a value that is logged, in bytes; the cut is at a character's boundary and shown by an ellipsis.
inline constexpr std::size_t log_value_most = 256;

/// With its newline. Text: `2026-11-24T15:00:00.123Z info c2s.closed conn=7 cause="peer closed"`. JSON: one object
/// whose first members are time, level and event.
[[nodiscard]] std::string log_line(config::log_format, std::chrono::system_clock::time_point, log::level,
                                   std::string_view event, std::span<const log::field> fields);

/// "2026-11-24T15:00:00.123Z".
[[nodiscard]] std::string timestamp(std::chrono::system_clock::time_point);

/// The journal's priority prefix, "<6>" (sd-daemon(3)).
[[nodiscard]] std::string_view journal_priority(log::level) noexcept;

}  // namespace comity
