#include "connection/transport/part_reader.hpp"

#include <algorithm>
#include <utility>

#include "connection/stream_framing.hpp"
#include "connection/utf8.hpp"

namespace comity::connection {

namespace {

/// <open/> is a stream header with other names (RFC 7395 §3.3.1).
xml::stream_header header_of(const xml::element& open) {
  xml::stream_header h;
  h.name = open.name();
  h.ns = open.ns();
  h.content_ns = open.ns();
  const auto read = [&](std::string_view name, std::string& into) {
    const auto value = open.attribute(name);
    into = value.value_or(std::string_view{});
    return value.has_value();
  };
  h.has_to = read("to", h.to);
  h.has_from = read("from", h.from);
  h.has_version = read("version", h.version);
  read("id", h.id);
  h.lang = open.attribute("lang", xml::ns_xml).value_or(std::string_view{});
  return h;
}

}  // namespace

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

// --- messages --------------------------------------------------------------------------------------------------------

std::optional<part_fault> part_reader::feed_message(std::string_view bytes, bool last, xml::parser& parser,
                                                    xml::document& document, part_taker& taker) {
  if (auto fault = frame_message(bytes)) {
    unfinished_ = {};
    return fault;
  }
  if (!last) {
    return std::nullopt;
  }
  const auto whole = std::exchange(unfinished_, {});
  switch (std::exchange(message_, message::none)) {
    case message::none:
      return part_fault{};  // nothing at all
    case message::begun:
      return part_fault{.condition = stream_condition::not_well_formed, .not_utf8 = judge_utf8(whole) != utf8::valid};
    case message::complete:
      break;
  }
  return take_message(whole, parser, document, taker);
}

/// Finds the one element and keeps it.
std::optional<part_fault> part_reader::frame_message(std::string_view bytes) {
  if (message_ == message::none && !bytes.empty()) {
    if (bytes.front() != '<') {
      return part_fault{};  // RFC 7395 §3.3.3, and so no white space for a keep-alive (§3.8)
    }
    framer_.begin_document();
    message_ = message::begun;
  }
  while (!bytes.empty()) {
    if (message_ == message::complete) {
      // Behind its element a document may hold white space; another element is for another message.
      return bytes.find_first_not_of(" \t\r\n") == std::string_view::npos ? std::nullopt : std::optional{part_fault{}};
    }
    const auto part = framer_.feed(bytes);
    if (part.what == xml::frame::kind::error) {
      const bool not_utf8 = part.condition == stream_condition::not_well_formed &&
                            judge_utf8(unfinished_.append(bytes.substr(0, part.bytes))) == utf8::invalid;
      return part_fault{.condition = part.condition, .too_big = part.too_big, .not_utf8 = not_utf8};
    }
    const auto fresh =
        part.what == xml::frame::kind::need_more ? std::exchange(bytes, {}) : bytes.substr(0, part.bytes);
    bytes.remove_prefix(std::min(bytes.size(), fresh.size()));
    if (part.what != xml::frame::kind::whitespace) {
      unfinished_ += fresh;
    }
    if (part.what == xml::frame::kind::declaration) {
      declaration_ = std::exchange(unfinished_, {});
    } else if (part.what == xml::frame::kind::stanza) {
      message_ = message::complete;
    }
  }
  return std::nullopt;
}

std::optional<part_fault> part_reader::take_message(std::string_view bytes, xml::parser& parser,
                                                    xml::document& document, part_taker& taker) {
  static const xml::stream_context bare{.content_ns = {}, .namespaces = {}, .binds_stream = false};
  if (!declaration_.empty()) {  // RFC 7395 §3.3.3: not recommended, but no fault
    const auto declared = parser.header(std::exchange(declaration_, {}) + "<document>");
    if (!declared) {
      return part_fault{.condition = declared.error()};
    }
  }
  if (const auto parsed = parser.element(bytes, bare, document); !parsed) {
    return part_fault{.condition = parsed.error(), .not_utf8 = judge_utf8(bytes) != utf8::valid};
  }
  const auto root = document.root();
  const bool framing = root.ns() == ns_framing;
  const bool header = root.name() == "open";
  if (framing && root.name() == "close") {
    taker.take_close();
  } else if (!std::exchange(framed_open_, true)) {
    taker.take_header(header_of(root));  // whatever it is, it stands where <open/> must (RFC 7395 §3.4)
  } else if (!framing && (header || root.name() == "close")) {
    return part_fault{.condition = stream_condition::invalid_namespace};  // RFC 7395 §3.3.2
  } else if (header) {
    return part_fault{};  // RFC 7395 §3.4: one stream at a time (THREATS A8)
  } else {
    taker.take_element(document);
  }
  return std::nullopt;
}

void part_reader::restart() {
  framer_.restart();
  unfinished_ = {};
  declaration_ = {};
  context_.reset();
  message_ = message::none;
  framed_open_ = false;
}

}  // namespace comity::connection
