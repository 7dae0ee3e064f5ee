#include "server/http/request_reader.hpp"

#include <llhttp.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace comity::http {

namespace {

/// The lines of one head, from the line ends before it (RFC 9112 §2.2) to the empty one behind it.
class head_lines {
public:
  enum class verdict : std::uint8_t { more, end, malformed, too_many };

  /// Looks at bytes one by one; how many were looked at is added to `used`.
  verdict scan(std::string_view bytes, std::size_t& used) {
    for (const char c : bytes) {
      ++used;
      if (const auto told = take(c); told != verdict::more) {
        return told;
      }
    }
    return verdict::more;
  }

private:
  verdict take(char c) {
    if (c == '\n') {
      return returned_ ? end_line() : verdict::malformed;  // RFC 9112 §2.2: we need no LF alone to end a line…
    }
    if (returned_) {
      return verdict::malformed;  // …and a CR alone is never one
    }
    if (c == '\r') {
      returned_ = true;
      return verdict::more;
    }
    // RFC 9112 §2.2, §5.2: no white space before the first field, and no field that goes on in the next line. §5.1:
    // each has a name, which llhttp does not ask for.
    if (size_++ == 0 && lines_ > 0 && (c == ' ' || c == '\t' || c == ':')) {
      return verdict::malformed;
    }
    return verdict::more;
  }

  verdict end_line() {
    returned_ = false;
    if (std::exchange(size_, 0) == 0) {
      return lines_ == 0 ? verdict::more : verdict::end;
    }
    return ++lines_ > request_reader::field_limit + 1 ? verdict::too_many : verdict::more;
  }

  std::size_t lines_ = 0, size_ = 0;
  bool returned_ = false;  // a CR came
};

void lower(std::string& name) {
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
}

/// Splits a target in what it is for; false where it is no target. RFC 9112 §3.2.1: the path itself; §3.2.2: all of the
/// URL, whose authority then is that of the request; §3.2.4: "*".
bool split_target(request& r) {
  std::string_view target = r.target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() >= scheme.size() && same_token(target.substr(0, scheme.size()), scheme)) {
      target.remove_prefix(scheme.size());
      r.authority = target.substr(0, target.find_first_of("/?#"));
      target.remove_prefix(r.authority.size());
      if (r.authority.empty() || !read_authority(r.authority)) {
        return false;
      }
      target = target.starts_with('/') ? target : std::string_view{"/"};
      break;
    }
  }
  r.path = target.substr(0, target.find('?'));
  return r.path.starts_with('/') || r.path == "*";
}

/// Why a request is not taken, by its head; nullopt where it is.
std::optional<unsigned> judge(request& r, unsigned method, unsigned major) {
  if (major != 1) {
    return 505;
  }
  // RFC 9112 §3.2: one Host field that names an authority; HTTP/1.0 may leave it out.
  const auto hosts = std::ranges::count(r.fields, "host", &field::name);
  const auto* host = r.first("host");
  if (hosts > 1 || (hosts == 0 && r.minor_version > 0) || (host != nullptr && !read_authority(*host))) {
    return 400;
  }
  r.authority = host == nullptr ? "" : *host;
  // RFC 9112 §6.3: one length, of digits alone, and never beside a transfer coding.
  const auto lengths = std::ranges::count(r.fields, "content-length", &field::name);
  const auto* length = r.first("content-length");
  const bool coded = r.first("transfer-encoding") != nullptr;
  if (lengths > 1 || (length != nullptr && (coded || length->empty() || !std::ranges::all_of(*length, [](char c) {
                                              return c >= '0' && c <= '9';
                                            })))) {
    return 400;
  }
  if (method == HTTP_CONNECT) {
    return 405;
  }
  if (!split_target(r)) {
    return 400;
  }
  if (coded || (length != nullptr && length->find_first_not_of('0') != std::string::npos)) {
    return method == HTTP_GET || method == HTTP_HEAD ? 413 : 405;
  }
  return std::nullopt;
}

}  // namespace

struct request_reader::state {
  llhttp_settings_t settings{};
  llhttp_t parser{};
  http::request request;
  head_lines lines;
  std::size_t head_bytes = 0;
  bool complete = false;
  bool keep_alive = false;
  std::optional<unsigned> refusal;

