#include "server/config/list_items.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>

#include "connection/jid.hpp"

namespace comity::config {
namespace {

struct numeric {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  int family = AF_UNSPEC;
  [[nodiscard]] unsigned bits() const noexcept { return family == AF_INET ? 32 : 128; }
  [[nodiscard]] std::string text() const {
    std::array<char, INET6_ADDRSTRLEN> shortest{};
    inet_ntop(family, bytes.data(), shortest.data(), shortest.size());
    return shortest.data();
  }
};

std::optional<numeric> read_numeric(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string terminated{text};
  for (const int family : {AF_INET, AF_INET6}) {
    numeric n{.family = family};
    if (inet_pton(family, terminated.c_str(), n.bytes.data()) == 1) {
      return n;
    }
  }
  return std::nullopt;
}

template <class Number>
std::optional<Number> read_number(std::string_view text, Number least, Number most) {
  Number n{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < least || n > most) {
    return std::nullopt;
  }
  return n;
}

std::expected<std::string, std::string> read_dns_server(std::string_view text) {
  if (text == "auto") {
    return std::string{text};
  }
  const auto at = text.find('@');
  const auto host = read_numeric(text.substr(0, at));
  if (!host) {
    return std::unexpected("has no numeric address");
  }
  if (at == std::string_view::npos) {
    return host->text();
  }
  const auto port = read_number<std::uint16_t>(text.substr(at + 1), 1, 65535);
  if (!port) {
    return std::unexpected("has no port from 1 to 65535");
  }
  return fmt::format("{}@{}", host->text(), *port);
}

/// Bits behind the length would be ignored silently: they are a fault, since one of the two is a slip.
std::expected<std::string, std::string> read_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto base = read_numeric(text.substr(0, slash));
  if (!base) {
    return std::unexpected("has no numeric address");
  }
  auto length = base->bits();
  if (slash != std::string_view::npos) {
    const auto written = read_number<unsigned>(text.substr(slash + 1), 0, base->bits());
    if (!written) {
      return std::unexpected(fmt::format("has no length from 0 to {}", base->bits()));
    }
    length = *written;
  }
  for (unsigned bit = length; bit < base->bits(); ++bit) {
    if ((base->bytes[bit / 8] >> (7 - bit % 8) & 1U) != 0) {
      return std::unexpected(fmt::format("has bits behind its first {}", length));
    }
  }
  return fmt::format("{}/{}", base->text(), length);
}

std::expected<std::string, std::string> read_zone(std::string_view text) {
  const auto enforced = enforce_domainpart(text);
  if (!enforced || read_numeric(*enforced) || enforced->starts_with('[')) {
    return std::unexpected("is no domain name");
  }
  return to_a_labels(*enforced);
}

std::expected<std::string, std::string> read_path(std::string_view text, const std::filesystem::path& directory) {
  const auto path = read_value(file_path{}, text, directory);
  if (!path) {
    return std::unexpected(path.error());
  }
  return std::get<std::filesystem::path>(*path).native();
}

/// RFC 6454 §6.2: what a browser writes into Origin, so that equal ones are equal bytes.
std::expected<std::string, std::string> read_origin(std::string_view text) {
  constexpr std::string_view separator = "://";
  if (text == "*") {
    return std::string{text};
  }
  const auto end_of_scheme = text.find(separator);
  const auto scheme = text.substr(0, end_of_scheme);
  if (end_of_scheme == std::string_view::npos || (scheme != "https" && scheme != "http")) {
    return std::unexpected("does not begin with https:// or http://");
  }
  const auto authority = text.substr(end_of_scheme + separator.size());
  const bool with_port = authority.rfind(':') != std::string_view::npos && !authority.ends_with(']');
  const std::string_view usual_port = scheme == "https" ? ":443" : ":80";
  const auto endpoint = read_endpoint(with_port ? std::string{authority} : fmt::format("{}{}", authority, usual_port));
  if (!endpoint) {
    return std::unexpected(endpoint.error());
  }
  const std::string_view host{*endpoint};
  return fmt::format("{}{}{}", scheme, separator,
                     host.ends_with(usual_port) ? host.substr(0, host.size() - usual_port.size()) : host);
}

}  // namespace

std::expected<std::string, std::string> read_item(list_item item, std::string_view text,
                                                  const std::filesystem::path& directory) {
  switch (item) {
    case list_item::dns_server:
      return read_dns_server(text);
    case list_item::path:
      return read_path(text, directory);
    case list_item::zone:
      return read_zone(text);
    case list_item::forbidden_network:
      return text == "special" ? std::string{text} : read_network(text);
    case list_item::network:
      return read_network(text);
    case list_item::origin:
      return read_origin(text);
  }
  return std::unexpected("is of no kind");
}

