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
using key_ptr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using x509_ptr = std::unique_ptr<X509, decltype(&X509_free)>;

file_ptr create(const std::filesystem::path& path) {
  file_ptr file{std::fopen(path.c_str(), "w"), &std::fclose};
  if (!file) {
    throw std::runtime_error{"cannot write " + path.string()};
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return file;
}

struct pair {
  key_ptr key;
  x509_ptr certificate;
};

void extend(X509* c, int kind, const std::string& value) {
  auto* e = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
  if (e == nullptr || X509_add_ext(c, e, -1) != 1) {
    throw std::runtime_error{"cannot extend by " + value};
  }
  X509_EXTENSION_free(e);
}

/// Signed by `issuer`, or by its own key without one.
pair make(const certificate_plan& plan, const pair* issuer, bool authority) {
  pair made{
      key_ptr{plan.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(plan.rsa_bits)) : EVP_EC_gen(plan.curve.c_str()),
              &EVP_PKEY_free},
      x509_ptr{X509_new(), &X509_free}};
  auto* c = made.certificate.get();
  X509_set_version(c, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
  X509_gmtime_adj(X509_getm_notBefore(c), plan.from);
  X509_gmtime_adj(X509_getm_notAfter(c), plan.until);
  auto* name = X509_get_subject_name(c);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(plan.domain.c_str()), -1,
                             -1, 0);
  X509_set_issuer_name(c, issuer != nullptr ? X509_get_subject_name(issuer->certificate.get()) : name);
  X509_set_pubkey(c, made.key.get());
  if (authority) {
    extend(c, NID_basic_constraints, "critical,CA:TRUE");
  } else {
    auto names = "DNS:" + plan.domain;
    for (const auto& more : plan.more_names) {
      names += ",DNS:" + more;
    }
    extend(c, NID_subject_alt_name, names);
  }
  if (X509_sign(c, (issuer != nullptr ? issuer->key : made.key).get(), plan.sha1 ? EVP_sha1() : EVP_sha256()) == 0) {
    throw std::runtime_error{"cannot sign"};
  }
  return made;
}

}  // namespace

tls::host_certificate write_certificate(const std::filesystem::path& directory, const certificate_plan& plan) {
  tls::host_certificate out{plan.domain, directory / (plan.domain + ".crt"), directory / (plan.domain + ".key")};
  const auto file = create(out.certificate_file);
  const auto write = [&](const pair& made) {
    PEM_write_X509(file.get(), made.certificate.get());
    PEM_write_PrivateKey(create(out.private_key_file).get(), made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  };
  if (!plan.by_authority) {
    write(make(plan, nullptr, false));
    return out;
  }
  const auto root = make({.domain = "Root"}, nullptr, true);
  const auto intermediate = make({.domain = "Intermediate"}, &root, true);
  write(make(plan, &intermediate, false));
  PEM_write_X509(file.get(), intermediate.certificate.get());
  return out;
}

}  // namespace comity::fakes
