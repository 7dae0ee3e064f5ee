// The table of options as text: what is in force, the annotated example, the manual page.
#include <fmt/format.h>

#include <algorithm>

#include "server/config/config.hpp"
#include "server/config/cross_rules.hpp"
#include "server/config/options.hpp"
#include "server/manual/text.hpp"

namespace comity::config {
namespace {

using manual::roff;

constexpr std::size_t example_columns = 100;

/// A value as the annotated example and the manual page show it.
std::string shown(const option_row& row) {
  return row.example.empty() ? written(row.fallback) : std::string{row.example};
}

std::string header(const section& s) {
  return s.repeated ? fmt::format("[[{}]]", s.name) : fmt::format("[{}]", s.name);
}

void add_comment(std::string& out, std::string_view text) {
  constexpr std::string_view mark = "#";
  std::string line{mark};
  while (!text.empty()) {
    const auto space = text.find(' ');
    const auto next = text.substr(0, space);
    if (line.size() + 1 + next.size() > example_columns && line.size() > mark.size()) {
      out += line + '\n';
      line = mark;
    }
    line += ' ';
    line += next;
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  }
  out += line + '\n';
}

template <class Owner>
void add_values(std::string& out, std::string_view table, std::span<const option<Owner>> rows, const Owner& owner) {
  for (const auto& o : rows) {
    if (o.row.table == table) {
      out += fmt::format("{} = {}\n", o.row.key, written(o.row.kind, o.value(owner)));
    }
  }
}

template <class Owner>
void add_tables(std::string& out, const section& s, std::span<const option<Owner>> rows,
                const std::vector<Owner>& owners) {
  for (const auto& owner : owners) {
    out += fmt::format("{}\n", header(s));
    add_values(out, s.name, rows, owner);
  }
}

}  // namespace

std::string canonical(const settings& all) {
  std::string out;
  for (const auto& s : sections()) {
    if (s.name == "host") {
      add_tables(out, s, host_options(), all.hosts);
    } else if (s.name == "listen") {
      add_tables(out, s, listen_options(), all.listeners);
    } else if (s.name == "s2s.peer") {
      add_tables(out, s, peer_options(), all.peers);
    } else {
      out += fmt::format("{}\n", header(s));
      add_values(out, s.name, options(), all);
    }
  }
  return out;
}

std::vector<std::string> restart_needed(const settings& running, const settings& next) {
  std::vector<std::string> changed;
  for (const auto& o : options()) {
    if (o.row.takes_effect == effect::at_restart && o.value(running) != o.value(next)) {
      changed.push_back(fmt::format("{}.{}", o.row.table, o.row.key));
    }
  }
  // As a set: moving a table about in the file opens and closes nothing.
  const auto same_port = [](const listen_settings& a, const listen_settings& b) {
    auto moved = a;
    moved.line = b.line;
    moved.column = b.column;
    return moved == b;
  };
  if (!std::ranges::is_permutation(running.listeners, next.listeners, same_port)) {
    changed.emplace_back("listen");
  }
  return changed;
}

settings after_reload(const settings& running, settings next) {
  for (const auto& o : options()) {
    if (o.row.takes_effect == effect::at_restart) {
      o.put(next, o.value(running));
    }
  }
  next.listeners = running.listeners;
  return next;
}

std::string annotated_example() {
  std::string out;
  add_comment(out,
              "Comity's configuration. Every key is here, with its default where it has one; a key that is left "
              "out keeps it. See comity.toml(5); check with: comityd --check-config");
  out += "#\n";
  add_comment(out,
              "Relative paths start at this file's directory. Durations: \"250ms\", \"5s\", \"10m\", \"1h\". "
              "Sizes: bytes, or \"256KiB\", \"1MiB\".");
  for (const auto& s : sections()) {
    out += '\n';
    add_comment(out, s.sentence);
    const std::string_view off = s.by_need ? "#" : "";
    out += fmt::format("{}{}\n", off, header(s));
    for (const auto* const row : rows_of(s.name)) {
      add_comment(out, fmt::format("{} ({}{})", row->sentence, describe(row->kind),
                                   row->takes_effect == effect::at_restart ? "; takes a restart" : ""));
      out += fmt::format("{}{} = {}\n", off, row->key, shown(*row));
    }
    if (s.name == "listen") {
      for (const auto& d : std::span{default_listeners}.subspan(1)) {
        out += fmt::format("\n{}\naddress = \"{}\"\nprotocol = \"{}\"\ntls = \"{}\"\n", header(s), d.address,
                           d.protocol, d.tls);
      }
    }
  }
  return out;
}

std::string manual_page() {
  std::string out =
      ".\\\" Made from the table of options in server/config/options.cpp; do not edit.\n"
      ".TH COMITY.TOML 5 \"2026-11-26\" \"Comity\" \"Comity Manual\"\n"
      ".SH NAME\n"
      "comity.toml \\- configuration of the XMPP server comityd\n"
      ".SH SYNOPSIS\n"
      ".I /etc/comity/comity.toml\n"
      ".SH DESCRIPTION\n"
      "The file is TOML 1.0 in UTF\\-8. A key that is left out keeps its default; a key or table that is not listed\n"
      "here is a fault.\n"
      ".B comityd \\-\\-check\\-config\n"
      "names every fault as\n"
      ".IR FILE : LINE : COLUMN\n"
      "with what would be right instead.\n"
      ".PP\n"
      "Relative paths start at the directory of the file.\n"
      "A duration is a string of digits and one of the units ms, s, m and h: \"250ms\", \"1h\".\n"
      "A size is a number of bytes, or a string of digits and one of the units KiB, MiB and GiB, or none: \"256KiB\".\n"
      "An address is numeric, with its port; IPv6 stands in brackets: \"[::1]:5222\".\n"
      ".PP\n"
      "On SIGHUP or\n"
      ".B comityctl reload\n"
      "the file is read again. With any fault, all of it is refused and what was in force stays. Keys marked\n"
      ".I restart\n"
      "keep their value until the next start; all others take effect at once, for connections opened from then on "
      "where\n"
      "they concern connections. Certificates are read again as well.\n";
  for (const auto& s : sections()) {
    out += fmt::format(".SH \"{}\"\n{}\n", roff(header(s)), roff(s.sentence));
    for (const auto* const row : rows_of(s.name)) {
      out += fmt::format(".TP\n.B {}\n{}\n.br\n", roff(row->key), roff(row->sentence));
      out += fmt::format("Takes {}.\n.br\n", roff(describe(row->kind)));
      const bool required = std::holds_alternative<std::monostate>(row->fallback);
      out += required ? std::string{"Required."} : fmt::format("Default: {}.", roff(written(row->fallback)));
      out += row->takes_effect == effect::at_restart ? " Change:\n.IR restart .\n" : "\n";
    }
  }
  out +=
      ".SH \"VALUES TOGETHER\"\n"
      "Domains are different from each other, and addresses do not overlap; [::] takes IPv4 in as well.\n";
  for (const auto& [smaller, larger] : ordered_pairs()) {
    out += fmt::format("{} is at most {}.\n", smaller, larger);
  }
  out +=
      ".SH FILES\n"
      ".TP\n"
      ".I /etc/comity/comity.toml\n"
      "The file that is read unless another is named.\n"
      ".SH EXAMPLE\n"
      "The least that is needed:\n"
      ".PP\n"
      ".EX\n";
  out += "[[host]]\n";
  for (const auto* const row : rows_of("host")) {
    out += fmt::format("{} = {}\n", roff(row->key), roff(row->example));
  }
  out +=
      ".EE\n"
      ".SH \"SEE ALSO\"\n"
      ".BR comityctl (1),\n"
      ".BR comity-causes (7),\n"
      ".BR comityd (8)\n";
  return out;
}

}  // namespace comity::config
