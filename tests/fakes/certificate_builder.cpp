#include "fakes/certificate_builder.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <stdexcept>

#include "tls/x509_values.hpp"

namespace comity::fakes {

namespace {

template <class T>
using made = std::unique_ptr<T, void (*)(T*)>;

void need(bool good, const std::string& what) {
  if (!good) {
    throw std::runtime_error{"cannot " + what};
  }
}

std::string bytes_of(int size, unsigned char* bytes) {
  need(size > 0, "encode");
  std::string out{reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
  OPENSSL_free(bytes);
  return out;
}

void extend(X509* c, int kind, const std::string& value) {
  const made<X509_EXTENSION> e{X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()), &X509_EXTENSION_free};
  need(e && X509_add_ext(c, e.get(), -1) == 1, "extend by " + value);
}

ASN1_STRING* string_of(int type, const std::string& bytes) {
  auto* s = ASN1_STRING_type_new(type);
  need(s != nullptr && ASN1_STRING_set(s, bytes.data(), static_cast<int>(bytes.size())) == 1, "hold a string");
  return s;
}

GENERAL_NAME* other_name(int kind, int type, const std::string& bytes) {
  auto* name = GENERAL_NAME_new();
  auto* value = ASN1_TYPE_new();
  ASN1_TYPE_set(value, type, string_of(type, bytes));
  need(GENERAL_NAME_set0_othername(name, OBJ_nid2obj(kind), value) == 1, "name by " + bytes);
  return name;
}

GENERAL_NAME* plain_name(int type, const std::string& bytes) {
  auto* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, type, string_of(V_ASN1_IA5STRING, bytes));
  return name;
}

GENERAL_NAME* name_of(const std::string& text) {
  const auto kind = text.substr(0, text.find(':'));
  const auto bytes = text.substr(kind.size() + 1);
  if (kind == "DNS") {
    return plain_name(GEN_DNS, bytes);
  }
  if (kind == "EMAIL") {
    return plain_name(GEN_EMAIL, bytes);
  }
  if (kind == "URI") {
    return plain_name(GEN_URI, bytes);
  }
  if (kind == "SRV") {
    return other_name(NID_SRVName, V_ASN1_IA5STRING, bytes);
  }
  if (kind == "SRV-UTF8") {  // of the wrong type
    return other_name(NID_SRVName, V_ASN1_UTF8STRING, bytes);
  }
  if (kind == "XMPP") {
    return other_name(NID_XmppAddr, V_ASN1_UTF8STRING, bytes);
  }
  if (kind == "XMPP-IA5") {  // of the wrong type
    return other_name(NID_XmppAddr, V_ASN1_IA5STRING, bytes);
  }
  throw std::runtime_error{"no such kind of name: " + text};
}

void name(X509* c, const std::vector<std::string>& texts) {
  const made<GENERAL_NAMES> names{GENERAL_NAMES_new(), &GENERAL_NAMES_free};
  for (const auto& text : texts) {
    sk_GENERAL_NAME_push(names.get(), name_of(text));
  }
  need(X509_add1_ext_i2d(c, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1, "name");
}

EVP_PKEY* new_key(const certificate_plan& plan) {
  if (plan.curve == "ED25519") {
    return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  }
  return plan.rsa_bits > 0 ? EVP_RSA_gen(static_cast<unsigned>(plan.rsa_bits)) : EVP_EC_gen(plan.curve.c_str());
}

long next_serial() {
  static std::atomic<long> last{0};
  return ++last;
}

made<BIO> memory() {
  return {BIO_new(BIO_s_mem()), &BIO_free_all};
}

std::string text_in(BIO* bio) {
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(bio, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

}  // namespace

std::string issued::der() const {
  unsigned char* bytes = nullptr;
  return bytes_of(i2d_X509(certificate(), &bytes), bytes);
}

std::string issued::key_der() const {
  unsigned char* bytes = nullptr;
  return bytes_of(i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate()), &bytes), bytes);
}

issued issue(const certificate_plan& plan, const issued* by, EVP_PKEY* key) {
  const issued out{X509_new(), key != nullptr ? key : new_key(plan)};
  auto* c = out.certificate();
  X509_set_version(c, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(c), next_serial());
  X509_time_adj_ex(X509_getm_notBefore(c), 0, plan.from, nullptr);
  X509_time_adj_ex(X509_getm_notAfter(c), static_cast<int>(plan.until / 86400), plan.until % 86400, nullptr);
  auto* subject = X509_get_subject_name(c);
  X509_NAME_add_entry_by_txt(subject, "CN", V_ASN1_UTF8STRING,
                             reinterpret_cast<const unsigned char*>(plan.domain.data()),
                             static_cast<int>(plan.domain.size()), -1, 0);
  X509_set_issuer_name(c, by != nullptr ? X509_get_subject_name(by->certificate()) : subject);
  need(X509_set_pubkey(c, out.key()) == 1, "set a key");
  if (plan.authority) {
    extend(c, NID_basic_constraints, "critical,CA:TRUE");
  }
  if (plan.names) {
    if (!plan.names->empty()) {
      name(c, *plan.names);
    }
  } else if (!plan.authority) {
    std::vector<std::string> names{"DNS:" + plan.domain};
    for (const auto& more : plan.more_names) {
      names.push_back("DNS:" + more);
    }
    name(c, names);
  }
  if (!plan.purposes.empty()) {
    extend(c, NID_ext_key_usage, plan.purposes);
  }
  if (!plan.constraints.empty()) {
    extend(c, NID_name_constraints, "critical," + plan.constraints);
  }
  auto* signing = by != nullptr ? by->key() : out.key();
  const bool own_hash = EVP_PKEY_is_a(signing, "ED25519") == 1;
  need(X509_sign(c, signing, own_hash ? nullptr : plan.sha1 ? EVP_sha1() : EVP_sha256()) != 0, "sign");
  return out;
}

EVP_PKEY* public_rsa(int bits, int exponent_bits) {
  const made<BIGNUM> n{BN_new(), &BN_free}, e{BN_new(), &BN_free};
  BN_rand(n.get(), bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
  BN_rand(e.get(), exponent_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD);
  const made<OSSL_PARAM_BLD> build{OSSL_PARAM_BLD_new(), &OSSL_PARAM_BLD_free};
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(build.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  const made<OSSL_PARAM> parameters{OSSL_PARAM_BLD_to_param(build.get()), &OSSL_PARAM_free};
  const made<EVP_PKEY_CTX> context{EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), &EVP_PKEY_CTX_free};
  EVP_PKEY* key = nullptr;
  need(EVP_PKEY_fromdata_init(context.get()) == 1 &&
           EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1,
       "make a public key");
  return key;
}

EVP_PKEY* explicit_curve() {
  auto* key = EVP_EC_gen("P-256");
  need(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, OSSL_PKEY_EC_ENCODING_EXPLICIT) == 1,
       "make a curve of parameters");
  return key;
}

tls::peer_credentials presented(const issued& leaf, const std::vector<issued>& issuers) {
  const made<STACK_OF(X509)> stack{sk_X509_new_null(), [](STACK_OF(X509) * s) { sk_X509_free(s); }};
  for (const auto& c : issuers) {
    sk_X509_push(stack.get(), c.certificate());
  }
  return tls::hold(leaf.certificate(), stack.get());
}

std::string revocation_list(const issued& by, const std::vector<issued>& revoked, long from, long until) {
  const made<X509_CRL> list{X509_CRL_new(), &X509_CRL_free};
  X509_CRL_set_version(list.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(by.certificate()));
  const made<ASN1_TIME> begin{X509_gmtime_adj(nullptr, from), &ASN1_TIME_free};
  const made<ASN1_TIME> end{X509_gmtime_adj(nullptr, until), &ASN1_TIME_free};
  X509_CRL_set1_lastUpdate(list.get(), begin.get());
  X509_CRL_set1_nextUpdate(list.get(), end.get());
  for (const auto& c : revoked) {
    auto* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(c.certificate()));
    X509_REVOKED_set_revocationDate(entry, begin.get());
    X509_CRL_add0_revoked(list.get(), entry);
  }
  X509_CRL_sort(list.get());
  need(X509_CRL_sign(list.get(), by.key(), EVP_sha256()) != 0, "sign a list");
  const auto out = memory();
  PEM_write_bio_X509_CRL(out.get(), list.get());
  return text_in(out.get());
}

