// connection/transport/part_reader.hpp: a peer's bytes in, the parts of its XML stream out (RFC 6120 §4.2).
//
// Framer and parser together. Keeps bytes only while a part is unfinished; parser and document are lent for each call.
// Pure but for that. Belongs to one stream.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "connection/errors.hpp"
#include "connection/xml/document.hpp"
#include "connection/xml/framer.hpp"
#include "connection/xml/parser.hpp"

namespace comity::connection {

/// Who takes the parts, one at a time, in order.
class part_taker {
public:
  virtual ~part_taker() = default;
  /// False: nothing more can be taken now (an answer is awaited, the stream has ended, TLS comes next).
  [[nodiscard]] virtual bool takes_parts() const = 0;
  virtual void take_header(xml::stream_header&&) = 0;
  /// The document is lent; it may be moved from.
  virtual void take_element(xml::document&) = 0;
  virtual void take_close() = 0;
  virtual void take_fault(stream_condition, bool too_big) = 0;
};

class part_reader {
public:
  explicit part_reader(xml::framer_limits limits) noexcept : framer_{limits} {}

  /// Works through `input` and returns how much of it was used: all, unless the taker stopped. After a fault nothing
  /// may be fed any more.
  std::size_t feed(std::string_view input, xml::parser&, xml::document&, part_taker&);

  /// A new stream on the same bytes (RFC 6120 §4.3.3).
  void restart();
  void limits(xml::framer_limits l) noexcept { framer_.limits(l); }

private:
  void take(xml::frame::kind, std::string_view bytes, xml::parser&, xml::document&, part_taker&);
  void take_header(std::string_view bytes, xml::parser&, part_taker&);

  xml::framer framer_;
  std::string unfinished_;                        // the part that has not ended yet
  std::string declaration_;                       // the XML declaration, until the header follows
  std::unique_ptr<xml::stream_context> context_;  // null: the common one
};

}  // namespace comity::connection
