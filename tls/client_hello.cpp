#include "tls/client_hello.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace comity::tls {

namespace {

using status = client_hello_reading::status;

// RFC 8446 §4, §5.1; RFC 6066 §3; RFC 7301 §3.1
constexpr std::uint8_t handshake_record = 22;
constexpr std::uint8_t version_major = 3;
constexpr std::size_t record_header = 5;
constexpr std::size_t record_most = 16U * 1024U;
constexpr std::uint8_t client_hello_message = 1;
constexpr std::size_t message_header = 4;
constexpr std::size_t version_and_random = 2 + 32;
constexpr unsigned server_name_extension = 0;
constexpr unsigned alpn_extension = 16;
constexpr std::size_t host_name = 0;

/// A big-endian number of `size` bytes at the front, taken off; nullopt where there are too few.
std::optional<std::size_t> number(std::string_view& in, std::size_t size) {
  if (in.size() < size) {
    return std::nullopt;
  }
  std::size_t n = 0;
  for (const char c : in.substr(0, size)) {
    n = n << 8U | static_cast<unsigned char>(c);
  }
  in.remove_prefix(size);
  return n;
}

/// What stands behind its length of `size` bytes, taken off.
std::optional<std::string_view> vector(std::string_view& in, std::size_t size) {
  const auto length = number(in, size);
  if (!length || in.size() < *length) {
    return std::nullopt;
  }
  const auto content = in.substr(0, *length);
  in.remove_prefix(*length);
  return content;
}

client_hello_reading ends_as(status s, std::size_t needed = 0) {
  return {.is = s, .needed = needed, .hello = {}};
}

client_hello_reading more(std::size_t needed) {
  return needed > client_hello_records_most ? ends_as(status::too_long) : ends_as(status::needs_more, needed);
}

/// The message without its header (RFC 8446 §4.1.2). Before TLS 1.3 there may be no extensions at all.
client_hello_reading read_message(std::string_view in) {
  auto broken = ends_as(status::no_client_hello);
  if (in.size() < version_and_random) {
    return broken;
  }
  in.remove_prefix(version_and_random);
  const bool begins_well = vector(in, 1) && vector(in, 2) && vector(in, 1);  // session id, cipher suites, compression
  if (!begins_well) {
    return broken;
  }
  auto extensions = in.empty() ? std::optional{in} : vector(in, 2);
  if (!extensions || !in.empty()) {
    return broken;
  }
  auto read = ends_as(status::complete);
  while (!extensions->empty()) {
    const auto type = number(*extensions, 2);
    const auto content = type ? vector(*extensions, 2) : std::nullopt;
    if (!content) {
      return broken;
    }
    if (*type == server_name_extension) {
      read.hello.server_name = server_name_in(*content);
    } else if (*type == alpn_extension) {
      read.hello.alpn = protocols_in(*content);
    }
  }
  return read;
}

}  // namespace

std::string server_name_in(std::string_view extension) {
  auto list = vector(extension, 2);
  if (!list || number(*list, 1) != host_name) {
    return {};
  }
  return std::string{vector(*list, 2).value_or(std::string_view{})};
}

std::vector<std::string> protocols_in(std::string_view extension) {
  std::vector<std::string> names;
  if (auto list = vector(extension, 2)) {
    for (auto name = vector(*list, 1); name; name = vector(*list, 1)) {
      names.emplace_back(*name);
    }
  }
  return names;
}

client_hello_reading read_client_hello(std::string_view bytes) {
  std::string message;
  std::size_t whole = message_header;  // of the message, as far as that is known
  for (std::size_t at = 0;;) {
    const auto rest = bytes.substr(at);
    const bool wrong = (!rest.empty() && static_cast<unsigned char>(rest[0]) != handshake_record) ||
                       (rest.size() > 1 && static_cast<unsigned char>(rest[1]) != version_major);
    if (wrong) {
      return ends_as(status::no_client_hello);
    }
    if (rest.size() < record_header) {
      return more(bytes.empty() ? 1 : at + record_header);
    }
    auto length = rest.substr(3, 2);
    const auto fragment = *number(length, 2);
    if (fragment == 0 || fragment > record_most) {
      return ends_as(status::no_client_hello);  // RFC 8446 §5.1: no empty fragments of the handshake
    }
    if (at + record_header + fragment > client_hello_records_most) {
      return ends_as(status::too_long);
    }
    message += rest.substr(record_header, fragment);
    if (!message.empty() && static_cast<unsigned char>(message[0]) != client_hello_message) {
      return ends_as(status::no_client_hello);
    }
    if (message.size() >= message_header) {
      auto size = std::string_view{message}.substr(1, 3);
      whole = message_header + *number(size, 3);
      if (whole > message_header + client_hello_most) {
        return ends_as(status::too_long);
      }
      if (message.size() >= whole) {
        return read_message(std::string_view{message}.substr(message_header, whole - message_header));
      }
    }
    if (rest.size() < record_header + fragment) {
      // To the end of the message, where it ends in this record.
      const auto missing =
          message.size() < message_header ? record_header + fragment - rest.size() : whole - message.size();
      return more(std::min(at + record_header + fragment, bytes.size() + missing));
    }
    at += record_header + fragment;
  }
}

}  // namespace comity::tls
