#include "server/config/values.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "connection/jid.hpp"
#include "server/config/list_items.hpp"
#include "server/config/value_text.hpp"

namespace comity::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// Digits and a unit, multiplied out. Nothing where the text has another form.
std::expected<std::uint64_t, std::string> scaled(std::string_view text, std::span<const scale> scales,
                                                 std::string_view no_such_thing) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) {
    return std::unexpected("is too large");
  }
  if (error != std::errc{}) {
    return std::unexpected(std::string{no_such_thing});
  }
  const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  const auto found = std::ranges::find(scales, unit, &scale::unit);
  if (found == scales.end()) {
    return std::unexpected(std::string{no_such_thing});
  }
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(number, found->factor, &product) || product > INT64_MAX) {
    return std::unexpected("is too large");
  }
  return product;
}

template <class T>
std::expected<typed_value, std::string> within(T value, T least, T most) {
  if (value < least) {
    return std::unexpected("is too small");
  }
  if (value > most) {
    return std::unexpected("is too large");
  }
  return value;
}

const std::string_view* text_of(const raw_value& raw) {
  return std::get_if<std::string_view>(&raw);
}

std::expected<typed_value, std::string> wrong_type(const raw_value& raw) {
  return std::unexpected(std::visit(
      overloaded{[](std::monostate) { return "is of no use here"; }, [](std::int64_t) { return "is a number"; },
                 [](bool) { return "is a boolean"; }, [](std::string_view) { return "is a string"; },
                 [](raw_list) { return "is an array"; }, [](raw_table) { return "is a table"; }},
      raw));
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::expected<typed_value, std::string> path_from(const raw_value& raw, const std::filesystem::path& directory,
                                                  std::size_t most) {
  const auto* const text = text_of(raw);
  if (text == nullptr) {
    return wrong_type(raw);
  }
  if (text->empty()) {
    return std::unexpected("is empty");
  }
  // A NUL would end the name early in the kernel's eyes; the others only ever hide something.
  if (has_control_character(*text)) {
    return std::unexpected("has a control character");
  }
  std::filesystem::path path = (directory / *text).lexically_normal();
  if (path.native().size() > most) {
    return std::unexpected(fmt::format("is {} bytes long as an absolute path", path.native().size()));
  }
  return path;
}

std::expected<typed_value, std::string> read_domain(std::string_view text) {
  if (text.empty()) {
    return std::unexpected("is empty");
  }
  if (text.find_first_of("@/") != std::string_view::npos) {
    return std::unexpected("is an address, not a domain");
  }
  std::array<unsigned char, sizeof(in6_addr)> ignored{};
  // RFC 6066 §3: SNI carries names only, so a host that is an IP address could never be asked for.
  if (text.front() == '[' || inet_pton(AF_INET, std::string{text}.c_str(), ignored.data()) == 1 ||
      inet_pton(AF_INET6, std::string{text}.c_str(), ignored.data()) == 1) {
    return std::unexpected("is an IP address");
  }
  auto enforced = enforce_domainpart(text);
  if (!enforced) {
    return std::unexpected("is no domain name (RFC 7622 §3.2)");
  }
  return std::move(*enforced);
}

std::expected<typed_value, std::string> read_storage(std::string_view text) {
  constexpr std::string_view scheme = "sqlite:";
  if (text.starts_with("postgresql:") || text.starts_with("postgres:")) {
    return std::unexpected("asks for a store that is not available: only sqlite: is");
  }
  if (!text.starts_with(scheme)) {
    return std::unexpected("names no store that is known: only sqlite: is available");
  }
  text.remove_prefix(scheme.size());
  if (text == ":memory:") {
    return std::unexpected("would lose everything at the next stop");
  }
  if (text.empty()) {
    return std::unexpected("names no file");
  }
  if (text.starts_with("//") && !text.starts_with("///")) {
    return std::unexpected("names a machine, and SQLite is a local file");
  }
  if (text.ends_with('/')) {
    return std::unexpected("names a directory");
  }
  if (has_control_character(text)) {
    return std::unexpected("has a control character");
  }
  return std::filesystem::path{text}.lexically_normal();
}

const text_map& default_alpn() {
  static const text_map routes{
      {"xmpp-client", "c2s"}, {"xmpp-server", "s2s"}, {"http/1.1", "http"}, {"none", "sniff"}, {"other", "refuse"}};
  return routes;
}

std::expected<text_list, std::string> read_items(list_item item, raw_list raw, const std::filesystem::path& directory) {
  text_list items;
  for (const auto text : raw) {
    auto read = read_item(item, text, directory);
    if (!read) {
      return std::unexpected(fmt::format("holds {}, which {}", in_quotes(text), read.error()));
    }
    if (std::ranges::find(items, *read) != items.end()) {
      return std::unexpected(fmt::format("holds {} twice", in_quotes(*read)));
    }
    items.push_back(std::move(*read));
  }
  if (item == list_item::dns_server && items.size() > 1 && std::ranges::find(items, "auto") != items.end()) {
    return std::unexpected("holds \"auto\" beside other servers");
  }
  if (item == list_item::origin && items.size() > 1 && std::ranges::find(items, "*") != items.end()) {
    return std::unexpected("holds \"*\" beside other origins");
  }
  return items;
}

std::expected<text_table, std::string> read_stubs(raw_table raw) {
  text_table zones;
  for (const auto& [name, servers] : raw) {
    auto zone = read_item(list_item::zone, name, {});
    if (!zone) {
      return std::unexpected(fmt::format("has the zone {}, which {}", in_quotes(name), zone.error()));
    }
    auto items = read_items(list_item::dns_server, servers, {});
    if (!items) {
      return std::unexpected(fmt::format("has the zone {}, which {}", in_quotes(name), items.error()));
    }
    if (items->empty() || items->front() == "auto") {
      return std::unexpected(fmt::format("has the zone {}, which names no server", in_quotes(name)));
    }
    if (!zones.emplace(std::move(*zone), std::move(*items)).second) {
      return std::unexpected(fmt::format("has the zone {} twice", in_quotes(name)));
    }
  }
  return zones;
}

template <typename ReadEntry>
std::expected<text_map, std::string> read_routes(raw_table raw, text_map routes, ReadEntry read_entry) {
  text_map seen;
  for (const auto& [name, values] : raw) {
    auto entry = read_entry(name, values.front());
    if (!entry) {
      return std::unexpected(
          fmt::format("has {} = {}, which {}", toml_key(name), in_quotes(values.front()), entry.error()));
    }
    if (!seen.emplace(entry->name, entry->route).second) {
      return std::unexpected(fmt::format("has {} twice", in_quotes(entry->name)));
    }
    routes.insert_or_assign(std::move(entry->name), std::move(entry->route));
  }
  return routes;
}

}  // namespace

