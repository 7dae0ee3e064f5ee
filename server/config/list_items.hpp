// server/config/list_items.hpp: the strings that stand in arrays of the configuration, and endpoints of peers.
//
// Pure. Each is kept as text in one canonical spelling, so that equal things are equal; who uses one can rely on its
// form.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <string_view>

#include "server/config/values.hpp"

namespace comity::config {

/// `network` comes out as "192.0.2.0/24", `dns_server` as "auto", "192.0.2.1" or "2001:db8::1@5353", `zone` in A-labels
/// without a trailing dot, `path` absolute from `directory`, `forbidden_network` as "special" or a network, `origin` as
/// "*" or as RFC 6454 §6.2 has it. The error completes a sentence of which the value is the subject.
[[nodiscard]] std::expected<std::string, std::string> read_item(list_item, std::string_view text,
                                                                const std::filesystem::path& directory);

/// What would be right for an array of them: `an array of networks such as "192.0.2.0/24"`.
[[nodiscard]] std::string_view describe(list_item) noexcept;

/// One entry of listen.alpn: what "xmpp-client", "none", "other" or any other name may lead to; and of listen.sni,
/// whose name comes out in A-labels. The error completes a sentence of which the entry is the subject.
struct route_entry {
  std::string name, route;
};
[[nodiscard]] std::expected<route_entry, std::string> read_alpn_route(std::string_view name, std::string_view route);
[[nodiscard]] std::expected<route_entry, std::string> read_sni_route(std::string_view name, std::string_view route);

/// "host:port" with a name (which comes out in A-labels) or a numeric address, IPv6 in brackets; the port is not 0.
[[nodiscard]] std::expected<std::string, std::string> read_endpoint(std::string_view text);

}  // namespace comity::config
