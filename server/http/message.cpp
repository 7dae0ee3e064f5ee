#include "server/http/message.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace comity::http {

namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

/// RFC 3986 §3.2.2: reg-name, and what stands in the brackets of an IP literal.
bool of_a_host(char c) noexcept {
  constexpr std::string_view others = "-._~!$&'()*+,;=%";
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || others.contains(c);
}
bool of_a_literal(char c) noexcept {
  return of_a_host(c) || c == ':';
}

/// RFC 9110 §5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string http_date(std::chrono::system_clock::time_point at) {
  static constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{std::chrono::floor<std::chrono::seconds>(at - day)};
  std::array<char, 64> text{};
  const int size = std::snprintf(text.data(), text.size(), "%s, %02u %s %04d %02d:%02d:%02d GMT",
                                 days[std::chrono::weekday{day}.c_encoding()], static_cast<unsigned>(date.day()),
                                 months[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
                                 static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                                 static_cast<int>(time.seconds().count()));
  return {text.data(), static_cast<std::size_t>(size)};
}

std::string_view trimmed(std::string_view text) noexcept {
  const auto begin = text.find_first_not_of(" \t");
  return begin == std::string_view::npos ? std::string_view{}
                                         : text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

bool same_token(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

const std::string* request::first(std::string_view name) const noexcept {
  const auto found = std::ranges::find(fields, name, &field::name);
  return found == fields.end() ? nullptr : &found->value;
}

std::vector<std::string_view> request::elements(std::string_view name) const {
  std::vector<std::string_view> all;
  for (const auto& f : fields) {
    if (f.name != name) {
      continue;
    }
    for (std::string_view rest = f.value; !rest.empty();) {
      const auto comma = rest.find(',');
      if (const auto element = trimmed(rest.substr(0, comma)); !element.empty()) {
        all.push_back(element);
      }
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    }
  }
  return all;
}

bool request::lists(std::string_view name, std::string_view token) const {
  return std::ranges::any_of(elements(name), [&](auto element) { return same_token(element, token); });
}

std::string_view reason_phrase(unsigned status) noexcept {
  switch (status) {
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 417:
      return "Expectation Failed";
    case 421:
      return "Misdirected Request";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

response plain(unsigned status) {
  response r{.status = status, .body = std::string{reason_phrase(status)} + "\n"};
  if (status == 405) {
    r.fields.push_back({"Allow", "GET, HEAD"});  // RFC 9110 §15.5.6
  }
  return r;
}

std::string serialise(const response& r, bool keep_alive, bool head_only, std::chrono::system_clock::time_point now) {
  const bool stays_http = r.status != 101;
  std::string out = "HTTP/1.1 " + std::to_string(r.status);
  out.append(" ").append(reason_phrase(r.status)).append("\r\nDate: ").append(http_date(now));  // RFC 9110 §6.6.1
  if (stays_http) {
    out.append("\r\nContent-Type: ").append(r.content_type);
    out.append("\r\nContent-Length: ").append(std::to_string(r.body.size()));
    out.append("\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store");
  }
  for (const auto& f : r.fields) {
    out.append("\r\n").append(f.name).append(": ").append(f.value);
  }
  if (!r.upgrade.empty()) {  // RFC 9110 §7.8: named in Connection too
    out.append("\r\nUpgrade: ").append(r.upgrade).append("\r\nConnection: Upgrade");
  }
  if (stays_http) {
    out.append(r.upgrade.empty() ? "\r\nConnection: " : ", ").append(keep_alive ? "keep-alive" : "close");
  }
  out.append("\r\n\r\n");
  if (stays_http && !head_only) {
    out += r.body;
  }
  return out;
}

std::optional<authority> read_authority(std::string_view text) {
  authority read;
  read.host.resize(text.size());
  std::ranges::transform(text, read.host.begin(), lower);
  std::string_view rest = read.host;
  std::string_view host;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos || end == 1 || !std::ranges::all_of(rest.substr(1, end - 1), of_a_literal)) {
      return std::nullopt;
    }
    host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
  } else {
    host = rest.substr(0, rest.find(':'));
    rest.remove_prefix(host.size());
    if (!std::ranges::all_of(host, of_a_host)) {
      return std::nullopt;
    }
    if (host.ends_with('.')) {
      host.remove_suffix(1);
    }
  }
  if (!rest.empty() && rest != ":") {
    std::uint16_t port = 0;
    const auto digits = rest.substr(1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (rest[0] != ':' || error != std::errc{} || end != digits.data() + digits.size()) {
      return std::nullopt;
    }
    read.port = port;
  }
  read.host = std::string{host};
  return read;
}

}  // namespace comity::http