std::expected<milliseconds, std::string> read_duration(std::string_view text) {
  const auto ms = scaled(text, durations, "is no duration");
  if (!ms) {
    return std::unexpected(ms.error());
  }
  return milliseconds{static_cast<milliseconds::rep>(*ms)};
}

std::expected<std::uint64_t, std::string> read_size(std::string_view text) {
  return scaled(text, sizes, "is no size");
}

std::expected<address, std::string> read_address(std::string_view text) {
  if (text.starts_with("unix:")) {
    return std::unexpected("is a UNIX socket, which is not available here");
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || (text.starts_with('[') && !text.substr(0, colon).ends_with(']'))) {
    return std::unexpected("has no port");
  }
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = host.starts_with('[');
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return std::unexpected("has an IPv6 address without brackets");
  }
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (error != std::errc{} || end != port_text.data() + port_text.size()) {
    return std::unexpected("has no port from 0 to 65535");
  }
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  const int family = bracketed ? AF_INET6 : AF_INET;
  if (has_control_character(host) || inet_pton(family, std::string{host}.c_str(), bytes.data()) != 1) {
    return std::unexpected(bracketed ? "has no IPv6 address in its brackets" : "has no numeric address");
  }
  constexpr std::array<unsigned char, 12> mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (bracketed && std::ranges::equal(std::span{bytes}.first<12>(), mapped)) {
    return std::unexpected("is an IPv4 address in IPv6 clothes");
  }
  std::array<char, INET6_ADDRSTRLEN> shortest{};
  inet_ntop(family, bytes.data(), shortest.data(), shortest.size());
  return address{.host = shortest.data(), .port = port};
}

