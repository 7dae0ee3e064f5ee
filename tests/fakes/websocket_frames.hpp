// tests/fakes/websocket_frames.hpp: a WebSocket client's frames, right ones and wrong ones, and a server's, read back.
// Of its own hand, so that nothing of ours is held against itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace comity::fakes {

namespace ws {
inline constexpr unsigned continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10;
}

struct frame_making {
  unsigned opcode = ws::text;
  bool fin = true;
  bool masked = true;
  unsigned reserved = 0;                                  // three bits
  std::optional<std::uint64_t> announced = std::nullopt;  // a size that is not the payload's
  unsigned length_octets = 0;                             // 2 or 8: longer than it must be
};

inline std::string client_frame(std::string_view payload, frame_making how = {}) {
  std::string out;
  out += static_cast<char>((how.fin ? 0x80U : 0U) | (how.reserved << 4U) | how.opcode);
  const std::uint64_t size = how.announced.value_or(payload.size());
  const unsigned octets = how.length_octets != 0 ? how.length_octets : size < 126 ? 0 : size < 65536 ? 2 : 8;
  const unsigned mask_bit = how.masked ? 0x80U : 0U;
  out += static_cast<char>(mask_bit | (octets == 0 ? static_cast<unsigned>(size) : octets == 2 ? 126U : 127U));
  for (unsigned i = octets; i-- > 0;) {
    out += static_cast<char>((size >> (8U * i)) & 0xffU);
  }
  constexpr std::array<char, 4> key{'\x1a', '\x2b', '\x3c', '\x4d'};
  if (how.masked) {
    out.append(key.data(), key.size());
  }
  for (std::size_t i = 0; i < payload.size(); ++i) {
    out += how.masked ? static_cast<char>(payload[i] ^ key.at(i % key.size())) : payload[i];
  }
  return out;
}

inline std::string control(unsigned opcode, std::string_view payload = {}) {
  return client_frame(payload, {.opcode = opcode});
}

/// The payload of a Close frame.
inline std::string closing(unsigned code, std::string_view reason = {}) {
  return std::string{static_cast<char>(code >> 8U), static_cast<char>(code & 0xffU)}.append(reason);
}

/// One frame of the server.
struct server_frame {
  unsigned opcode = 0;
  bool fin = false;
  bool masked = false;
  unsigned reserved = 0;
  std::string payload;
  /// Of a Close frame, 0 where there is none.
  [[nodiscard]] unsigned code() const {
    return payload.size() < 2 ? 0U
                              : (static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8U) |
                                    static_cast<unsigned char>(payload[1]);
  }
};

/// Takes a frame off the head of `bytes`; nullopt where it is not whole.
inline std::optional<server_frame> take_frame(std::string& bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (bytes.size() < 2) {
    return std::nullopt;
  }
  server_frame f{.opcode = at(0) & 15U,
                 .fin = (at(0) & 0x80U) != 0,
                 .masked = (at(1) & 0x80U) != 0,
                 .reserved = (at(0) >> 4U) & 7U,
                 .payload = {}};
  std::uint64_t size = at(1) & 0x7fU;
  const std::size_t octets = size == 126 ? 2 : size == 127 ? 8 : 0;
  if (bytes.size() < 2 + octets) {
    return std::nullopt;
  }
  if (octets != 0) {
    size = 0;
    for (std::size_t i = 0; i < octets; ++i) {
      size = (size << 8U) | at(2 + i);
    }
  }
  if (bytes.size() < 2 + octets + size) {
    return std::nullopt;
  }
  f.payload = bytes.substr(2 + octets, size);
  bytes.erase(0, 2 + octets + size);
  return f;
}

}  // namespace comity::fakes
