// tls/failure.hpp: OpenSSL's errors, and strangers' words, in the terms of an operator. Private to tls.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tls/stream.hpp"

namespace comity::tls {

struct connection_state;

/// What a handshake or a record failed of: what our callbacks saw, else OpenSSL's `error`.
[[nodiscard]] tls_failure failure_of(unsigned long error, const connection_state&);

/// A stranger's text as a part of one line: printable ASCII, cut behind so many octets.
[[nodiscard]] std::string printable(std::string_view text, std::size_t longest = 120);

}  // namespace comity::tls
