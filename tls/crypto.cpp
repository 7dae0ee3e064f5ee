#include "tls/crypto.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <memory>
#include <stdexcept>

namespace comity::tls {

namespace {

[[noreturn]] void broken(const char* what) {
  throw std::runtime_error{std::string{"OpenSSL cannot "} + what};
}

const unsigned char* bytes_of(std::string_view s) noexcept {
  return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* bytes_of(std::string& s) noexcept {
  return reinterpret_cast<unsigned char*>(s.data());
}

const char* name_of(hash h) noexcept {
  switch (h) {
    case hash::sha1:
      return "SHA1";
    case hash::sha256:
      return "SHA256";
    case hash::sha512:
      return "SHA512";
  }
  return "";
}

/// Fetched once: a fetch by name costs more than the digest of a short text.
const EVP_MD* digest_of(hash h) {
  static const std::array<EVP_MD*, 3> fetched{EVP_MD_fetch(nullptr, "SHA1", nullptr),
                                              EVP_MD_fetch(nullptr, "SHA256", nullptr),
                                              EVP_MD_fetch(nullptr, "SHA512", nullptr)};
  const auto* md = fetched.at(static_cast<std::size_t>(h));
  if (md == nullptr) {
    broken(name_of(h));
  }
  return md;
}

struct mac_free {
  void operator()(EVP_MAC_CTX* m) const noexcept { EVP_MAC_CTX_free(m); }
};

/// One a thread and hash: a new one looks its digest up by name, which takes longer than the MAC of a short text.
EVP_MAC_CTX* mac_of(hash h) {
  static EVP_MAC* const algorithm = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  static thread_local std::array<std::unique_ptr<EVP_MAC_CTX, mac_free>, 3> contexts;
  auto& mine = contexts.at(static_cast<std::size_t>(h));
  if (!mine) {
    std::string name{name_of(h)};
    const std::array<OSSL_PARAM, 2> parameters{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name.data(), name.size()), OSSL_PARAM_construct_end()};
    std::unique_ptr<EVP_MAC_CTX, mac_free> made{EVP_MAC_CTX_new(algorithm)};
    if (!made || EVP_MAC_CTX_set_params(made.get(), parameters.data()) != 1) {
      broken("compute a MAC");
    }
    mine = std::move(made);
  }
  return mine.get();
}

constexpr std::string_view url_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::size_t digest_size(hash h) noexcept {
  return h == hash::sha1 ? 20 : h == hash::sha256 ? 32 : 64;
}

std::string digest(hash h, std::string_view bytes) {
  std::string out(digest_size(h), '\0');
  if (EVP_Digest(bytes.data(), bytes.size(), bytes_of(out), nullptr, digest_of(h), nullptr) != 1) {
    broken("hash");
  }
  return out;
}

std::string hmac(hash h, std::string_view key, std::string_view bytes) {
  static constexpr std::string_view no_key{"no key"};
  auto* const context = mac_of(h);
  std::string out(digest_size(h), '\0');
  std::size_t size = 0;
  if (EVP_MAC_init(context, bytes_of(key), key.size(), nullptr) != 1 ||
      EVP_MAC_update(context, bytes_of(bytes), bytes.size()) != 1 ||
      EVP_MAC_final(context, bytes_of(out), &size, out.size()) != 1 ||
      EVP_MAC_init(context, bytes_of(no_key), no_key.size(), nullptr) != 1) {  // it forgets the key
    broken("compute a MAC");
  }
  return out;
}

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(bytes_of(out), static_cast<int>(count)) != 1) {
    broken("give random bytes");
  }
  return out;
}

std::string random_token(std::size_t bits) {
  auto out = random_bytes((bits + 5) / 6);
  for (auto& c : out) {
    c = url_alphabet[static_cast<unsigned char>(c) & 63U];
  }
  return out;
}

bool equal_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void cleanse(std::string& secret) noexcept {
  // All of the capacity: a short string that was moved from still has its bytes in place.
  secret.resize(secret.capacity());
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto at = [&](std::size_t k) -> std::uint32_t {
      return k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0U;
    };
    const std::uint32_t word = at(i) << 16U | at(i + 1) << 8U | at(i + 2);
    out += alphabet[word >> 18U];
    out += alphabet[word >> 12U & 63U];
    out += i + 1 < bytes.size() ? alphabet[word >> 6U & 63U] : '=';
    out += i + 2 < bytes.size() ? alphabet[word & 63U] : '=';
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) {
    return std::nullopt;
  }
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    const bool last = i + 4 == text.size();
    const std::size_t padding = !last ? 0 : text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
    std::uint32_t word = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      std::uint32_t value = 0;
      if (k < 4 - padding) {
        const auto found = alphabet.find(text[i + k]);
        if (found == std::string_view::npos) {
          return std::nullopt;
        }
        value = static_cast<std::uint32_t>(found);
      }
      word = word << 6U | value;
    }
    // RFC 4648 §3.5: bits that carry nothing are zero.
    if ((padding == 1 && (word & 0xffU) != 0) || (padding == 2 && (word & 0xffffU) != 0)) {
      return std::nullopt;
    }
    out += static_cast<char>(word >> 16U);
    if (padding < 2) {
      out += static_cast<char>(word >> 8U & 0xffU);
    }
    if (padding < 1) {
      out += static_cast<char>(word & 0xffU);
    }
  }
  return out;
}

std::string hex(std::string_view bytes) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4U];
    out += digits[static_cast<unsigned char>(c) & 15U];
  }
  return out;
}

}  // namespace comity::tls
