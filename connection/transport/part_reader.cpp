#include "connection/transport/part_reader.hpp"

#include <utility>

namespace comity::connection {

std::size_t part_reader::feed(std::string_view input, xml::parser& parser, xml::document& document, part_taker& taker) {
  std::size_t used = 0;
  while (used < input.size() && taker.takes_parts()) {
    const auto part = framer_.feed(input.substr(used));
    if (part.what == xml::frame::kind::need_more) {
      unfinished_.append(input.substr(used));
      return input.size();
    }
    if (part.what == xml::frame::kind::error) {
      unfinished_ = {};
      taker.take_fault(part.condition, part.too_big);
      return input.size();
    }
    const auto fresh = input.substr(used, part.bytes);
    used += part.bytes;
    if (unfinished_.empty()) {
      take(part.what, fresh, parser, document, taker);
    } else {
      const auto whole = std::exchange(unfinished_, {}).append(fresh);
      take(part.what, whole, parser, document, taker);
    }
  }
  return used;
}

void part_reader::take(xml::frame::kind what, std::string_view bytes, xml::parser& parser, xml::document& document,
                       part_taker& taker) {
  static const xml::stream_context common{std::string{xml::ns_client}, {}};
  using enum xml::frame::kind;
  switch (what) {
    case declaration:
      declaration_.assign(bytes);
      return;
    case stream_open:
      return take_header(std::exchange(declaration_, {}).append(bytes), parser, taker);
    case stanza: {
      const auto parsed = parser.element(bytes, context_ ? *context_ : common, document);
      return parsed ? taker.take_element(document) : taker.take_fault(parsed.error(), false);
    }
    case stream_close:
      return taker.take_close();
    case whitespace:  // a keep-alive (RFC 6120 §4.6.1)
    case need_more:
    case error:
      return;
  }
}

void part_reader::take_header(std::string_view bytes, xml::parser& parser, part_taker& taker) {
  auto header = parser.header(bytes);
  if (!header) {
    return taker.take_fault(header.error(), false);
  }
  auto context = xml::context_of(*header);
  context_ = context.common() && context.content_ns == xml::ns_client
                 ? nullptr
                 : std::make_unique<xml::stream_context>(std::move(context));
  taker.take_header(std::move(*header));
}

void part_reader::restart() {
  framer_.restart();
  unfinished_ = {};
  declaration_ = {};
  context_.reset();
}

}  // namespace comity::connection
