#include "connection/front/sniffer.hpp"

#include <algorithm>
#include <string>

namespace comity::connection {

namespace {

/// RFC 9110 §9.1: the registered methods are in capitals, and so are those that anybody uses.
bool begins_method(char c) {
  return c >= 'A' && c <= 'Z';
}

/// RFC 9112 §3: method SP request-target SP HTTP-version, and nothing that is no visible character in between.
sniffed request_line(std::string_view bytes) {
  const auto end = bytes.find('\n');
  if (end == std::string_view::npos) {
    return bytes.size() < request_line_most ? sniffed::needs_more : sniffed::other;
  }
  auto line = bytes.substr(0, end);
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  const bool divided = first != std::string_view::npos && last > first + 1 && line.find(' ', first + 1) == last;
  const bool known = line.ends_with(" HTTP/1.1") || line.ends_with(" HTTP/1.0");
  const bool visible = std::ranges::all_of(line, [](char c) { return c >= ' ' && c <= '~'; });
  return divided && known && visible && end < request_line_most ? sniffed::http : sniffed::other;
}

sniffed stream_header(std::string_view bytes, const xml::framer_limits& limits, xml::parser& parser) {
  xml::framer framer{limits};
  std::string header;
  while (!bytes.empty()) {
    const auto part = framer.feed(bytes);
    switch (part.what) {
      case xml::frame::kind::need_more:
        return sniffed::needs_more;
      case xml::frame::kind::whitespace:
        break;
      case xml::frame::kind::declaration:
        header.assign(bytes.substr(0, part.bytes));
        break;
      case xml::frame::kind::stream_open: {
        const auto read = parser.header(header.append(bytes.substr(0, part.bytes)));
        if (!read || read->ns != xml::ns_streams || read->name != "stream") {
          return sniffed::other;
        }
        return read->content_ns == xml::ns_client   ? sniffed::c2s
               : read->content_ns == xml::ns_server ? sniffed::s2s
                                                    : sniffed::other;
      }
      case xml::frame::kind::stanza:
      case xml::frame::kind::stream_close:
      case xml::frame::kind::error:
        return sniffed::other;
    }
    bytes.remove_prefix(part.bytes);
  }
  return sniffed::needs_more;
}

}  // namespace

sniffed sniff(std::string_view bytes, const xml::framer_limits& limits, xml::parser& parser) {
  if (bytes.empty()) {
    return sniffed::needs_more;
  }
  return begins_method(bytes[0]) ? request_line(bytes) : stream_header(bytes, limits, parser);
}

}  // namespace comity::connection
