// server/manual/causes.hpp: what each cause means and what to do about it: the manual's paragraph on each word that
// metrics, logs and `s2s explain` give as the reason of a failure.
//
// One table; `comityctl cause`, comity-causes(7) and README.md are made from it and from nothing else. A member of the
// enumeration without its paragraph does not compile. Pure.
#pragma once

#include <string>
#include <string_view>

#include "connection/vocabulary.hpp"

namespace comity::manual {

/// Sentences of plain text, without line ends.
struct cause_paragraph {
  std::string_view meaning;  // what was seen, and by whom
  std::string_view remedy;   // where to look, and what to change
};

[[nodiscard]] cause_paragraph paragraph(connection::cause) noexcept;

/// comity-causes(7).
[[nodiscard]] std::string cause_manual_page();
/// The part of README.md: a heading for each word, which is the anchor that links name, and its paragraph.
[[nodiscard]] std::string cause_chapter();

}  // namespace comity::manual
