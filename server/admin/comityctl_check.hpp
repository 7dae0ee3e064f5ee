// server/admin/comityctl_check.hpp: the commands of the operator's tool that look from outside.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace CLI {
class App;
}

namespace comity::admin {

/// What the commands need of the tool. `ask` throws what ends the tool.
struct tool {
  std::function<nlohmann::json(const std::string& command, nlohmann::json args)> ask;
  const bool& as_json;
};

/// `dns records`.
void add_check_commands(CLI::App&, tool);

}  // namespace comity::admin
