// server/admin/comityctl_manual.hpp: the commands of the operator's tool that explain, and that help to type the
// others.
#pragma once

#include <string>

#include "server/admin/completion.hpp"

namespace comity::admin {

/// `cause`. `as_json` outlives the command line.
void add_manual_commands(CLI::App&, const bool& as_json);
/// `complete`, which the shells' scripts call: hidden. To be added to the root of all commands, which outlives it, as
/// do `socket` and `config`: when `values` is asked, they are what the line to be completed says.
void add_completion_command(CLI::App&, std::string& socket, std::string& config, values_of values);

}  // namespace comity::admin
