#include "server/element_limits.hpp"

#include <algorithm>

namespace comity::server {

namespace {

constexpr std::uint32_t unauthenticated_elements = 32;

}  // namespace

xml::framer_limits authenticated_limits(const config::limit_settings& l, std::size_t stanza_bytes) {
  xml::framer_limits f;
  f.stanza_bytes = stanza_bytes;
  f.depth = l.stanza_depth;
  f.elements = l.stanza_elements;
  f.attributes = l.element_attributes;
  return f;
}

xml::framer_limits unauthenticated_limits(const config::limit_settings& l) {
  auto f = authenticated_limits(l, l.unauthenticated_bytes);
  f.elements = std::min(unauthenticated_elements, l.stanza_elements);
  return f;
}

}  // namespace comity::server
