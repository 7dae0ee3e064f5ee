// server/admin/comityctl_watch.hpp: the commands of the operator's tool that tell what happens: `s2s explain`, `trace`,
// `log level`.
#pragma once

#include "server/admin/comityctl_tool.hpp"

namespace CLI {
class App;
}

namespace comity::admin {

void add_watch_commands(CLI::App&, tool);

}  // namespace comity::admin
