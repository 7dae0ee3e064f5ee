// server/admin/trace_command.hpp: `comityctl trace`: follows one party until the operator goes away.
//
// {"party", "bodies", "json"}: each event and each part of a stream that concerns the party comes as a line of its own;
// the first one says that it begins. There is no answer: the operator ends it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "server/admin/commands.hpp"
#include "server/admin/progress.hpp"

namespace comity::trace {
class trace_hub;
}

namespace comity::admin {

class trace_command {
public:
  /// `hub` outlives every trace.
  explicit trace_command(trace::trace_hub& hub) noexcept : hub_{&hub} {}
  void operator()(const nlohmann::json& args, const progress_ref& told, replier reply) const;

private:
  trace::trace_hub* hub_;
};

}  // namespace comity::admin