  state() {
    llhttp_settings_init(&settings);
    settings.on_url = [](llhttp_t* p, const char* at, std::size_t size) {
      static_cast<state*>(p->data)->request.target.append(at, size);
      return 0;
    };
    settings.on_header_field = [](llhttp_t* p, const char* at, std::size_t size) {
      auto& fields = static_cast<state*>(p->data)->request.fields;
      if (fields.empty() || static_cast<state*>(p->data)->named) {
        static_cast<state*>(p->data)->named = false;
        fields.emplace_back();
      }
      fields.back().name.append(at, size);
      return 0;
    };
    settings.on_header_field_complete = [](llhttp_t* p) {
      auto& s = *static_cast<state*>(p->data);
      s.named = true;
      lower(s.request.fields.back().name);
      return 0;
    };
    settings.on_header_value = [](llhttp_t* p, const char* at, std::size_t size) {
      static_cast<state*>(p->data)->request.fields.back().value.append(at, size);
      return 0;
    };
    settings.on_header_value_complete = [](llhttp_t* p) {
      auto& value = static_cast<state*>(p->data)->request.fields.back().value;
      value.erase(value.find_last_not_of(" \t") + 1);  // RFC 9112 §5.1; npos + 1 is 0
      return 0;
    };
    settings.on_headers_complete = [](llhttp_t* p) -> int {
      auto& s = *static_cast<state*>(p->data);
      s.request.method = llhttp_method_name(static_cast<llhttp_method_t>(p->method));
      s.request.minor_version = p->http_minor;
      s.keep_alive = llhttp_should_keep_alive(p) != 0;
      s.refusal = judge(s.request, p->method, p->http_major);
      if (s.refusal) {
        return -1;
      }
      p->upgrade = 0;  // RFC 9110 §7.8: whether it is to speak otherwise is not the reader's to say
      return 0;
    };
    settings.on_message_complete = [](llhttp_t* p) -> int {
      static_cast<state*>(p->data)->complete = true;
      return HPE_PAUSED;  // one request at a time
    };
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = this;
  }

  progress refuse(unsigned status, std::size_t used) {
    if (!refusal) {
      refusal = status;
    }
    return {outcome::refused, used};
  }

  bool named = false;  // the last field has its name
};

request_reader::request_reader() : state_{std::make_unique<state>()} {
}
request_reader::~request_reader() = default;

request_reader::progress request_reader::feed(std::string_view input) {
  auto& s = *state_;
  if (std::exchange(s.complete, false)) {
    s.request = {};
    s.named = false;
    s.lines = {};
    s.head_bytes = 0;
    llhttp_resume(&s.parser);
  }
  // A head over the limit is refused at the first byte too many, whatever the pieces it comes in.
  std::size_t used = 0;
  const auto told = s.lines.scan(input.substr(0, head_limit - s.head_bytes), used);
  if (told == head_lines::verdict::malformed) {
    return s.refuse(400, input.size());
  }
  if (told == head_lines::verdict::too_many) {
    // What is wrong in front of the line too many comes first, as where the bytes come one by one.
    const auto before = llhttp_execute(&s.parser, input.data(), used - 1);
    return s.refuse(before == HPE_OK ? 431 : 400, input.size());
  }
  s.head_bytes += used;
  const auto head = input.substr(0, used);
  const auto error = llhttp_execute(&s.parser, head.data(), head.size());
  if (told == head_lines::verdict::end) {
    const bool both = error == HPE_PAUSED && s.complete && llhttp_get_error_pos(&s.parser) == input.data() + used;
    return both ? progress{outcome::complete, used} : s.refuse(400, input.size());
  }
  if (error != HPE_OK) {
    return s.refuse(400, input.size());
  }
  return used < input.size() ? s.refuse(431, input.size()) : progress{outcome::need_more, used};
}

const http::request& request_reader::request() const noexcept {
  return state_->request;
}
bool request_reader::keep_alive() const noexcept {
  return state_->keep_alive;
}
unsigned request_reader::refusal() const noexcept {
  return state_->refusal.value_or(400);
}
bool request_reader::idle() const noexcept {
  return state_->complete || state_->head_bytes == 0;
}

}  // namespace comity::http