std::expected<typed_value, std::string> read_value(const value_kind& kind, const raw_value& raw,
                                                   const std::filesystem::path& directory) {
  using result = std::expected<typed_value, std::string>;
  const auto* const text = text_of(raw);
  const auto* const number = std::get_if<std::int64_t>(&raw);
  const auto with_text = [&](auto&& read) -> result { return text == nullptr ? wrong_type(raw) : read(*text); };
  return std::visit(
      overloaded{
          [&](const whole_number& n) -> result {
            if (number == nullptr) {
              return wrong_type(raw);
            }
            return *number < 0 ? std::unexpected("is too small")
                               : within(static_cast<std::uint64_t>(*number), n.least, n.most);
          },
          [&](const byte_size& s) -> result {
            if (number != nullptr) {
              return *number < 0 ? std::unexpected("is too small")
                                 : within(static_cast<std::uint64_t>(*number), s.least, s.most);
            }
            return with_text([&](std::string_view t) -> result {
              const auto n = read_size(t);
              return n ? within(*n, s.least, s.most) : std::unexpected(n.error());
            });
          },
          [&](const duration& d) -> result {
            return with_text([&](std::string_view t) -> result {
              const auto ms = read_duration(t);
              return ms ? within(*ms, d.least, d.most) : std::unexpected(ms.error());
            });
          },
          [&](const word& w) -> result {
            return with_text([&](std::string_view t) -> result {
              const auto found = std::ranges::find(w.words, t);
              if (found == w.words.end()) {
                return std::unexpected("is not known");
              }
              return static_cast<std::uint64_t>(found - w.words.begin());
            });
          },
          [&](const boolean&) -> result {
            const auto* const truth = std::get_if<bool>(&raw);
            return truth == nullptr ? wrong_type(raw) : static_cast<std::uint64_t>(*truth);
          },
          [&](const file_path&) -> result { return path_from(raw, directory, SIZE_MAX); },
          [&](const optional_path&) -> result {
            return text != nullptr && text->empty() ? std::filesystem::path{} : path_from(raw, directory, SIZE_MAX);
          },
          [&](const socket_path&) -> result { return path_from(raw, directory, socket_path_most); },
          [&](const domain_name&) -> result { return with_text(read_domain); },
          [&](const inet_address&) -> result {
            return with_text([](std::string_view t) -> result { return read_address(t); });
          },
          [&](const storage_url&) -> result { return with_text(read_storage); },
          [&](const peer_endpoint&) -> result {
            return with_text([](std::string_view t) -> result { return t.empty() ? std::string{} : read_endpoint(t); });
          },
          [&](const list_of& l) -> result {
            const auto* const items = std::get_if<raw_list>(&raw);
            return items == nullptr ? wrong_type(raw) : result{read_items(l.item, *items, directory)};
          },
          [&](const stub_zones&) -> result {
            const auto* const zones = std::get_if<raw_table>(&raw);
            return zones == nullptr ? wrong_type(raw) : result{read_stubs(*zones)};
          },
          [&](const alpn_routes&) -> result {
            const auto* const routes = std::get_if<raw_table>(&raw);
            return routes == nullptr ? wrong_type(raw) : result{read_routes(*routes, default_alpn(), read_alpn_route)};
          },
          [&](const sni_routes&) -> result {
            const auto* const routes = std::get_if<raw_table>(&raw);
            return routes == nullptr ? wrong_type(raw) : result{read_routes(*routes, {}, read_sni_route)};
          }},
      kind);
}

}  // namespace comity::config
