// server/http/message.hpp: HTTP/1.1 requests and responses as values (RFC 9110, RFC 9112).
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace comity::http {

struct request {
  std::string method;  // "GET", "HEAD"
  std::string target;  // as sent: nothing is decoded or normalised
};

struct response {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string allow;  // with 405
};

/// The standard words of a status code: "OK", "Not Found".
[[nodiscard]] std::string_view reason_phrase(unsigned status) noexcept;

/// The bytes of a response. `head_only` leaves the body out and keeps its length (RFC 9110 §9.3.2).
[[nodiscard]] std::string serialise(const response&, bool keep_alive, bool head_only);

using handler = std::function<response(const request&)>;

}  // namespace comity::http
