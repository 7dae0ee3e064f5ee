#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <system_error>
#include <tuple>

#include "server/config/config.hpp"
#include "server/config/cross_rules.hpp"
#include "server/config/options.hpp"

namespace comity::config {
namespace {

constexpr std::size_t file_size_most = 1U << 20U;  // far beyond any sensible file; a device or a log given by mistake

constexpr std::size_t line_size_most = 4096;

position position_of(const toml::source_region& region) {
  // Nodes that the parser implies have no place: line 0.
  return {.line = std::max(1, static_cast<int>(region.begin.line)),
          .column = std::max(1, static_cast<int>(region.begin.column))};
}

/// What a node holds, as `kind` may use it. Arrays and tables are kept here while the value is read.
class raw_node {
public:
  raw_node(const toml::node& node, const value_kind& kind) {
    if (const auto* const text = node.as_string()) {
      value_ = std::string_view{text->get()};
    } else if (const auto* const number = node.as_integer()) {
      value_ = number->get();
    } else if (const auto* const truth = node.as_boolean(); truth != nullptr && is<boolean>(kind)) {
      value_ = truth->get();
    } else if (const auto* const array = node.as_array(); array != nullptr && is<list_of>(kind)) {
      if (const auto* const items = list(*array)) {
        value_ = raw_list{*items};
      }
    } else if (const auto* const table = node.as_table(); table != nullptr && is<stub_zones>(kind)) {
      read(*table);
    } else if (table != nullptr && (is<alpn_routes>(kind) || is<sni_routes>(kind))) {
      read_texts(*table);
    }
  }
  raw_node(const raw_node&) = delete;
  raw_node& operator=(const raw_node&) = delete;

  [[nodiscard]] const raw_value& value() const noexcept { return value_; }
  /// The element that is no string, where there is one.
  [[nodiscard]] const toml::node* stranger() const noexcept { return stranger_; }

private:
  template <class Kind>
  static bool is(const value_kind& kind) {
    return std::holds_alternative<Kind>(kind);
  }
  const std::vector<std::string_view>* list(const toml::array& array) {
    auto& items = lists_.emplace_back();
    for (const auto& element : array) {
      const auto* const text = element.as_string();
      if (text == nullptr) {
        stranger_ = &element;
        return nullptr;
      }
      items.emplace_back(text->get());
    }
    return &items;
  }
  void read(const toml::table& table) {
    for (const auto& [name, node] : table) {
      const auto* const array = node.as_array();
      if (array == nullptr) {
        stranger_ = &node;
        return;
      }
      const auto* const items = list(*array);
      if (items == nullptr) {
        return;
      }
      entries_.push_back({.name = name.str(), .values = *items});
    }
    value_ = raw_table{entries_};
  }

  void read_texts(const toml::table& table) {
    for (const auto& [name, node] : table) {
      const auto* const text = node.as_string();
      if (text == nullptr) {
        stranger_ = &node;
        return;
      }
      entries_.push_back({.name = name.str(), .values = lists_.emplace_back(1, text->get())});
    }
    value_ = raw_table{entries_};
  }

  raw_value value_;
  std::deque<std::vector<std::string_view>> lists_;
  std::vector<raw_entry> entries_;
  const toml::node* stranger_ = nullptr;
};

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a point";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
      return "a date or time";
    case toml::node_type::none:
      break;
  }
  return "nothing";
}

/// A key as messages show it: bare where TOML lets it be, else in quotes with its control characters escaped.
std::string shown_key(std::string_view key) {
  const bool bare = !key.empty() && key.size() <= 64 && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string{key} : in_quotes(key);
}

class reader {
public:
  explicit reader(const std::filesystem::path& file) {
    result_.file = file;
    std::error_code failed;
    directory_ = std::filesystem::absolute(file, failed).parent_path();
  }

  std::expected<settings, std::vector<fault>> read(const toml::table& document) {
    for (const auto& [key, node] : document) {
      if (std::ranges::none_of(sections(), [&](const section& s) { return s.name == key.str(); })) {
        unknown_at_top(key, node);
      }
    }
    for (const auto& s : sections()) {
      const auto* const node = find(document, s.name);
      if (s.name == "host") {
        read_each(s, node, host_options(), result_.hosts);
      } else if (s.name == "listen") {
        read_each(s, node, listen_options(), result_.listeners);
      } else if (s.name == "s2s.peer") {
        read_each(s, node, peer_options(), result_.peers);
      } else {
        read_one(s, node);
      }
    }
    finish();
    if (faults_.empty()) {
      return std::move(result_);
    }
    std::ranges::sort(faults_, {}, [](const fault& f) { return std::tie(f.line, f.column, f.text); });
    return std::unexpected(std::move(faults_));
  }

private:
  void refuse(position at, std::string text) {
    faults_.push_back({.file = result_.file, .line = at.line, .column = at.column, .text = std::move(text)});
  }

