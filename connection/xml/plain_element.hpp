// connection/xml/plain_element.hpp: reads the XML that nearly all stanzas are, without a general parser.
//
// Plain is a strict subset of XML 1.0 with namespaces: start and end tags of ASCII names without prefixes (but for
// xml:lang), attributes without references, text with no reference but the five predefined ones, UTF-8. Only what is
// certain is taken: whatever is not plain, well-formed or not, is left to expat, so nothing is ever refused here, and
// what is read here reads as expat would read it. Pure, any thread.
#pragma once

#include <string_view>

#include "connection/xml/document.hpp"

namespace comity::xml {

/// Reads one complete element, inside a root whose default namespace is `content_ns`, into `out`, which is empty. False
/// where it is not plain: `out` is to be cleared then.
[[nodiscard]] bool read_plain_element(std::string_view bytes, std::string_view content_ns, document& out);

}  // namespace comity::xml
