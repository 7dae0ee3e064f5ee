// server/http/message.hpp: HTTP/1.1 requests and responses as values (RFC 9110, RFC 9112). Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace comity::http {

struct field {
  std::string name;  // of a request in lower case
  std::string value;
  friend bool operator==(const field&, const field&) = default;
};

/// Who asks, as the connection knows it.
struct requester {
  std::string address;      // of the client, as logs have it
  bool secure = false;      // its words came under TLS, ended here or by a proxy that we trust
  std::string server_name;  // SNI as sent here; "" for none
};

struct request {
  std::string method;  // "GET", "HEAD"
  std::string target;  // as sent
  std::string path;    // of the target, without its query: nothing is decoded, joined or normalised (THREATS G5)
  /// Whom it is for: the authority of an absolute target, else the Host field (RFC 9112 §3.2.2). "" only in HTTP/1.0.
  std::string authority;
  unsigned minor_version = 1;      // of HTTP/1
  std::vector<field> fields = {};  // as they came
  requester from = {};

  /// The value of the first field of that name (in lower case); nullptr where there is none.
  [[nodiscard]] const std::string* first(std::string_view name) const noexcept;
  /// The elements of the comma-separated lists in all fields of that name, in their order (RFC 9110 §5.6.1). They live
  /// as long as the request.
  [[nodiscard]] std::vector<std::string_view> elements(std::string_view name) const;
  /// Whether one of the elements is that token, in whatever case.
  [[nodiscard]] bool lists(std::string_view name, std::string_view token) const;
};

struct response {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
  std::vector<field> fields = {};  // more of them
  std::string upgrade = {};        // what the connection becomes (101), or would have to (426)
};

using handler = std::function<response(const request&)>;

/// The standard words of a status code: "OK", "Not Found".
[[nodiscard]] std::string_view reason_phrase(unsigned status) noexcept;

/// A response that says in its body what its status is.
[[nodiscard]] response plain(unsigned status);

/// The bytes of a response. `head_only` leaves the body out and keeps its length (RFC 9110 §9.3.2); `keep_alive` says
/// what becomes of the connection, where it stays one of HTTP.
[[nodiscard]] std::string serialise(const response&, bool keep_alive, bool head_only,
                                    std::chrono::system_clock::time_point now);

/// host [":" port] (RFC 3986 §3.2), as Host has it and an absolute target.
struct authority {
  std::string host;  // in lower case, without brackets and without the dot at the end of a name
  std::optional<std::uint16_t> port;
  friend bool operator==(const authority&, const authority&) = default;
};
/// nullopt where it is none; with user information it is none (RFC 9110 §4.2.4).
[[nodiscard]] std::optional<authority> read_authority(std::string_view text);

/// Equal but for the case of ASCII letters.
[[nodiscard]] bool same_token(std::string_view a, std::string_view b) noexcept;

}  // namespace comity::http
