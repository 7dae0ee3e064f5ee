// server/admin/comityctl_tool.hpp: what the commands of the operator's tool need of it.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace comity::admin {

/// What ends the tool, with a reason on standard error; "" where it has been said.
struct failure {
  std::string what;
};

/// The functions throw failure.
struct tool {
  /// The answer of the daemon.
  std::function<nlohmann::json(const std::string& command, nlohmann::json args)> ask;
  /// As ask; before the answer, `told` gets each value that the daemon tells as it comes.
  std::function<nlohmann::json(const std::string& command, nlohmann::json args,
                               const std::function<void(const nlohmann::json&)>& told)>
      follow;
  const bool& as_json;
};

}  // namespace comity::admin
