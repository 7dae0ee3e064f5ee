#include "server/http/message.hpp"

namespace comity::http {

std::string_view reason_phrase(unsigned status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Error";
  }
}

std::string serialise(const response& r, bool keep_alive, bool head_only) {
  std::string out = "HTTP/1.1 " + std::to_string(r.status);
  out.append(" ").append(reason_phrase(r.status)).append("\r\nContent-Type: ").append(r.content_type);
  out.append("\r\nContent-Length: ").append(std::to_string(r.body.size()));
  out.append("\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store");
  if (!r.allow.empty()) {
    out.append("\r\nAllow: ").append(r.allow);
  }
  out.append(keep_alive ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
  if (!head_only) {
    out += r.body;
  }
  return out;
}

}  // namespace comity::http
