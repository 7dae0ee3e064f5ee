// connection/transport/websocket_reader.hpp: a peer's WebSocket frames in, the parts of its XML stream out (RFC 6455
// §5, RFC 7395 §3).
//
// Stands between the bytes and part_reader: holds frames against the rules, hands the text of messages on as it comes,
// remembers a ping until it is answered, and knows how the connection is to be closed. A message is held against the
// limit of one element by what its frames' headers announce, before anything of it is kept (THREATS A10). Pure; belongs
// to one stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "connection/transport/part_reader.hpp"
#include "connection/transport/websocket_frames.hpp"

namespace comity::connection {

class websocket_reader {
public:
  /// Works through `input` and returns how much of it was used: all, unless the taker stopped or the peer closed. What
  /// breaks a rule is told as a fault; behind it, and behind the peer's Close frame, only skip() may be called.
  std::size_t feed(std::string_view input, part_reader&, xml::parser&, xml::document&, part_taker&);
  /// Once our own Close frame is said: looks for the peer's and drops everything else.
  void skip(std::string_view input);

  /// The peer's Close frame has come (RFC 6455 §5.5.1): nothing follows it.
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  /// No Close frame is to be waited for: it has come, or what comes can be read no more.
  [[nodiscard]] bool over() const noexcept { return closed_ || broken_; }
  /// What our Close frame is to say.
  [[nodiscard]] websocket::close_code answer() const noexcept { return answer_; }
  /// What to say in a Pong frame: the payload of the newest Ping that has not been answered (RFC 6455 §5.5.3: the
  /// others need no answer). A peer that pings and does not read makes us hold 125 bytes.
  [[nodiscard]] std::optional<std::string> take_pong() noexcept { return std::exchange(pong_, std::nullopt); }
  [[nodiscard]] bool owes_pong() const noexcept { return pong_.has_value(); }
  /// Nothing is unfinished, and nothing held for it.
  [[nodiscard]] bool idle() const noexcept { return frames_.idle() && !inside_message_; }

private:
  [[nodiscard]] std::optional<part_fault> take(const websocket::piece&, part_reader&, xml::parser&, xml::document&,
                                               part_taker&);
  [[nodiscard]] std::optional<part_fault> break_off(websocket::close_code, part_fault = {});
  [[nodiscard]] std::optional<part_fault> begin(const websocket::piece&, std::size_t most);
  [[nodiscard]] std::optional<part_fault> take_control(const websocket::piece&);
  [[nodiscard]] std::optional<part_fault> take_close(std::string_view payload);

  websocket::frame_reader frames_;
  std::uint64_t message_size_ = 0;  // as announced so far
  std::string control_;             // the payload of a control frame that comes in pieces
  std::optional<std::string> pong_;
  websocket::close_code answer_ = websocket::close_code::normal;
  bool inside_message_ = false;  // a message has begun and its last frame has not ended
  bool closed_ = false;
  bool broken_ = false;
};

}  // namespace comity::connection