  /// The node of a section, which may stand in another's table.
  static const toml::node* find(const toml::table& document, std::string_view section_name) {
    const auto dot = section_name.find('.');
    const auto* const node = document.get(section_name.substr(0, dot));
    if (dot == std::string_view::npos) {
      return node;
    }
    return node != nullptr && node->is_table() ? node->as_table()->get(section_name.substr(dot + 1)) : nullptr;
  }

  /// Whether `key` in the table of `s` is the table of another section.
  static bool holds_section(const section& s, std::string_view key) {
    return std::ranges::any_of(sections(), [&](const section& inner) {
      return inner.name.size() == s.name.size() + 1 + key.size() && inner.name.starts_with(s.name) &&
             inner.name[s.name.size()] == '.' && inner.name.ends_with(key);
    });
  }

  void unknown_at_top(const toml::key& key, const toml::node& node) {
    const auto at = position_of(key.source());
    const auto shown = shown_key(key.str());
    if (node.is_table() || node.is_array_of_tables()) {
      std::vector<std::string_view> tables;
      for (const auto& s : sections()) {
        tables.push_back(s.name);
      }
      const auto near = std::ranges::find(sections(), nearest(key.str(), tables), &section::name);
      refuse(at, fmt::format("unknown table {}; the nearest known table is {}", shown, header(*near)));
      return;
    }
    std::vector<std::string> keys;
    for (const auto& s : sections()) {
      for (const auto* const row : rows_of(s.name)) {
        if (row->key == key.str()) {  // a key that has lost its table
          refuse(at, fmt::format("{} belongs to a table; write it below {}", shown, header(s)));
          return;
        }
        keys.push_back(fmt::format("{}.{}", s.name, row->key));
      }
    }
    const std::vector<std::string_view> known{keys.begin(), keys.end()};
    refuse(at, fmt::format("unknown key {}; the nearest known key is {}", shown, nearest(key.str(), known)));
  }

  static std::string header(const section& s) {
    return s.repeated ? fmt::format("[[{}]]", s.name) : fmt::format("[{}]", s.name);
  }

  void read_one(const section& s, const toml::node* node) {
    if (node != nullptr && !node->is_table()) {
      refuse(position_of(node->source()),
             fmt::format("{} is {}; write [{}] and its keys below", s.name,
                         node->is_array_of_tables() ? "an array of tables" : type_name(*node), s.name));
      node = nullptr;
    }
    static const toml::table nothing;
    read_table(s, node == nullptr ? nothing : *node->as_table(), {}, options(), result_);
  }

  template <class Owner>
  void read_each(const section& s, const toml::node* node, std::span<const option<Owner>> rows,
                 std::vector<Owner>& out) {
    if (node == nullptr) {
      return;
    }
    const auto* const elements = node->as_array();
    if (elements == nullptr) {
      refuse(position_of(node->source()),
             fmt::format("{} is {}; write [[{}]] and its keys below", s.name, type_name(*node), s.name));
      written_wrongly_.push_back(s.name);
      return;
    }
    if (elements->empty()) {
      refuse(position_of(node->source()), fmt::format("{} is empty; write [[{}]] and its keys below", s.name, s.name));
      written_wrongly_.push_back(s.name);
      return;
    }
    for (const auto& element : *elements) {
      const auto at = position_of(element.source());
      if (!element.is_table()) {
        refuse(at, fmt::format("{} holds {}; write [[{}]] and its keys below", s.name, type_name(element), s.name));
        written_wrongly_.push_back(s.name);
        continue;
      }
      Owner owner;
      owner.line = at.line;
      owner.column = at.column;
      const auto faults_before = faults_.size();
      read_table(s, *element.as_table(), at, rows, owner);
      if constexpr (std::is_same_v<Owner, host_settings>) {
        note_files(*element.as_table(), owner);
      }
      // One with faults is not compared with the others, but it is there.
      if (faults_.size() == faults_before) {
        out.push_back(std::move(owner));
      } else {
        written_wrongly_.push_back(s.name);
      }
    }
  }

  static void note_files(const toml::table& table, host_settings& host) {
    const auto note = [&](std::string_view key, int& line, int& column) {
      if (const auto* const node = table.get(key)) {
        const auto at = position_of(node->source());
        line = at.line;
        column = at.column;
      }
    };
    note("certificate", host.certificate_line, host.certificate_column);
    note("private_key", host.key_line, host.key_column);
  }

