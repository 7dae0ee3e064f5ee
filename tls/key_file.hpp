// tls/key_file.hpp: what is published of a key that a file holds, before any certificate is made of it.
#pragma once

#include <expected>
#include <filesystem>
#include <string>

namespace comity::tls {

/// SHA2-256, raw, of the public key with its algorithm: the data of a TLSA record "3 1 1" (RFC 6698 §2.1). `file` is
/// PEM and holds a private or a public key. The error says what is wrong with the file, and what would be right. Any
/// thread; reads the file.
[[nodiscard]] std::expected<std::string, std::string> public_key_sha256(const std::filesystem::path& file);

}  // namespace comity::tls
