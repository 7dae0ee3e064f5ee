// connection/transport/send_queue.hpp: what waits to be written to one peer, bounded.
//
// Stanzas are held by reference until the moment they are written, so one sent to a thousand peers exists once; by the
// stream's framing each then becomes a WebSocket message. Pure; belongs to one connection.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "connection/stanza.hpp"
#include "connection/stream_framing.hpp"

namespace comity::connection {

class send_queue {
public:
  explicit send_queue(std::size_t limit, stream_framing framing = stream_framing::tcp) noexcept
      : limit_{limit}, framing_{framing} {}

  /// False, and nothing queued, when more than the limit would wait (the reader is too slow).
  [[nodiscard]] bool push(stanza_ref stanza);
  /// Bytes of our own (headers, nonzas, errors), framed already, are never refused: they are few and end with the
  /// stream. `apart`: what is pushed after them is given by another next().
  void push(std::string_view bytes, bool apart = false);

  [[nodiscard]] bool empty() const noexcept { return unsent_.empty() && items_.empty(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  /// The next bytes to write, gathered from what is queued, up to about `at_most` of them; "" when there are none. They
  /// stay valid, and the same bytes come first again, until written() takes them off. `scratch` is a buffer to gather
  /// in.
  [[nodiscard]] std::string_view next(std::string& scratch, std::size_t at_most);
  /// `count` of the bytes that next() gave are on their way; the rest is kept.
  void written(std::string_view given, std::size_t count);

  /// Takes out the stanzas of which not a byte has been given to the socket, in their order. What is left is written as
  /// if they had never been there.
  [[nodiscard]] std::vector<stanza_ref> take_unstarted();
  /// Forgets all that has not begun to be written (a stanza begun is finished, so that what follows is well-formed).
  void drop_unstarted();
  /// Gives memory back.
  void shrink();

private:
  struct item {
    stanza_ref stanza;
    std::string bytes;  // where there is no stanza
    bool last = false;  // of what one next() gives
  };
  [[nodiscard]] std::size_t size_of(const comity::stanza&) const noexcept;

  std::size_t limit_;
  stream_framing framing_;
  std::size_t bytes_ = 0;
  std::string unsent_;  // gathered, but not taken by the socket
  std::vector<item> items_;
};

}  // namespace comity::connection
