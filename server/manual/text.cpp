#include "server/manual/text.hpp"

namespace comity::manual {

std::string roff(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) {
    out += "\\&";
  }
  for (const char c : text) {
    switch (c) {
      case '\\':
        out += "\\e";
        break;
      case '-':
        out += "\\-";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string wrapped(std::string_view text, std::size_t columns, std::string_view indent) {
  std::string out;
  std::string line;
  while (!text.empty()) {
    const auto space = text.find(' ');
    const auto word = text.substr(0, space);
    if (!line.empty() && indent.size() + line.size() + 1 + word.size() > columns) {
      out.append(indent).append(line) += '\n';
      line.clear();
    }
    line.append(line.empty() ? "" : " ").append(word);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  }
  if (!line.empty()) {
    out.append(indent).append(line) += '\n';
  }
  return out;
}

}  // namespace comity::manual
