// server/admin/log_command.hpp: `comityctl log level`: what is logged from now on, until the next reload.
//
// {"level"}: "" asks alone. {"level", "configured"} is answered.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <utility>

#include "connection/log.hpp"
#include "server/admin/commands.hpp"
#include "server/admin/progress.hpp"

namespace comity::admin {

class log_level_command {
public:
  struct collaborators {
    std::function<log::level()> now;
    std::function<log::level()> configured;
    std::function<void(log::level)> change;
    log::sink& log;  // outlives it
  };
  explicit log_level_command(collaborators with) : with_{std::move(with)} {}
  void operator()(const nlohmann::json& args, const progress_ref&, replier reply) const;

private:
  collaborators with_;
};

}  // namespace comity::admin
