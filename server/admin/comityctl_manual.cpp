#include "server/admin/comityctl_manual.hpp"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "server/manual/causes.hpp"
#include "server/manual/text.hpp"

namespace comity::admin {
namespace {

using json = nlohmann::json;

constexpr std::size_t columns = 80;

std::vector<std::string> cause_words() {
  std::vector<std::string> words;
  words.reserve(connection::cause_count);
  for (std::size_t i = 0; i < connection::cause_count; ++i) {
    words.emplace_back(to_string(static_cast<connection::cause>(i)));
  }
  return words;
}

void print_causes(const std::string& word, bool as_json) {
  json rows = json::array();
  for (std::size_t i = 0; i < connection::cause_count; ++i) {
    const auto each = static_cast<connection::cause>(i);
    if (!word.empty() && word != to_string(each)) {
      continue;
    }
    const auto [meaning, remedy] = manual::paragraph(each);
    if (as_json) {
      rows.push_back({{"cause", to_string(each)}, {"meaning", meaning}, {"remedy", remedy}});
    } else {
      std::cout << to_string(each) << '\n'
                << manual::wrapped(std::string{meaning} + ' ' + std::string{remedy}, columns, "    ");
    }
  }
  if (as_json) {
    std::cout << (word.empty() ? rows : rows.front()).dump(2) << '\n';
  }
}

/// What `words` give for an option, as "--option value" or "--option=value".
std::optional<std::string> said(const std::vector<std::string>& words, const std::string& option) {
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {  // the last is not complete yet
    if (words[i] == option && i + 2 < words.size()) {
      return words[i + 1];
    }
    if (words[i].starts_with(option + '=')) {
      return words[i].substr(option.size() + 1);
    }
  }
  return std::nullopt;
}

}  // namespace

void add_manual_commands(CLI::App& app, const bool& as_json) {
  auto word = std::make_shared<std::string>();
  auto* cause = app.add_subcommand("cause", "why a connection failed, by the word of the log, and what to do");
  cause->add_option("word", *word, "the cause; all of them if left out")
      ->type_name("CAUSE")
      ->check(CLI::IsMember(cause_words()));
  cause->callback([word, &as_json] { print_causes(*word, as_json); });
}

void add_completion_command(CLI::App& app, std::string& socket, std::string& config, values_of values) {
  auto words = std::make_shared<std::vector<std::string>>();
  auto* command = app.add_subcommand("complete", "what could stand next, for shells")->group("");
  command->add_option("words", *words, "behind --: those of the line up to the cursor");
  command->callback([&app, &socket, &config, words, values = std::move(values)] {
    socket = said(*words, "--socket").value_or(socket);
    config = said(*words, "--config").value_or(config);
    for (const auto& c : complete(app, *words, values)) {
      std::cout << c.word << '\t' << c.description << '\n';
    }
  });
}

}  // namespace comity::admin
