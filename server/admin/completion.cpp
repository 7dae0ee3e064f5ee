#include "server/admin/completion.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

namespace comity::admin {
namespace {

/// "NAME:{a,b}" as CLI11 has it: the type of an argument, and its values where they are a closed set.
struct argument_type {
  std::string name;
  std::vector<std::string> choices;
};

argument_type type_of(const CLI::Option& o) {
  const auto text = o.get_type_name();
  argument_type type;
  const auto open = text.find('{');
  type.name = text.substr(0, std::min(open, text.find(':')));
  if (open != std::string::npos && text.ends_with('}')) {
    type.choices = CLI::detail::split(text.substr(open + 1, text.size() - open - 2), ',');
  }
  return type;
}

bool takes_value(const CLI::Option& o) {
  return o.get_items_expected_max() > 0;
}

template <class Each>
bool among(const std::vector<Each>& all, const auto& one) {
  return std::ranges::find(all, one) != all.end();
}

bool named(const CLI::Option& o, std::string_view word) {
  return word.starts_with("--") ? among(o.get_lnames(), word.substr(2)) : among(o.get_snames(), word.substr(1));
}

/// Where the words lead: the command, the options that may stand there, what has been given of its arguments.
class walk {
public:
  explicit walk(const CLI::App& app) : path_{&app} {}

  void pass(const std::string& word) {
    if (awaiting_ != nullptr) {
      awaiting_ = nullptr;
    } else if (word.starts_with('-') && word.size() > 1) {
      const auto* o = option(word.substr(0, word.find('=')));
      if (o != nullptr) {
        used_.push_back(o);
        awaiting_ = takes_value(*o) && !word.contains('=') ? o : nullptr;
      }
    } else if (const auto* command = subcommand(word); command != nullptr) {
      path_.push_back(command);
    } else {
      ++arguments_;
    }
  }

  std::vector<candidate> next(const std::string& word, const values_of& values) const {
    if (awaiting_ != nullptr) {
      return chosen(values_for(*awaiting_, values), word, {});
    }
    if (word.starts_with('-')) {
      const auto equals = word.find('=');
      if (equals == std::string::npos) {
        return chosen(options(), word, {});
      }
      const auto* o = option(word.substr(0, equals));
      return o == nullptr ? std::vector<candidate>{}
                          : chosen(values_for(*o, values), word.substr(equals + 1), word.substr(0, equals + 1));
    }
    auto found = arguments_ == 0 ? commands() : std::vector<candidate>{};
    const auto positional = path_.back()->get_options([](const CLI::Option* o) { return o->get_positional(); });
    if (arguments_ < positional.size()) {
      std::ranges::move(values_for(*positional[arguments_], values), std::back_inserter(found));
    }
    return chosen(std::move(found), word, {});
  }

private:
  const CLI::App* subcommand(const std::string& word) const {
    if (arguments_ != 0) {
      return nullptr;
    }
    const auto found = path_.back()->get_subcommands([&](const CLI::App* c) { return c->get_name() == word; });
    return found.empty() ? nullptr : found.front();
  }

  /// An option of the command, or of those that it stands in: they may be given behind it.
  const CLI::Option* option(const std::string& word) const {
    for (const auto* command : path_) {
      for (const auto* o : command->get_options()) {
        if (named(*o, word)) {
          return o;
        }
      }
    }
    return nullptr;
  }

  std::vector<candidate> options() const {
    std::vector<candidate> found;
    for (const auto* command : path_) {
      for (const auto* o : command->get_options()) {
        const bool shown = !o->get_group().empty() && !among(used_, o);
        if (shown && !o->get_lnames().empty() && (command == path_.back() || o->get_lnames().front() != "help")) {
          found.push_back({"--" + o->get_lnames().front(), o->get_description()});
        }
      }
    }
    return found;
  }

  std::vector<candidate> commands() const {
    std::vector<candidate> found;
    for (const auto* c :
         path_.back()->get_subcommands([](const CLI::App* each) { return !each->get_group().empty(); })) {
      found.push_back({c->get_name(), c->get_description()});
    }
    return found;
  }

  static std::vector<candidate> values_for(const CLI::Option& o, const values_of& values) {
    auto type = type_of(o);
    if (type.choices.empty() && (type.name == "FILE" || type.name == "PATH" || type.name == "DIR")) {
      return {{std::string{any_file}, {}}};
    }
    std::vector<candidate> found;
    for (auto& value : type.choices.empty() ? values(type.name) : type.choices) {
      found.push_back({value, {}});
    }
    return found;
  }

  static std::vector<candidate> chosen(std::vector<candidate> from, std::string_view prefix,
                                       const std::string& before) {
    std::erase_if(from, [&](const candidate& c) { return c.word != any_file && !c.word.starts_with(prefix); });
    for (auto& c : from) {
      if (c.word != any_file) {
        c.word.insert(0, before);
      }
    }
    return from;
  }

  std::vector<const CLI::App*> path_;
  const CLI::Option* awaiting_ = nullptr;  // its value comes next
  std::vector<const CLI::Option*> used_;
  std::size_t arguments_ = 0;
};

}  // namespace

std::vector<candidate> complete(const CLI::App& app, std::span<const std::string> words, const values_of& values) {
  if (words.empty()) {
    return {};
  }
  walk at{app};
  for (const auto& word : words.first(words.size() - 1)) {
    at.pass(word);
  }
  return at.next(words.back(), values);
}

}  // namespace comity::admin
