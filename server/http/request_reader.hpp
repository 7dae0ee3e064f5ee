// server/http/request_reader.hpp: bytes in, one request after another out, bounded.
//
// Two readers that must agree: a scanner of lines, ours, which takes none of the line ends and continuations that old
// software took (two readers of one request that see two requests are how they are smuggled), and llhttp behind it,
// which reads what stands in the lines. Requests have no body: nothing that is served here takes one. Pure; belongs to
// one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "server/http/message.hpp"

namespace comity::http {

class request_reader {
public:
  static constexpr std::size_t head_limit = 8192;  // request line and header fields together (THREATS G5)
  static constexpr std::size_t field_limit = 100;  // header fields

  request_reader();
  ~request_reader();
  request_reader(const request_reader&) = delete;
  request_reader& operator=(const request_reader&) = delete;

  enum class outcome : std::uint8_t {
    need_more,  // all input used, no whole request yet
    complete,   // request() is there; feed the rest for the next one
    refused,    // refusal() says with which status; the connection is to be closed after it
  };
  struct progress {
    outcome what = outcome::need_more;
    std::size_t used = 0;  // bytes of the input
  };
  [[nodiscard]] progress feed(std::string_view input);
  /// The one that is complete; what is there of it after a refusal.
  [[nodiscard]] const http::request& request() const noexcept;
  [[nodiscard]] bool keep_alive() const noexcept;
  [[nodiscard]] unsigned refusal() const noexcept;
  /// Nothing of a request has come yet, not even the line ends that may stand before one (RFC 9112 §2.2).
  [[nodiscard]] bool idle() const noexcept;

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::http
