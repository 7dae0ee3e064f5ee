// dns/rdata.hpp: reads the data of records as they are on the wire. Pure, and strict: the bytes come from strangers,
// and what is not whole and right to the last byte is no record.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "dns/answer.hpp"

namespace comity::dns {

/// A host name, uncompressed (RFC 1035 §3.1, RFC 2782), that fills all of `wire`: in lower case, without the dot at its
/// end, "" for the root. nullopt where a label has other characters than letters, digits, "-" and "_": a "." or a
/// control character in one would make another name of it in text.
[[nodiscard]] std::optional<std::string> read_name(std::span<const std::uint8_t> wire);

/// nullopt: malformed.
[[nodiscard]] std::optional<srv_record> read_srv(std::span<const std::uint8_t> rdata);    // RFC 2782
[[nodiscard]] std::optional<tlsa_record> read_tlsa(std::span<const std::uint8_t> rdata);  // RFC 6698 §2.1

/// Adds a record of `to`'s type, or counts it as malformed.
void add_record(answer& to, std::span<const std::uint8_t> rdata);

/// `name` as it is asked for and compared: in lower case, without a dot at its end. nullopt where it cannot be a host's
/// or service's name in the DNS: characters as for read_name, labels of 1 to 63 and 253 in all (RFC 1035 §2.3.4).
[[nodiscard]] std::optional<std::string> folded_name(std::string_view name);

}  // namespace comity::dns
