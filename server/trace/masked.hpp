// server/trace/masked.hpp: what of a stream an operator may see. Pure.
//
// Never shown, whatever was asked for: what SASL carries (RFC 6120 §6, XEP-0388, XEP-0484), dialback keys (XEP-0220),
// passwords and tokens wherever they stand (XEP-0077, XEP-0078, private fields of XEP-0004). Shown only where it was
// asked for: the character data of stanzas, which is what people say to each other. Elements, attributes and how long
// the rest is are always there (THREATS G8).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace comity::trace {

struct masking {
  bool bodies = false;      // character data of stanzas is shown
  std::size_t most = 8192;  // bytes of XML that are looked at; the rest is told by an ellipsis
};

/// `xml` is whole parts of a stream as this server writes them. One line, fit for a terminal: what it would obey is
/// escaped. What cannot be read is not shown.
[[nodiscard]] std::string masked(std::string_view xml, masking = {});

}  // namespace comity::trace
