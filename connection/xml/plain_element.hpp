// connection/xml/plain_element.hpp: reads the XML that nearly all stanzas and headers are, without a general parser.
//
// Plain is a strict subset of XML 1.0 with namespaces: start and end tags of ASCII names without prefixes (but for
// xml:lang), attributes without references, text with no reference but the five predefined ones, UTF-8. Only what is
// certain is taken: whatever is not plain, well-formed or not, is left to expat, so nothing is ever refused here, and
// what is read here reads as expat would read it. Pure, any thread.
#pragma once

#include <string_view>

#include "connection/xml/document.hpp"

namespace comity::xml {

struct stream_header;

/// Reads one complete element, inside a root whose default namespace is `content_ns`, into `out`, which is empty. False
/// where it is not plain: `out` is to be cleared then.
[[nodiscard]] bool read_plain_element(std::string_view bytes, std::string_view content_ns, document& out);

/// The same of a stream header's start tag, with or without an XML declaration before it, into `out`, which is as new.
/// Its prefixes are declared in it, "stream" among them, and no attribute has one.
[[nodiscard]] bool read_plain_header(std::string_view bytes, stream_header& out);

}  // namespace comity::xml