  template <class Owner>
  void read_table(const section& s, const toml::table& table, position at, std::span<const option<Owner>> rows,
                  Owner& owner) {
    for (const auto& [key, node] : table) {
      if (std::ranges::none_of(rows, [&](const auto& o) { return o.row.table == s.name && o.row.key == key.str(); }) &&
          !holds_section(s, key.str())) {
        unknown_in(s, key);
      }
    }
    for (const auto& o : rows) {
      if (o.row.table != s.name) {
        continue;
      }
      if (const auto* const node = table.get(o.row.key)) {
        store(o, owner, *node);
      } else if (!std::holds_alternative<std::monostate>(o.row.fallback)) {
        if (auto value = read_value(o.row.kind, o.row.fallback, directory_)) {
          o.put(owner, std::move(*value));
        }
      } else {
        refuse(at, fmt::format("{} has no {}; write {} = {}", header(s), o.row.key, o.row.key, o.row.example));
      }
    }
  }

  void unknown_in(const section& s, const toml::key& key) {
    std::vector<std::string_view> known;
    for (const auto* const row : rows_of(s.name)) {
      known.push_back(row->key);
    }
    for (const auto& inner : sections()) {
      if (inner.name.starts_with(s.name) && inner.name.substr(s.name.size()).starts_with('.')) {
        known.push_back(inner.name.substr(s.name.size() + 1));
      }
    }
    refuse(position_of(key.source()), fmt::format("unknown key {}.{}; the nearest known key is {}.{}", s.name,
                                                  shown_key(key.str()), s.name, nearest(key.str(), known)));
  }

  template <class Owner>
  void store(const option<Owner>& o, Owner& owner, const toml::node& node) {
    const auto at = position_of(node.source());
    const std::string name = fmt::format("{}.{}", o.row.table, o.row.key);
    const raw_node held{node, o.row.kind};
    const auto& raw = held.value();
    if (held.stranger() != nullptr) {
      refuse(position_of(held.stranger()->source()),
             fmt::format("{} holds {}; write {}", name, type_name(*held.stranger()), describe(o.row.kind)));
    } else if (std::holds_alternative<std::monostate>(raw)) {
      refuse(at, fmt::format("{} is {}; write {}", name, type_name(node), describe(o.row.kind)));
    } else if (auto value = read_value(o.row.kind, raw, directory_)) {
      o.put(owner, std::move(*value));
      places_.emplace(name, at);
      if constexpr (std::is_same_v<Owner, settings>) {
        owner.places.emplace(name, at);
      }
      return;
    } else {
      refuse(at, fmt::format("{} = {} {}; write {}", name, written(raw), value.error(), describe(o.row.kind)));
    }
    places_.emplace(name, std::nullopt);
  }

  [[nodiscard]] bool is_written_wrongly(std::string_view section_name) const {
    return std::ranges::find(written_wrongly_, section_name) != written_wrongly_.end();
  }

  /// What follows from several values together.
  void finish() {
    if (result_.hosts.empty() && !is_written_wrongly("host")) {
      refuse({}, "no domain is served; write [[host]] with domain, certificate and private_key");
    }
    if (result_.listeners.empty() && !is_written_wrongly("listen")) {
      for (const auto& d : default_listeners) {
        if (d.protocol == "s2s" && !result_.s2s.enabled) {
          continue;
        }
        auto& listener = result_.listeners.emplace_back();
        for (const auto& o : listen_options()) {
          const raw_value raw = o.row.key == "address"    ? d.address
                                : o.row.key == "protocol" ? d.protocol
                                : o.row.key == "tls"      ? raw_value{d.tls}
                                                          : o.row.fallback;
          if (auto value = read_value(o.row.kind, raw, directory_)) {
            o.put(listener, std::move(*value));
          }
        }
      }
    }
    // A relative name of the store starts where the data is, wherever the configuration lies.
    result_.storage.sqlite_file = (result_.server.data_directory / result_.storage.sqlite_file).lexically_normal();
    for (auto& [at, text] : cross_faults(result_, places_)) {
      refuse(at, std::move(text));
    }
  }

  settings result_;
  std::filesystem::path directory_;
  std::vector<fault> faults_;
  value_places places_;
  std::vector<std::string_view> written_wrongly_;
};

