#include "server/config/value_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/config/list_items.hpp"

namespace comity::config {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

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

std::string list_text(const text_list& items) {
  std::string out = "[";
  for (const auto& item : items) {
    out += (out.size() > 1 ? ", " : "") + toml_string(item);
  }
  return out + "]";
}

}  // namespace

std::string toml_string(std::string_view text) {
  return escaped(text, SIZE_MAX);
}

std::string toml_key(std::string_view name) {
  const bool bare = !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare ? std::string{name} : toml_string(name);
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
