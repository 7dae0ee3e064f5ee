// server/admin/comityctl_setup.hpp: `comityctl setup`: a server for a domain, from nothing.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace CLI {
class App;
}

namespace comity::admin {

/// What the command needs of the tool.
struct setup_tool {
  /// Asks the daemon, or does it alone, by the configuration that `config` names. Throws what ends the tool.
  std::function<nlohmann::json(const std::string& command, nlohmann::json args)> ask;
  std::string& config;  // --config; set to what has been written
  const bool& as_json;
  /// A line from the terminal that it does not show.
  std::function<std::string(const char* prompt)> typed;
};

void add_setup_command(CLI::App&, setup_tool);

}  // namespace comity::admin
