#include "tls/key_file.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstdio>
#include <memory>

#include "tls/crypto.hpp"
#include "tls/pem_file.hpp"

namespace comity::tls {

namespace {

struct key_free {
  void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, key_free>;

/// Nobody is asked for the password of an encrypted key.
int no_password(char* /*to*/, int /*size*/, int /*writing*/, void* /*unused*/) {
  return -1;
}

}  // namespace

std::expected<std::string, std::string> public_key_sha256(const std::filesystem::path& path) {
  std::string fault;
  const auto file = open_pem(path, fault);
  if (!file) {
    return std::unexpected{std::move(fault)};
  }
  key_ptr key{PEM_read_PrivateKey(file.get(), nullptr, no_password, nullptr)};
  if (!key) {
    (void)std::fseek(file.get(), 0, SEEK_SET);
    key.reset(PEM_read_PUBKEY(file.get(), nullptr, no_password, nullptr));
  }
  ERR_clear_error();
  if (!key) {
    return std::unexpected{
        "holds no key; it has to be a PEM file with a private key without a password, or a public one"};
  }
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key.get(), &der);
  if (size <= 0) {
    ERR_clear_error();
    return std::unexpected{"holds a key that has no public part; use an RSA, EC or Ed25519 key"};
  }
  const std::string all{reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)};
  OPENSSL_free(der);
  return digest(hash::sha256, all);
}

}  // namespace comity::tls