/// What the parser says of a mistake, by how it begins, and what we say.
struct syntax_advice {
  std::string_view begins, wrong, right;
};
constexpr std::array advices{
    syntax_advice{"could not determine value type", "no value", "put a string in quotes"},
    syntax_advice{"encountered end-of-file", "the file ends in the middle", "finish it"},
    syntax_advice{"encountered unexpected end-of-file", "the file ends in the middle", "finish it"},
    syntax_advice{"unescaped control characters", "a string has no end on its line", "close the quotes"},
    syntax_advice{"Encountered invalid utf-8", "bytes that are no UTF-8", "save the file as UTF-8"},
    syntax_advice{"cannot redefine", {}, "keep one of them"},
};

/// The parser's words turned into "what is wrong; what would be right".
std::string syntax_text(std::string_view description) {
  constexpr std::string_view prefix = "Error while parsing ";
  constexpr std::string_view expected = "expected ";
  constexpr std::string_view saw = ", saw ";
  std::string_view part = "file";
  std::string_view reason = description;
  if (description.starts_with(prefix)) {
    const auto colon = description.find(": ");
    if (colon != std::string_view::npos) {
      part = description.substr(prefix.size(), colon - prefix.size());
      reason = description.substr(colon + 2);
    }
  }
  std::string text;
  const auto comma = reason.rfind(saw);
  const auto* const advice =
      std::ranges::find_if(advices, [&](const auto& known) { return reason.starts_with(known.begins); });
  if (reason.starts_with(expected) && comma != std::string_view::npos) {
    text = fmt::format("not TOML ({}): saw {}; what belongs there: {}", part, reason.substr(comma + saw.size()),
                       reason.substr(expected.size(), comma - expected.size()));
  } else if (advice != advices.end()) {
    text = fmt::format("not TOML ({}): {}; {}", part, advice->wrong.empty() ? reason : advice->wrong, advice->right);
  } else {
    text = fmt::format("not TOML ({}): {}; see https://toml.io for what would be", part, reason);
  }
  // What the parser saw is the operator's, and may be anything.
  std::ranges::replace_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text;
}

std::unexpected<std::vector<fault>> only(const std::filesystem::path& file, position at, std::string text) {
  std::vector<fault> faults;
  faults.push_back({.file = file, .line = at.line, .column = at.column, .text = std::move(text)});
  return std::unexpected(std::move(faults));
}

/// What the parser must not be given. Control characters, which no TOML file may have anywhere, get one clear message
/// here; and toml++ 3.3 makes a table of each part of a dotted key, then frees them by recursion, so that a line of
/// half a million parts would exhaust the stack.
std::optional<placed_fault> unfit(std::string_view text) {
  position at;
  std::size_t line_bytes = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == '\n') {
      ++at.line;
      at.column = 1;
      line_bytes = 0;
      continue;
    }
    if ((byte < 0x20 && byte != '\t' && byte != '\r') || byte == 0x7f) {
      return placed_fault{at,
                          fmt::format("not TOML: a control character, U+{:04X}; remove it, or write it as \\u{:04X} "
                                      "in a string",
                                      byte, byte)};
    }
    if (++line_bytes > line_size_most) {
      return placed_fault{at, fmt::format("the line is longer than {} bytes; break it up", line_size_most)};
    }
    if ((byte & 0xc0U) != 0x80U) {
      ++at.column;  // columns are characters
    }
  }
  return std::nullopt;
}

}  // namespace

std::string to_string(const fault& f) {
  return fmt::format("{}:{}:{}: {}", f.file.native(), f.line, f.column, f.text);
}

std::expected<settings, std::vector<fault>> load_text(std::string_view text, const std::filesystem::path& file) {
  if (text.size() > file_size_most) {
    return only(file, {}, "the file is larger than 1 MiB; name the configuration file");
  }
  if (auto fault = unfit(text)) {
    return only(file, fault->at, std::move(fault->text));
  }
  // The parser throws for what is not TOML: this is the edge where that becomes a value.
  try {
    return reader{file}.read(toml::parse(text, std::string_view{}));
  } catch (const toml::parse_error& error) {
    return only(file, position_of(error.source()), syntax_text(error.description()));
  }
}

std::expected<settings, std::vector<fault>> load(const std::filesystem::path& file) {
  std::error_code failed;
  const auto status = std::filesystem::status(file, failed);
  if (!failed && std::filesystem::is_directory(status)) {
    return only(file, {}, "this is a directory; name the configuration file");
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream{std::fopen(file.c_str(), "rbe"), &std::fclose};
  if (stream == nullptr) {
    const int why = errno;
    return only(
        file, {},
        fmt::format("cannot be read: {}; name a readable file with --config", std::generic_category().message(why)));
  }
  std::string text(file_size_most + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), stream.get()));
  if (std::ferror(stream.get()) != 0) {
    return only(file, {}, "cannot be read to its end; name a readable file with --config");
  }
  return load_text(text, file);
}

}  // namespace comity::config
