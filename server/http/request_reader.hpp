// server/http/request_reader.hpp: bytes in, one request after another out (llhttp inside), bounded.
//
// Pure. Knows requests without a body only: GET and HEAD are all that is served. Belongs to one connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/message.hpp"

namespace comity::http {

class request_reader {
public:
  static constexpr std::size_t head_limit = 8192;  // request line and header fields together (THREATS G5)

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
