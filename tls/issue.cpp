#include "tls/issue.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <stdexcept>
#include <string_view>

#include "tls/crypto.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

namespace {

struct key_free {
  void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, key_free>;
struct bio_free {
  void operator()(BIO* b) const noexcept { BIO_free(b); }
};
using bio_ptr = std::unique_ptr<BIO, bio_free>;
struct number_free {
  void operator()(BIGNUM* n) const noexcept { BN_free(n); }
};

/// RFC 5280 §4.1.2.2: positive, not above 20 octets, not to be guessed.
constexpr std::size_t serial_octets = 16;
/// A clock that is behind takes what was made just now all the same.
constexpr long backdated = 3600;
/// RFC 5280 appendix A.1, ub-common-name.
constexpr std::size_t longest_common_name = 64;

void must(bool done) {
  if (!done) {
    throw std::runtime_error{"OpenSSL cannot make a certificate"};
  }
}

std::string text_of(BIO* memory) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

std::string pem(X509* certificate) {
  const bio_ptr out{BIO_new(BIO_s_mem())};
  must(out && PEM_write_bio_X509(out.get(), certificate) == 1);
  return text_of(out.get());
}

secret pem(EVP_PKEY* key) {
  const bio_ptr out{BIO_new(BIO_s_secmem())};
  must(out && PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return secret{text_of(out.get())};
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  must(made != nullptr);
  const int added = X509_add_ext(certificate, made, -1);
  X509_EXTENSION_free(made);
  must(added == 1);
}

/// All but what tells an authority from a host.
x509_ptr blank(const std::string& name, EVP_PKEY* key, std::chrono::days life) {
  x509_ptr c{X509_new()};
  must(c && X509_set_version(c.get(), X509_VERSION_3) == 1);
  auto serial = random_bytes(serial_octets);
  serial[0] = static_cast<char>(static_cast<unsigned char>(serial[0]) & 0x7fU);
  const std::unique_ptr<BIGNUM, number_free> number{
      BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), static_cast<int>(serial.size()), nullptr)};
  must(number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(c.get())) != nullptr);
  must(X509_gmtime_adj(X509_getm_notBefore(c.get()), -backdated) != nullptr);
  must(X509_gmtime_adj(X509_getm_notAfter(c.get()), std::chrono::seconds{life}.count()) != nullptr);
  must(X509_set_pubkey(c.get(), key) == 1);
  const auto common = name.substr(0, longest_common_name);
  must(X509_NAME_add_entry_by_txt(X509_get_subject_name(c.get()), "CN", MBSTRING_UTF8,
                                  reinterpret_cast<const unsigned char*>(common.data()),
                                  static_cast<int>(common.size()), -1, 0) == 1);
  return c;
}

void sign(X509* certificate, EVP_PKEY* by) {
  must(X509_sign(certificate, by, EVP_sha256()) > 0);
}

int no_password(char* /*to*/, int /*size*/, int /*writing*/, void* /*unused*/) {
  return -1;
}

}  // namespace

pem_pair make_authority(const std::string& name, std::chrono::days life) {
  const key_ptr key{EVP_EC_gen("P-256")};
  must(key != nullptr);
  const auto made = blank(name, key.get(), life);
  must(X509_set_issuer_name(made.get(), X509_get_subject_name(made.get())) == 1);
  extend(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  extend(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(made.get(), made.get(), NID_subject_key_identifier, "hash");
  sign(made.get(), key.get());
  return {.certificate = pem(made.get()), .private_key = pem(key.get())};
}

std::expected<pem_pair, std::string> issue(const pem_pair& authority, const std::string& domain,
                                           std::chrono::days life) {
  const bio_ptr certificate{
      BIO_new_mem_buf(authority.certificate.data(), static_cast<int>(authority.certificate.size()))};
  const bio_ptr private_key{
      BIO_new_mem_buf(authority.private_key.reveal().data(), static_cast<int>(authority.private_key.size()))};
  must(certificate && private_key);
  const x509_ptr issuer{PEM_read_bio_X509(certificate.get(), nullptr, no_password, nullptr)};
  const key_ptr issuer_key{PEM_read_bio_PrivateKey(private_key.get(), nullptr, no_password, nullptr)};
  if (!issuer || !issuer_key || X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
    ERR_clear_error();
    return std::unexpected{"the authority's certificate and key are not PEM, or do not belong together"};
  }
  const key_ptr key{EVP_EC_gen("P-256")};
  must(key != nullptr);
  const auto made = blank(domain, key.get(), life);
  must(X509_set_issuer_name(made.get(), X509_get_subject_name(issuer.get())) == 1);
  extend(made.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(made.get(), issuer.get(), NID_key_usage, "critical,digitalSignature");
  extend(made.get(), issuer.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  extend(made.get(), issuer.get(), NID_subject_alt_name, "DNS:" + domain);
  extend(made.get(), issuer.get(), NID_subject_key_identifier, "hash");
  extend(made.get(), issuer.get(), NID_authority_key_identifier, "keyid:always");
  sign(made.get(), issuer_key.get());
  return pem_pair{.certificate = pem(made.get()), .private_key = pem(key.get())};
}

}  // namespace comity::tls
