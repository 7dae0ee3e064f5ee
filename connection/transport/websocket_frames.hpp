// connection/transport/websocket_frames.hpp: the frames of a WebSocket connection (RFC 6455 §5), the server's side.
//
// Reading is wslay's, by its frame layer: its event layer assembles messages before anybody can say how long they may
// be, and keeps eight kilobytes a connection. Here a frame's payload is handed on in the pieces it comes in, together
// with what its header said, so that limits are applied before a byte of it is kept; and wslay's four kilobytes are
// held only from a frame's first byte to its last. Writing is a header of two to ten octets before bytes that lie
// ready: nothing we send is masked, fragmented or extended. Pure; belongs to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct wslay_frame_context;

namespace comity::connection::websocket {

/// RFC 6455 §5.2; the others are reserved.
enum class opcode : std::uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

/// RFC 6455 §7.4.1, of those we send.
enum class close_code : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,  // what is no text
  invalid_data = 1007,      // text that is no UTF-8
  message_too_big = 1009,
};

// --- what we send ----------------------------------------------------------------------------------------------------

/// How long the header is before a payload of that size.
[[nodiscard]] std::size_t header_size(std::size_t payload) noexcept;
/// The header of a whole message, or of a control frame, whose payload of `payload` bytes follows.
void append_header(std::string& out, opcode, std::size_t payload);
/// A whole frame. A control frame's payload has at most 125 bytes (RFC 6455 §5.5).
[[nodiscard]] std::string frame(opcode, std::string_view payload);
/// A Close frame (RFC 6455 §5.5.1).
[[nodiscard]] std::string close_frame(close_code);

// --- what comes in ---------------------------------------------------------------------------------------------------

/// Some of one frame.
struct piece {
  enum class status : std::uint8_t {
    needs_more,  // all input was looked at
    payload,     // some of a frame's payload, with what its header said; perhaps none of it, where the frame has none
    malformed,   // no frame (RFC 6455 §5.2, §5.5); nothing can be fed any more
  };
  status is = status::needs_more;
  std::uint8_t opcode = 0;  // as sent: it may be a reserved one
  bool fin = false;         // the last frame of its message
  bool masked = false;
  bool reserved = false;   // one of the three reserved bits is set
  bool first = false;      // the first piece of its frame
  bool last = false;       // its last one
  std::uint64_t size = 0;  // of the whole frame's payload
  std::string_view bytes;  // unmasked; valid until the next call
};

class frame_reader {
public:
  frame_reader() noexcept;
  ~frame_reader();
  frame_reader(const frame_reader&) = delete;
  frame_reader& operator=(const frame_reader&) = delete;

  /// Takes what it can use off the head of `input`: never a byte that lies behind the frame it tells of.
  [[nodiscard]] piece next(std::string_view& input);
  /// Gives memory back where no frame is unfinished. Pieces are valid no more.
  void release() noexcept;
  /// Holds no memory: no frame is unfinished.
  [[nodiscard]] bool idle() const noexcept { return context_ == nullptr; }

private:
  struct context_free {
    void operator()(wslay_frame_context*) const noexcept;
  };
  void begin();
  /// What wslay calls for more.
  static std::ptrdiff_t give(std::uint8_t* into, std::size_t room, int flags, void* self);

  std::unique_ptr<wslay_frame_context, context_free> context_;
  std::string_view input_;  // during a call: what wslay may take
  std::size_t at_once_ = 0;
  std::uint64_t left_ = 0;  // of the payload, once its header is complete
  bool inside_ = false;     // the header is complete
};

}  // namespace comity::connection::websocket
