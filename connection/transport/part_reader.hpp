// connection/transport/part_reader.hpp: a peer's bytes in, the parts of its XML stream out (RFC 6120 §4.2).
//
// Framer and parser together, of a stream over TCP or of one whose parts come in WebSocket messages (RFC 7395): a
// stream is fed by one of the two feeds alone. Keeps bytes only while a part is unfinished; parser and document are
// lent for each call. Pure but for that. Belongs to one stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
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

/// What is wrong with a message.
struct part_fault {
  stream_condition condition = stream_condition::bad_format;
  bool too_big = false;
  bool not_utf8 = false;
};

class part_reader {
public:
  explicit part_reader(xml::framer_limits limits) noexcept : framer_{limits} {}

  /// Works through `input` and returns how much of it was used: all, unless the taker stopped. After a fault nothing
  /// may be fed any more.
  std::size_t feed(std::string_view input, xml::parser&, xml::document&, part_taker&);

  /// Works through the next bytes of a message; `last`: with these it ends. Its element goes to the taker then, <open/>
  /// as the header, <close/> as the end. A fault is the caller's to tell; after one nothing may be fed any more.
  [[nodiscard]] std::optional<part_fault> feed_message(std::string_view bytes, bool last, xml::parser&, xml::document&,
                                                       part_taker&);

  /// A new stream on the same bytes (RFC 6120 §4.3.3).
  void restart();
  void limits(xml::framer_limits l) noexcept { framer_.limits(l); }
  [[nodiscard]] const xml::framer_limits& limits() const noexcept { return framer_.limits(); }

private:
  void take(xml::frame::kind, std::string_view bytes, xml::parser&, xml::document&, part_taker&);
  void take_header(std::string_view bytes, xml::parser&, part_taker&);
  [[nodiscard]] std::optional<part_fault> frame_message(std::string_view bytes);
  [[nodiscard]] std::optional<part_fault> take_message(std::string_view bytes, xml::parser&, xml::document&,
                                                       part_taker&);

  enum class message : std::uint8_t { none, begun, complete };  // complete: its element has ended, but not the message

  xml::framer framer_;
  std::string unfinished_;                        // the part that has not ended yet
  std::string declaration_;                       // the XML declaration, until the header follows
  std::unique_ptr<xml::stream_context> context_;  // null: the common one
  message message_ = message::none;
  bool framed_open_ = false;  // <open/> has come
};

}  // namespace comity::connection
