// connection/precis.hpp: the Unicode side of addresses: PRECIS string classes and IDNA names, on ICU.
//
// Slow paths only: `jid` answers ASCII by itself, with the same results. All functions are pure and may be called from
// any thread. Input and output are UTF-8; each result is a fixed point of the function that made it (RFC 8264 §7).
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace comity::precis {

enum class fault : std::uint8_t { bad_utf8, disallowed };

/// RFC 8265 §3.3 UsernameCaseMapped, without the characters RFC 7622 §3.3.1 excludes further. The result may be empty.
[[nodiscard]] std::expected<std::string, fault> username_case_mapped(std::string_view);

/// RFC 8265 §4.2 OpaqueString. The result may be empty.
[[nodiscard]] std::expected<std::string, fault> opaque_string(std::string_view);

/// A domain name as U-labels by IDNA2008 with the mappings of UTS #46, non-transitional. Empty labels are refused,
/// but for the one behind a final dot, which is taken off.
[[nodiscard]] std::expected<std::string, fault> to_u_labels(std::string_view);

/// The A-labels of a name that to_u_labels() has made.
[[nodiscard]] std::expected<std::string, fault> to_a_labels(std::string_view);

/// RFC 4013 SASLprep for stored strings: unassigned code points are refused. The result may be empty.
[[nodiscard]] std::expected<std::string, fault> saslprep(std::string_view);

}  // namespace comity::precis
