#include "connection/front/proxy_header.hpp"

#include <algorithm>
#include <charconv>

namespace comity::connection {

namespace {

using status = proxy_header_reading::status;

constexpr std::string_view line_start = "PROXY ";
constexpr std::string_view line_end = "\r\n";

// proxy-protocol.txt §2.2
constexpr std::string_view signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t fixed_part = 16;
constexpr unsigned version_2 = 2;
constexpr unsigned command_local = 0;
constexpr unsigned command_proxy = 1;
constexpr unsigned family_unspecified = 0;
constexpr unsigned family_ipv4 = 1;
constexpr unsigned family_ipv6 = 2;
constexpr unsigned family_unix = 3;
constexpr unsigned over_stream = 1;

proxy_header_reading ends_as(status s, std::size_t size = 0) {
  return {.is = s, .size = size};
}

/// The next word of a line of version 1, which one space divides; taken off.
std::string_view word(std::string_view& line) {
  const auto space = line.find(' ');
  const auto found = line.substr(0, space);
  line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  return found;
}

std::optional<std::uint16_t> port_of(std::string_view digits) {
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  const bool plain = !digits.empty() && (digits.size() == 1 || digits[0] != '0');
  const bool whole = fault == std::errc{} && end == digits.data() + digits.size();
  return plain && whole ? std::optional{port} : std::nullopt;
}

/// §2.1: "TCP4 192.0.2.1 192.0.2.2 51234 443", "TCP6 …", "UNKNOWN …".
proxy_header_reading read_line(std::string_view line, std::size_t size) {
  const auto protocol = word(line);
  if (protocol == "UNKNOWN") {
    return ends_as(status::complete, size);
  }
  if (protocol != "TCP4" && protocol != "TCP6") {
    return ends_as(status::malformed);
  }
  const bool v4 = protocol == "TCP4";
  const auto client = dns::address::parse(word(line));
  const auto server = dns::address::parse(word(line));
  const auto client_port = port_of(word(line));
  const auto server_port = port_of(line);  // to the end: nothing may stand behind it
  if (!client || !server || client->v4() != v4 || server->v4() != v4 || !client_port || !server_port) {
    return ends_as(status::malformed);
  }
  return {.is = status::complete, .size = size, .client = {{*client, *client_port}}};
}

proxy_header_reading read_version_1(std::string_view bytes) {
  const auto shown = bytes.substr(0, proxy_line_most);
  const auto end = shown.find(line_end);
  if (end != std::string_view::npos) {
    return read_line(shown.substr(line_start.size(), end - line_start.size()), end + line_end.size());
  }
  return shown.size() == proxy_line_most ? ends_as(status::malformed) : ends_as(status::needs_more, bytes.size() + 1);
}

std::size_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::size_t>(static_cast<unsigned char>(bytes[at])) << 8U |
         static_cast<unsigned char>(bytes[at + 1]);
}

/// An IPv4-mapped one is IPv4, as everywhere.
std::optional<dns::address> address_of(std::string_view bytes) {
  constexpr std::string_view mapped{"\0\0\0\0\0\0\0\0\0\0\xff\xff", 12};
  if (bytes.starts_with(mapped)) {
    bytes.remove_prefix(mapped.size());
  }
  return dns::address::from_bytes({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

proxy_header_reading read_version_2(std::string_view bytes) {
  if (bytes.size() < fixed_part) {
    return ends_as(status::needs_more, fixed_part);
  }
  const auto version_and_command = static_cast<unsigned char>(bytes[12]);
  const auto family_and_transport = static_cast<unsigned char>(bytes[13]);
  const auto size = fixed_part + number_at(bytes, 14);
  const unsigned command = version_and_command & 0x0fU;
  if (version_and_command >> 4U != version_2 || command > command_proxy || size > proxy_header_most) {
    return ends_as(status::malformed);
  }
  if (bytes.size() < size) {
    return ends_as(status::needs_more, size);
  }
  auto read = ends_as(status::complete, size);
  if (command == command_local) {
    read.local = true;  // §2.2: whatever addresses stand there are not to be looked at
    return read;
  }
  const unsigned family = family_and_transport >> 4U;
  if (family == family_unspecified || family == family_unix) {
    return read;
  }
  const std::size_t octets = family == family_ipv4 ? 4 : 16;
  const bool known = family == family_ipv4 || family == family_ipv6;
  if (!known || (family_and_transport & 0x0fU) != over_stream || size < fixed_part + 2 * octets + 4) {
    return ends_as(status::malformed);
  }
  const auto client = address_of(bytes.substr(fixed_part, octets));
  read.client = {{*client, static_cast<std::uint16_t>(number_at(bytes, fixed_part + 2 * octets))}};
  return read;
}

void append_number(std::string& out, std::size_t n) {
  out += static_cast<char>(n >> 8U);
  out += static_cast<char>(n & 0xffU);
}

void append_address(std::string& out, const dns::address& address, bool as_v6) {
  if (as_v6 && address.v4()) {
    out.append(10, '\0').append(2, '\xff');
  }
  for (const auto octet : address.bytes()) {
    out += static_cast<char>(octet);
  }
}

}  // namespace

proxy_header_reading read_proxy_header(std::string_view bytes) {
  if (bytes.starts_with(line_start)) {
    return read_version_1(bytes);
  }
  if (bytes.starts_with(signature)) {
    return read_version_2(bytes);
  }
  if (line_start.starts_with(bytes) || signature.starts_with(bytes)) {
    return ends_as(status::needs_more, bytes.size() + 1);
  }
  return ends_as(status::absent);
}

std::string proxy_header(const ip_endpoint& client, const ip_endpoint& server) {
  const bool v6 = !client.ip.v4() || !server.ip.v4();
  std::string out{signature};
  out += static_cast<char>(version_2 << 4U | command_proxy);
  out += static_cast<char>((v6 ? family_ipv6 : family_ipv4) << 4U | over_stream);
  append_number(out, v6 ? 36 : 12);
  append_address(out, client.ip, v6);
  append_address(out, server.ip, v6);
  append_number(out, client.port);
  append_number(out, server.port);
  return out;
}

}  // namespace comity::connection