std::filesystem::path write(const std::filesystem::path& directory, const std::string& name, const std::string& text) {
  auto path = directory / name;
  std::ofstream file{path, std::ios::trunc};
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  file << text;
  file.close();
  need(file.good(), "write " + path.string());
  return path;
}

std::string pem(const std::vector<issued>& certificates) {
  const auto out = memory();
  for (const auto& c : certificates) {
    PEM_write_bio_X509(out.get(), c.certificate());
  }
  return text_in(out.get());
}

tls::host_certificate write_certificate(const std::filesystem::path& directory, const certificate_plan& plan) {
  if (!plan.by_authority) {
    return write_certificate(directory, plan.domain, issue(plan));
  }
  const auto root = issue({.domain = "Root", .authority = true});
  const auto intermediate = issue({.domain = "Intermediate", .authority = true}, &root);
  return write_certificate(directory, plan.domain, issue(plan, &intermediate), {intermediate});
}

tls::host_certificate write_certificate(const std::filesystem::path& directory, const std::string& domain,
                                        const issued& leaf, const std::vector<issued>& issuers) {
  std::vector<issued> all{leaf};
  all.insert(all.end(), issuers.begin(), issuers.end());
  const auto key = memory();
  PEM_write_bio_PrivateKey(key.get(), leaf.key(), nullptr, nullptr, 0, nullptr, nullptr);
  return {domain, write(directory, domain + ".crt", pem(all)), write(directory, domain + ".key", text_in(key.get()))};
}

}  // namespace comity::fakes
