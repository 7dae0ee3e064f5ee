#include "connection/transport/websocket_reader.hpp"

#include <utility>

#include "connection/utf8.hpp"

namespace comity::connection {

namespace {

using websocket::close_code;
using websocket::opcode;
using websocket::piece;

constexpr std::uint8_t control_bit = 8;  // RFC 6455 §5.5

constexpr std::size_t close_code_size = 2;

/// RFC 6455 §7.4: what may stand in a Close frame.
bool may_be_sent(unsigned code) noexcept {
  constexpr unsigned reserved = 1004;
  constexpr unsigned no_status = 1005;
  constexpr unsigned abnormal = 1006;
  constexpr unsigned last_registered = 1014;
  return (code >= 1000 && code <= last_registered && code != reserved && code != no_status && code != abnormal) ||
         (code >= 3000 && code <= 4999);
}

}  // namespace

std::size_t websocket_reader::feed(std::string_view input, part_reader& reader, xml::parser& parser,
                                   xml::document& document, part_taker& taker) {
  auto rest = input;
  while (!rest.empty() && !over() && taker.takes_parts()) {
    const auto found = frames_.next(rest);
    if (found.is == piece::status::needs_more) {
      break;
    }
    auto fault = found.is == piece::status::malformed ? break_off(close_code::protocol_error)
                                                      : take(found, reader, parser, document, taker);
    if (fault) {
      taker.take_fault(fault->condition, fault->too_big);
      break;
    }
  }
  frames_.release();
  return input.size() - rest.size();
}

void websocket_reader::skip(std::string_view input) {
  while (!input.empty() && !over()) {
    const auto found = frames_.next(input);
    if (found.is == piece::status::malformed) {
      broken_ = true;
    } else if (found.is == piece::status::payload && found.opcode == std::to_underlying(opcode::close)) {
      closed_ = true;
    }
  }
  frames_.release();
}

std::optional<part_fault> websocket_reader::take(const piece& p, part_reader& reader, xml::parser& parser,
                                                 xml::document& document, part_taker& taker) {
  if (p.first) {
    if (auto fault = begin(p, reader.limits().stanza_bytes)) {
      return fault;
    }
  }
  if ((p.opcode & control_bit) != 0) {
    return take_control(p);
  }
  const bool ends = p.last && p.fin;
  inside_message_ = !ends;
  auto fault = reader.feed_message(p.bytes, ends, parser, document, taker);
  if (!fault) {
    return fault;
  }
  // The frames are well: the peer is told by its stream what was wrong, and its Close frame is awaited.
  answer_ = fault->too_big ? close_code::message_too_big : fault->not_utf8 ? close_code::invalid_data : answer_;
  return fault;
}

/// A frame's header against RFC 6455 §5.1, §5.2 and §5.4.
std::optional<part_fault> websocket_reader::begin(const piece& p, std::size_t most) {
  // RFC 6455 §5.1: a client masks; §5.2: no extension was negotiated that could give those bits a meaning.
  if (!p.masked || p.reserved) {
    return break_off(close_code::protocol_error);
  }
  switch (static_cast<opcode>(p.opcode)) {
    case opcode::text:
      if (inside_message_) {
        return break_off(close_code::protocol_error);
      }
      message_size_ = 0;
      break;
    case opcode::continuation:
      if (!inside_message_) {
        return break_off(close_code::protocol_error);
      }
      break;
    case opcode::binary:  // RFC 7395 §3.2: text alone
      return break_off(inside_message_ ? close_code::protocol_error : close_code::unsupported_data);
    case opcode::close:
    case opcode::ping:
    case opcode::pong:
      return std::nullopt;
    default:
      return break_off(close_code::protocol_error);
  }
  if (message_size_ + p.size > most) {
    return break_off(close_code::message_too_big, {.condition = stream_condition::policy_violation, .too_big = true});
  }
  message_size_ += p.size;
  return std::nullopt;
}

/// RFC 6455 §7.1.7: no frame of the peer is looked at any more.
std::optional<part_fault> websocket_reader::break_off(close_code why, part_fault fault) {
  answer_ = why;
  broken_ = true;
  return fault;
}

std::optional<part_fault> websocket_reader::take_control(const piece& p) {
  control_ += p.bytes;
  if (!p.last) {
    return std::nullopt;
  }
  auto payload = std::exchange(control_, {});
  if (p.opcode == std::to_underlying(opcode::close)) {
    return take_close(payload);
  }
  if (p.opcode == std::to_underlying(opcode::ping)) {
    pong_ = std::move(payload);
  }
  return std::nullopt;  // RFC 6455 §5.5.3: a Pong that nobody asked for is none to answer
}

std::optional<part_fault> websocket_reader::take_close(std::string_view payload) {
  closed_ = true;
  if (payload.empty()) {
    return std::nullopt;
  }
  if (payload.size() < close_code_size) {
    return break_off(close_code::protocol_error);
  }
  const auto code = (static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8U) |
                    static_cast<unsigned>(static_cast<unsigned char>(payload[1]));
  if (!may_be_sent(code)) {
    return break_off(close_code::protocol_error);
  }
  if (judge_utf8(payload.substr(close_code_size)) != utf8::valid) {
    return break_off(close_code::invalid_data);
  }
  answer_ = static_cast<close_code>(code);  // RFC 6455 §5.5.1: echoed
  return std::nullopt;
}

}  // namespace comity::connection
