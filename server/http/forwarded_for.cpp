#include "server/http/forwarded_for.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <ranges>

namespace comity::http {

namespace {

/// An IPv4-mapped address as IPv4, as sockets' ends are (RFC 4291 §2.5.5.2).
dns::address unmapped(const dns::address& a) {
  constexpr std::array<std::uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const auto bytes = a.bytes();
  return !a.v4() && std::ranges::equal(bytes.first(prefix.size()), prefix)
             ? *dns::address::from_bytes(bytes.subspan(prefix.size()))
             : a;
}

/// "192.0.2.7", "192.0.2.7:51234", "2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:51234": all of them are written.
std::optional<dns::address> read_address(std::string_view text) {
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    const auto behind = end == std::string_view::npos ? std::string_view{"?"} : text.substr(end + 1);
    if (!behind.empty() && !behind.starts_with(':')) {
      return std::nullopt;
    }
    text = text.substr(1, end - 1);
  } else if (std::ranges::count(text, ':') == 1) {
    text = text.substr(0, text.find(':'));
  }
  const auto read = dns::address::parse(text);
  return read ? std::optional{unmapped(*read)} : std::nullopt;
}

}  // namespace

dns::address forwarded_client(const std::vector<std::string_view>& list, const dns::address& peer,
                              const std::vector<connection::address_block>& proxies) {
  auto client = peer;
  for (const auto element : std::views::reverse(list)) {
    const auto before = read_address(element);
    if (!before) {
      break;
    }
    client = *before;
    if (std::ranges::none_of(proxies, [&](const auto& b) { return b.contains(client.bytes()); })) {
      break;
    }
  }
  return client;
}

}  // namespace comity::http
