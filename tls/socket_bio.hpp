// tls/socket_bio.hpp: OpenSSL's way to a borrowed non-blocking socket. Private to tls.
#pragma once

#include <openssl/bio.h>

namespace comity::tls {

/// A BIO on `descriptor`, which it never closes. Unlike OpenSSL's own it raises no SIGPIPE. nullptr without memory.
[[nodiscard]] BIO* new_socket_bio(int descriptor) noexcept;

}  // namespace comity::tls
