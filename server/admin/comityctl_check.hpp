// server/admin/comityctl_check.hpp: the commands of the operator's tool that look from outside.
#pragma once

#include "server/admin/comityctl_tool.hpp"

namespace CLI {
class App;
}

namespace comity::admin {

/// `dns records` and `check`; `failed` is set where there were errors, to end with 1.
void add_check_commands(CLI::App&, tool, bool& failed);

}  // namespace comity::admin
