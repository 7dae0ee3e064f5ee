// server/config/values.hpp: how a single value of the configuration is written, and what it may be.
//
// Pure: text and numbers in, typed values or the reason of a refusal out. Nothing here knows where a value belongs.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/config/settings.hpp"

namespace comity::config {

/// An array of strings, and a table of them.
using raw_list = std::span<const std::string_view>;
struct raw_entry {
  std::string_view name;
  raw_list values;
};
using raw_table = std::span<const raw_entry>;
/// What the document holds, or (monostate) nothing of use here.
using raw_value = std::variant<std::monostate, std::int64_t, bool, std::string_view, raw_list, raw_table>;

using text_list = std::vector<std::string>;
using text_table = std::map<std::string, text_list>;
using text_map = std::map<std::string, std::string>;
/// What was understood. A word of a fixed list is its place in the list; a boolean is 0 or 1.
using typed_value = std::variant<std::uint64_t, std::chrono::milliseconds, std::string, std::filesystem::path, address,
                                 text_list, text_table, text_map>;

// The kinds of value an option may have, with their bounds; both bounds are allowed.
struct whole_number {
  std::uint64_t least, most;
};
struct byte_size {
  std::uint64_t least, most;
};
struct duration {
  std::chrono::milliseconds least, most;
};
struct word {
  std::span<const std::string_view> words;
};
struct boolean {};
struct file_path {};
struct optional_path {};  // "": none
struct socket_path {};    // bounded by sockaddr_un
struct domain_name {};    // RFC 7622 §3.2, kept enforced
struct inet_address {};   // numeric, with a port
struct storage_url {};
struct peer_endpoint {};  // "host:port" or "": none
/// An array of strings, each of that kind (list_items.hpp).
enum class list_item : std::uint8_t { dns_server, path, zone, network, forbidden_network, origin };
struct list_of {
  list_item item;
};
struct stub_zones {};   // zones to arrays of name servers
struct alpn_routes {};  // names of protocols to routes; what is left out keeps its default
struct sni_routes {};   // names of servers to routes
using value_kind =
    std::variant<whole_number, byte_size, duration, word, boolean, file_path, optional_path, socket_path, domain_name,
                 inet_address, storage_url, peer_endpoint, list_of, stub_zones, alpn_routes, sni_routes>;

/// What would be right: `a duration from "100ms" to "1h"`. Completes "write …".
[[nodiscard]] std::string describe(const value_kind&);

/// Reads a value; relative paths start at `directory` (a storage URL keeps its own, see load). The error completes a
/// sentence of which the value is the subject: "is too small".
[[nodiscard]] std::expected<typed_value, std::string> read_value(const value_kind&, const raw_value&,
                                                                 const std::filesystem::path& directory);

/// The value whole, as it would stand in a TOML file; and one of the operator's for a message, in_quotes if a string.
[[nodiscard]] std::string written(const value_kind&, const typed_value&);
[[nodiscard]] std::string written(const raw_value&);

/// "5s", "250ms", "10m", "1h": digits and a unit.
[[nodiscard]] std::expected<std::chrono::milliseconds, std::string> read_duration(std::string_view);
/// "10000", "256KiB", "1MiB", "1GiB".
[[nodiscard]] std::expected<std::uint64_t, std::string> read_size(std::string_view);
/// "[::1]:5222", "127.0.0.1:5222"; the host comes out in its shortest form.
[[nodiscard]] std::expected<address, std::string> read_address(std::string_view);

/// Text of the operator's, made fit for a message: in double quotes, control characters escaped as TOML does, bytes
/// that are not UTF-8 as \xNN, at most 80 characters.
[[nodiscard]] std::string in_quotes(std::string_view);

}  // namespace comity::config
