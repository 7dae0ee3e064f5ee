#include "fakes/certificate_builder.hpp"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace comity::fakes {

namespace {
using file_ptr = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

file_ptr create(const std::filesystem::path& path) {
  file_ptr file{std::fopen(path.c_str(), "w"), &std::fclose};
  if (!file) {
    throw std::runtime_error{"cannot write " + path.string()};
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return file;
}
}  // namespace

tls::host_certificate write_certificate(const std::filesystem::path& directory, const certificate_plan& plan) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      plan.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(plan.rsa_bits)) : EVP_EC_gen("P-256"), &EVP_PKEY_free};
  const std::unique_ptr<X509, decltype(&X509_free)> made{X509_new(), &X509_free};
  auto* c = made.get();
  X509_set_version(c, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
  X509_gmtime_adj(X509_getm_notBefore(c), plan.from);
  X509_gmtime_adj(X509_getm_notAfter(c), plan.until);
  auto* name = X509_get_subject_name(c);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(plan.domain.c_str()), -1,
                             -1, 0);
  X509_set_issuer_name(c, name);
  X509_set_pubkey(c, key.get());
  auto* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, ("DNS:" + plan.domain).c_str());
  X509_add_ext(c, names, -1);
  X509_EXTENSION_free(names);
  if (X509_sign(c, key.get(), plan.sha1 ? EVP_sha1() : EVP_sha256()) == 0) {
    throw std::runtime_error{"cannot sign"};
  }
  tls::host_certificate out{plan.domain, directory / (plan.domain + ".crt"), directory / (plan.domain + ".key")};
  PEM_write_X509(create(out.certificate_file).get(), c);
  PEM_write_PrivateKey(create(out.private_key_file).get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return out;
}

}  // namespace comity::fakes
