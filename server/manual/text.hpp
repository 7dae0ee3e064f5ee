// server/manual/text.hpp: text as the macros of manual pages have it, and in lines of a width. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace comity::manual {

/// `text` as it stands on a line of its own in a manual page: its hyphens, backslashes and leading control characters
/// are taken literally.
[[nodiscard]] std::string roff(std::string_view text);

/// `text` broken at its spaces into lines of at most `columns` columns (bytes), `indent` before each; a word that is
/// longer stands alone. Each line ends in a line end.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t columns, std::string_view indent);

}  // namespace comity::manual
