#include "server/config/values.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "connection/jid.hpp"
#include "server/config/list_items.hpp"

namespace comity::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

template <class... F>
struct overloaded : F... {
  using F::operator()...;
};

struct scale {
  std::string_view unit;
  std::uint64_t factor;
};
constexpr std::array durations{scale{"ms", 1}, scale{"s", 1000}, scale{"m", 60'000}, scale{"h", 3'600'000}};
constexpr std::array sizes{scale{"", 1}, scale{"KiB", 1U << 10U}, scale{"MiB", 1U << 20U}, scale{"GiB", 1U << 30U}};

constexpr std::size_t socket_path_most = sizeof(sockaddr_un::sun_path) - 1;

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

/// The largest unit that divides the amount.
std::string in_units(std::uint64_t amount, std::span<const scale> scales) {
  const scale* best = scales.data();
  for (const auto& s : scales) {
    if (amount != 0 && amount % s.factor == 0) {
      best = &s;
    }
  }
  return fmt::format("{}{}", amount / best->factor, best->unit);
}

std::string duration_text(milliseconds d) {
  return d == 0ms ? "\"0s\"" : fmt::format("\"{}\"", in_units(static_cast<std::uint64_t>(d.count()), durations));
}

std::string size_text(std::uint64_t bytes) {
  const std::string text = in_units(bytes, sizes);
  return text.back() == 'B' ? fmt::format("\"{}\"", text) : text;
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

/// The length of the UTF-8 sequence at the start, 0 where there is none (overlong forms and surrogates included).
std::size_t utf8_sequence(std::string_view s) {
  const auto byte = [&](std::size_t i) { return i < s.size() ? static_cast<unsigned char>(s[i]) : 0U; };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xc2 && lead <= 0xdf) {
    return follows(1) ? 2 : 0;
  }
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool overlong = lead == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = lead == 0xed && byte(1) > 0x9f;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool overlong = lead == 0xf0 && byte(1) < 0x90;
    const bool beyond = lead == 0xf4 && byte(1) > 0x8f;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

constexpr std::size_t message_characters = 80;

/// In double quotes and, but for bytes that are not UTF-8, as TOML would have it; cut after `most` characters.
std::string escaped(std::string_view text, std::size_t most) {
  std::string out = "\"";
  for (std::size_t characters = 0; !text.empty(); ++characters) {
    if (characters == most) {
      out += "…";
      break;
    }
    const std::size_t length = utf8_sequence(text);
    const auto lead = static_cast<unsigned char>(text.front());
    if (length == 0) {
      out += fmt::format("\\x{:02x}", lead);
    } else if (lead < 0x20 || lead == 0x7f) {
      out += fmt::format("\\u{:04X}", lead);
    } else if (lead == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(text[1]));  // C1 controls speak to terminals too
    } else if (lead == '"' || lead == '\\') {
      out += '\\';
      out += text.front();
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out + '"';
}

/// The whole of it, as a TOML string.
std::string toml_string(std::string_view text) {
  return escaped(text, SIZE_MAX);
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

/// As it may stand before a "=".
std::string toml_key(std::string_view name) {
  const bool bare = !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string{name} : toml_string(name);
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

std::string list_text(const text_list& items) {
  std::string out = "[";
  for (const auto& item : items) {
    out += (out.size() > 1 ? ", " : "") + toml_string(item);
  }
  return out + "]";
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

std::string to_string(const address& a) {
  return a.host.find(':') == std::string::npos ? fmt::format("{}:{}", a.host, a.port)
                                               : fmt::format("[{}]:{}", a.host, a.port);
}

std::string describe(const value_kind& kind) {
  return std::visit(
      overloaded{
          [](const whole_number& n) { return fmt::format("a whole number from {} to {}", n.least, n.most); },
          [](const byte_size& s) {
            return fmt::format("a number of bytes from {} to {}", size_text(s.least), size_text(s.most));
          },
          [](const duration& d) {
            return fmt::format("a duration from {} to {}", duration_text(d.least), duration_text(d.most));
          },
          [](const word& w) {
            std::string all;
            for (std::size_t i = 0; i < w.words.size(); ++i) {
              all += fmt::format("{}\"{}\"", i == 0 ? "" : i + 1 == w.words.size() ? " or " : ", ", w.words[i]);
            }
            return all;
          },
          [](const boolean&) { return std::string{"true or false"}; },
          [](const file_path&) { return std::string{"a path"}; },
          [](const optional_path&) { return std::string{"a path, or \"\" for none"}; },
          [](const socket_path&) { return fmt::format("a path of at most {} bytes", socket_path_most); },
          [](const domain_name&) { return std::string{"a domain name such as \"example.org\""}; },
          [](const inet_address&) {
            return std::string{"a numeric address and a port, such as \"[::]:5222\" or \"127.0.0.1:5222\""};
          },
          [](const storage_url&) { return std::string{"\"sqlite:FILE\", such as \"sqlite:comity.db\""}; },
          [](const peer_endpoint&) {
            return std::string{"a host and a port such as \"xmpp.example.org:5269\", or \"\" for none"};
          },
          [](const list_of& l) { return std::string{describe(l.item)}; },
          [](const stub_zones&) { return std::string{"a table such as { \"example.net\" = [\"192.0.2.1@5353\"] }"}; },
          [](const alpn_routes&) {
            return std::string{
                "a table such as { xmpp-client = \"c2s\", h2 = \"forward:127.0.0.1:8443\", none = \"sniff\" }"};
          },
          [](const sni_routes&) {
            return std::string{"a table such as { \"www.example.org\" = \"forward:127.0.0.1:8443\" }"};
          }},
      kind);
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

std::string written(const value_kind& kind, const typed_value& value) {
  return std::visit(
      overloaded{[&](std::uint64_t n) -> std::string {
                   if (const auto* const w = std::get_if<word>(&kind)) {
                     return toml_string(w->words[n]);
                   }
                   if (std::holds_alternative<boolean>(kind)) {
                     return n != 0 ? "true" : "false";
                   }
                   return std::holds_alternative<byte_size>(kind) ? size_text(n) : std::to_string(n);
                 },
                 [](milliseconds d) { return duration_text(d); }, [](const std::string& s) { return toml_string(s); },
                 [&](const std::filesystem::path& p) {
                   return toml_string(std::holds_alternative<storage_url>(kind) ? "sqlite:" + p.native() : p.native());
                 },
                 [](const address& a) { return toml_string(to_string(a)); },
                 [](const text_list& items) { return list_text(items); },
                 [](const text_table& zones) {
                   std::string out;
                   for (const auto& [name, items] : zones) {
                     out += (out.empty() ? " " : ", ") + toml_string(name) + " = " + list_text(items);
                   }
                   return out.empty() ? std::string{"{}"} : "{" + out + " }";
                 },
                 [](const text_map& routes) {
                   std::string out;
                   for (const auto& [name, route] : routes) {
                     out += (out.empty() ? " " : ", ") + toml_key(name) + " = " + toml_string(route);
                   }
                   return out.empty() ? std::string{"{}"} : "{" + out + " }";
                 }},
      value);
}

std::string written(const raw_value& raw) {
  return std::visit(
      overloaded{[](std::monostate) { return std::string{}; }, [](std::int64_t n) { return std::to_string(n); },
                 [](bool truth) { return std::string{truth ? "true" : "false"}; },
                 [](std::string_view s) { return in_quotes(s); },
                 [](raw_list items) { return list_text({items.begin(), items.end()}); },
                 [](raw_table zones) { return std::string{zones.empty() ? "{}" : "{ … }"}; }},
      raw);
}

std::string in_quotes(std::string_view text) {
  return escaped(text, message_characters);
}

}  // namespace comity::config
