#include "server/http/request_reader.hpp"

#include <llhttp.h>

#include <algorithm>

namespace comity::http {

namespace {

bool is_host(std::string_view field) {
  constexpr std::string_view name = "host";
  return std::ranges::equal(field, name, [](char a, char b) { return (static_cast<unsigned char>(a) | 0x20U) == b; });
}

}  // namespace

struct request_reader::state {
  llhttp_settings_t settings{};
  llhttp_t parser{};
  http::request request;
  std::size_t head_bytes = 0;
  std::string field;   // the name of the header field that is coming in
  unsigned hosts = 0;  // Host fields
  bool complete = false;
  bool keep_alive = false;
  unsigned refusal = 400;

  state() {
    llhttp_settings_init(&settings);
    settings.on_message_begin = [](llhttp_t* p) {
      auto& s = *static_cast<state*>(p->data);
      s.request = {};
      s.hosts = 0;
      return 0;
    };
    settings.on_url = [](llhttp_t* p, const char* at, std::size_t size) {
      static_cast<state*>(p->data)->request.target.append(at, size);
      return 0;
    };
    settings.on_header_field = [](llhttp_t* p, const char* at, std::size_t size) {
      static_cast<state*>(p->data)->field.append(at, size);
      return 0;
    };
    settings.on_header_field_complete = [](llhttp_t* p) {
      auto& s = *static_cast<state*>(p->data);
      s.hosts += is_host(s.field) ? 1U : 0U;
      s.field.clear();
      return 0;
    };
    settings.on_headers_complete = [](llhttp_t* p) -> int {
      auto& s = *static_cast<state*>(p->data);
      s.request.method = llhttp_method_name(static_cast<llhttp_method_t>(p->method));
      s.keep_alive = llhttp_should_keep_alive(p) != 0;
      // RFC 9112 §3.2: one Host field, which only HTTP/1.0 may leave out.
      if (s.hosts > 1 || (s.hosts == 0 && (p->http_major > 1 || p->http_minor > 0))) {
        s.refusal = 400;
        return -1;
      }
      if (p->method == HTTP_CONNECT || (p->flags & F_TRANSFER_ENCODING) != 0 || p->content_length != 0) {
        s.refusal = p->method == HTTP_GET || p->method == HTTP_HEAD ? 413 : 405;
        return -1;
      }
      p->upgrade = 0;  // RFC 9110 §7.8: an offer to speak otherwise may be ignored
      return 0;
    };
    settings.on_message_complete = [](llhttp_t* p) -> int {
      static_cast<state*>(p->data)->complete = true;
      return HPE_PAUSED;  // one request at a time
    };
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = this;
  }
};

request_reader::request_reader() : state_{std::make_unique<state>()} {
}
request_reader::~request_reader() = default;

request_reader::progress request_reader::feed(std::string_view input) {
  auto& s = *state_;
  s.complete = false;
  // A head over the limit is refused at the first byte too many, whatever the pieces it comes in.
  const auto room = head_limit - s.head_bytes;
  const auto allowed = input.substr(0, room);
  const auto error = llhttp_execute(&s.parser, allowed.data(), allowed.size());
  if (error == HPE_PAUSED && s.complete) {
    const auto used = static_cast<std::size_t>(llhttp_get_error_pos(&s.parser) - allowed.data());
    llhttp_resume(&s.parser);
    s.head_bytes = 0;
    return {outcome::complete, used};
  }
  if (error != HPE_OK) {
    if (error != HPE_CB_HEADERS_COMPLETE && error != HPE_USER) {
      s.refusal = 400;
    }
    return {outcome::refused, input.size()};
  }
  s.head_bytes += allowed.size();
  if (allowed.size() < input.size()) {
    s.refusal = 431;
    return {outcome::refused, input.size()};
  }
  return {outcome::need_more, input.size()};
}

const http::request& request_reader::request() const noexcept {
  return state_->request;
}
bool request_reader::keep_alive() const noexcept {
  return state_->keep_alive;
}
unsigned request_reader::refusal() const noexcept {
  return state_->refusal;
}
bool request_reader::idle() const noexcept {
  return state_->head_bytes == 0;
}

}  // namespace comity::http
