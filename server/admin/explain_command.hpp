// server/admin/explain_command.hpp: `comityctl s2s explain`: how another server is reached, tried now and told step by
// step.
//
// {"domain", "from", "method", "dry_run", "text": {"width", "coloured"}}: with "text" each step comes as lines of its
// own before the answer, which is then the outcome alone; without it the answer is the whole report.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "connection/s2s/explanation.hpp"
#include "server/admin/commands.hpp"
#include "server/admin/progress.hpp"

namespace comity::admin {

class explain_command {
public:
  struct collaborators {  // all outlive what was begun
    /// None: there are no other servers ([s2s] enabled = false).
    std::function<void(connection::explain_request, std::function<void(connection::explained_step)>)> explain;
    std::function<bool(std::string_view domain)> hosts;
    /// Who asks where the operator does not say.
    std::function<std::string()> default_domain;
  };
  explicit explain_command(collaborators with) : with_{std::move(with)} {}

  /// Control thread; `told` and `reply` are used on some loop's.
  void operator()(const nlohmann::json& args, const progress_ref& told, replier reply) const;

private:
  collaborators with_;
};

}  // namespace comity::admin