std::string_view describe(list_item item) noexcept {
  switch (item) {
    case list_item::dns_server:
      return R"(an array of "auto" or addresses such as "192.0.2.1" or "192.0.2.1@5353")";
    case list_item::path:
      return "an array of paths";
    case list_item::zone:
      return R"(an array of domain names such as "home.arpa")";
    case list_item::forbidden_network:
      return R"(an array of "special" or networks such as "192.0.2.0/24")";
    case list_item::network:
      return R"(an array of networks such as "192.0.2.0/24")";
    case list_item::origin:
      return R"(an array of "*" or origins such as "https://chat.example.org")";
  }
  return "an array";
}

namespace {

constexpr std::string_view forward_scheme = "forward:";

/// In its canonical form. What is served here is served where it belongs: a stream of clients under its own name
/// alone, so that no selection by ALPN is a lie (RFC 7301 §3.2, THREATS B9).
std::expected<std::string, std::string> read_route(std::string_view route, std::span<const std::string_view> allowed,
                                                   std::string_view else_what) {
  if (route.starts_with(forward_scheme)) {
    const auto endpoint = read_endpoint(route.substr(forward_scheme.size()));
    return endpoint ? std::expected<std::string, std::string>{fmt::format("{}{}", forward_scheme, *endpoint)}
                    : std::unexpected(endpoint.error());
  }
  if (std::ranges::find(allowed, route) == allowed.end()) {
    return std::unexpected(std::string{else_what});
  }
  return std::string{route};
}

}  // namespace

std::expected<route_entry, std::string> read_alpn_route(std::string_view name, std::string_view route) {
  using namespace std::string_view_literals;
  static constexpr std::array clients{"c2s"sv, "refuse"sv};
  static constexpr std::array servers{"s2s"sv, "refuse"sv};
  static constexpr std::array web{"http"sv, "refuse"sv};
  static constexpr std::array unnamed{"c2s"sv, "s2s"sv, "http"sv, "sniff"sv, "refuse"sv};
  static constexpr std::array foreign{"refuse"sv};
  constexpr std::size_t name_most = 255;  // RFC 7301 §3.1
  if (name.empty() || name.size() > name_most) {
    return std::unexpected("is no name of 1 to 255 bytes");
  }
  const auto read = name == "xmpp-client"   ? read_route(route, clients, "is neither c2s nor refuse nor forward:")
                    : name == "xmpp-server" ? read_route(route, servers, "is neither s2s nor refuse nor forward:")
                    : name == "http/1.1"    ? read_route(route, web, "is neither http nor refuse nor forward:")
                    : name == "none"        ? read_route(route, unnamed, "is not known")
                                            : read_route(route, foreign, "is neither refuse nor forward:");
  return read ? std::expected<route_entry, std::string>{{std::string{name}, *read}} : std::unexpected(read.error());
}

std::expected<route_entry, std::string> read_sni_route(std::string_view name, std::string_view route) {
  static constexpr std::array<std::string_view, 1> foreign{"refuse"};
  const auto zone = read_zone(name);
  if (!zone) {
    return std::unexpected(zone.error());
  }
  const auto read = read_route(route, foreign, "is neither refuse nor forward:");
  return read ? std::expected<route_entry, std::string>{{*zone, *read}} : std::unexpected(read.error());
}

std::expected<std::string, std::string> read_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto host = text.substr(0, colon);
  if (colon == std::string_view::npos || host.empty()) {
    return std::unexpected("is no host and port");
  }
  const auto port = read_number<std::uint16_t>(text.substr(colon + 1), 1, 65535);
  if (!port) {
    return std::unexpected("has no port from 1 to 65535");
  }
  if (host.starts_with('[') && host.ends_with(']')) {
    const auto address = read_numeric(host.substr(1, host.size() - 2));
    if (!address || address->family != AF_INET6) {
      return std::unexpected("has no IPv6 address in its brackets");
    }
    return fmt::format("[{}]:{}", address->text(), *port);
  }
  if (const auto address = read_numeric(host)) {
    return address->family == AF_INET6
               ? std::expected<std::string, std::string>{std::unexpected("has an IPv6 address without brackets")}
               : fmt::format("{}:{}", address->text(), *port);
  }
  const auto name = read_zone(host);
  if (!name) {
    return std::unexpected("has no host name");
  }
  return fmt::format("{}:{}", *name, *port);
}

}  // namespace comity::config
