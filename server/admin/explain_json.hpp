// server/admin/explain_json.hpp: the steps of `comityctl s2s explain` for programs: one JSON object. Pure.
//
//   {"domain", "from", "dry_run", "method", "policy": {…}, "now": {…}, "before": [attempt…],
//    "queries": [{"type", "name", "result", "security", "ttl", "milliseconds", "why", "records"}…],
//    "endpoints": [{"order", "host", "port", "method", "source", "priority", "weight", "security"}…], "dropped": […],
//    "located": [{"host", "port", "method", "addresses", "security", "cause", "why", "tlsa": {…}}…],
//    "attempts": [attempt…], "outcome": {"reached", "cause", "phase", "text", "attempts", "milliseconds"}}
#pragma once

#include <span>
#include <string>

#include "connection/s2s/explanation.hpp"

namespace comity::admin {

/// Text that is no UTF-8 is replaced, character by character.
[[nodiscard]] std::string explain_json_of(std::span<const connection::explained_step>);

}  // namespace comity::admin
