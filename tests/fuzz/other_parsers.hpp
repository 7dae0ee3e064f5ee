// tests/fuzz/other_parsers.hpp: what others make of XML that we wrote: expat's reading and libxml2's, as one text each,
// to be held against ours (THREATS A4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "connection/xml/document.hpp"

namespace comity::fuzz {

/// An element with its namespaces, attributes, character data and children, as text that says all of them.
[[nodiscard]] std::string tree_of(xml::element);
/// The same of a document as these read it; nullopt where they refuse it.
[[nodiscard]] std::optional<std::string> tree_by_expat(std::string_view document);
[[nodiscard]] std::optional<std::string> tree_by_libxml2(std::string_view document);

}  // namespace comity::fuzz
