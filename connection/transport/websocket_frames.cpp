#include "connection/transport/websocket_frames.hpp"

#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace comity::connection::websocket {

namespace {

constexpr std::size_t fits_in_seven_bits = 125;
constexpr std::size_t fits_in_sixteen_bits = 0xffff;
constexpr std::uint8_t sixteen_bits_follow = 126;
constexpr std::uint8_t sixty_four_bits_follow = 127;
constexpr std::uint8_t final_frame = 0x80;

void append_big_endian(std::string& out, std::uint64_t number, unsigned octets) {
  while (octets-- > 0) {
    out += static_cast<char>((number >> (8U * octets)) & 0xffU);
  }
}

}  // namespace

std::size_t header_size(std::size_t payload) noexcept {
  return payload <= fits_in_seven_bits ? 2 : payload <= fits_in_sixteen_bits ? 4 : 10;
}

void append_header(std::string& out, opcode what, std::size_t payload) {
  out += static_cast<char>(final_frame | std::to_underlying(what));
  if (payload <= fits_in_seven_bits) {
    out += static_cast<char>(payload);
  } else if (payload <= fits_in_sixteen_bits) {
    out += static_cast<char>(sixteen_bits_follow);
    append_big_endian(out, payload, 2);
  } else {
    out += static_cast<char>(sixty_four_bits_follow);
    append_big_endian(out, payload, 8);
  }
}

std::string frame(opcode what, std::string_view payload) {
  std::string out;
  out.reserve(header_size(payload.size()) + payload.size());
  append_header(out, what, payload.size());
  out += payload;
  return out;
}

std::string close_frame(close_code code) {
  std::string out;
  append_header(out, opcode::close, 2);
  append_big_endian(out, std::to_underlying(code), 2);
  return out;
}

void frame_reader::context_free::operator()(wslay_frame_context* context) const noexcept {
  wslay_frame_context_free(context);
}

frame_reader::frame_reader() noexcept = default;
frame_reader::~frame_reader() = default;

std::ptrdiff_t frame_reader::give(std::uint8_t* into, std::size_t room, int /*flags*/, void* self) {
  auto& reader = *static_cast<frame_reader*>(self);
  const auto size = std::min({room, reader.input_.size(), reader.at_once_});
  if (size == 0) {
    return -1;
  }
  std::memcpy(into, reader.input_.data(), size);
  reader.input_.remove_prefix(size);
  return static_cast<std::ptrdiff_t>(size);
}

void frame_reader::begin() {
  static constexpr wslay_frame_callbacks callbacks{
      .send_callback = nullptr, .recv_callback = give, .genmask_callback = nullptr};
  wslay_frame_context* made = nullptr;
  if (wslay_frame_context_init(&made, &callbacks, this) != 0) {
    throw std::bad_alloc{};
  }
  context_.reset(made);
}

void frame_reader::release() noexcept {
  if (inside_ && left_ == 0) {
    inside_ = false;
    context_.reset();
  }
}

piece frame_reader::next(std::string_view& input) {
  piece found;
  if (input.empty()) {
    return found;
  }
  if (inside_ && left_ == 0) {
    inside_ = false;  // the frame before has ended, and what it was read with is as new
  }
  if (context_ == nullptr) {
    begin();
  }
  // wslay reads ahead as far as it is let, and what lies behind the frame is not to be taken. So it gets a header octet
  // by octet, up to the first octet of the payload, which makes it tell the header; and then the payload and no more.
  wslay_frame_iocb read{};
  ssize_t got = WSLAY_ERR_WANT_READ;
  input_ = input;
  do {
    at_once_ = inside_ ? static_cast<std::size_t>(left_) : 1;
    got = wslay_frame_recv(context_.get(), &read);
  } while (got == WSLAY_ERR_WANT_READ && !input_.empty());
  input = std::exchange(input_, {});
  if (got == WSLAY_ERR_WANT_READ) {
    return found;
  }
  if (got < 0) {
    found.is = piece::status::malformed;
    return found;
  }
  found.first = !std::exchange(inside_, true);
  if (found.first) {
    left_ = read.payload_length;
  }
  left_ -= read.data_length;
  found.is = piece::status::payload;
  found.opcode = read.opcode;
  found.fin = read.fin != 0;
  found.masked = read.mask != 0;
  found.reserved = read.rsv != 0;
  found.last = left_ == 0;
  found.size = read.payload_length;
  found.bytes = {reinterpret_cast<const char*>(read.data), read.data_length};
  return found;
}

}  // namespace comity::connection::websocket
