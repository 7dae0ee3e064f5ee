// server/admin/completion.hpp: what could stand next on a command line, from the tree of commands that parses it.
//
// The scripts for bash, zsh and fish (deploy/completions) ask `comityctl complete` and know no command themselves.
// Pure, but for `values`.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace comity::admin {

struct candidate {
  std::string word;
  std::string description;  // may be empty
  bool operator==(const candidate&) const = default;
};

/// The values there are now of a type of argument ("HOST", "JID"…), as the commands name it; empty where none are
/// known.
using values_of = std::function<std::vector<std::string>(std::string_view type)>;

/// Stands alone in an answer where the name of a file is wanted, which the shell knows best.
inline constexpr std::string_view any_file = ":file";

/// `words` are those behind the program's name up to the cursor; the last is the one to be completed and may be empty.
[[nodiscard]] std::vector<candidate> complete(const CLI::App& app, std::span<const std::string> words,
                                              const values_of& values);

}  // namespace comity::admin
