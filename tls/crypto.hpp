// tls/crypto.hpp: the few primitives that SCRAM, stream ids and dialback keys are made of, on OpenSSL.
// Any thread. Failures of the library itself throw std::runtime_error: they mean a broken machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace comity::tls {

enum class hash : std::uint8_t { sha1, sha256, sha512 };
[[nodiscard]] std::size_t digest_size(hash) noexcept;

[[nodiscard]] std::string digest(hash, std::string_view bytes);
[[nodiscard]] std::string hmac(hash, std::string_view key, std::string_view bytes);
/// PBKDF2-HMAC (RFC 5802 Hi()). Slow by design: never on a loop.
[[nodiscard]] std::string pbkdf2(hash, std::string_view password, std::string_view salt, std::uint32_t iterations);
/// `count` bytes from the system's generator.
[[nodiscard]] std::string random_bytes(std::size_t count);
/// `bits` (a multiple of 6) of randomness, as URL-safe base64 letters: nonces, stream ids, resources.
[[nodiscard]] std::string random_token(std::size_t bits);
/// Equal, in time that depends on the lengths alone.
[[nodiscard]] bool equal_constant_time(std::string_view a, std::string_view b) noexcept;
/// Overwrites and empties.
void cleanse(std::string& secret) noexcept;

[[nodiscard]] std::string base64_encode(std::string_view bytes);
/// RFC 4648 §4 with padding, strictly: no white space, no stray bits. nullopt where it is none.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
[[nodiscard]] std::string hex(std::string_view bytes);

}  // namespace comity::tls
