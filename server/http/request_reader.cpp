#include "server/http/request_reader.hpp"

#include <llhttp.h>

namespace comity::http {

struct request_reader::state {
  llhttp_settings_t settings{};
  llhttp_t parser{};
  http::request request;
  std::size_t head_bytes = 0;
  bool begun = false;
  bool complete = false;
  bool keep_alive = false;
  unsigned refusal = 400;

  state() {
    llhttp_settings_init(&settings);
    settings.on_message_begin = [](llhttp_t* p) {
      auto& s = *static_cast<state*>(p->data);
      s.request = {};
      s.begun = true;
      return 0;
    };
    settings.on_url = [](llhttp_t* p, const char* at, std::size_t size) {
      static_cast<state*>(p->data)->request.target.append(at, size);
      return 0;
    };
    settings.on_headers_complete = [](llhttp_t* p) -> int {
      auto& s = *static_cast<state*>(p->data);
      s.request.method = llhttp_method_name(static_cast<llhttp_method_t>(p->method));
      s.keep_alive = llhttp_should_keep_alive(p) != 0;
      if ((p->flags & F_TRANSFER_ENCODING) != 0 || p->upgrade != 0 || p->content_length != 0) {
        s.refusal = s.request.method == "GET" || s.request.method == "HEAD" ? 413 : 405;
        return -1;
      }
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
    s.begun = false;
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
  return !state_->begun;
}

}  // namespace comity::http
