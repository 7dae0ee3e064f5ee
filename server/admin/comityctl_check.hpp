// server/admin/comityctl_check.hpp: the commands of the operator's tool that look from outside.
#pragma once

#include "server/admin/comityctl_tool.hpp"

namespace CLI {
class App;
}

namespace comity::admin {

/// `dns records`.
void add_check_commands(CLI::App&, tool);

}  // namespace comity::admin
