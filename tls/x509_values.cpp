#include "tls/x509_values.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <stdexcept>

namespace comity::tls {

namespace {

constexpr std::size_t longest_line = 256;

bool is_rsa(const EVP_PKEY* key) {
  return EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "RSA-PSS") == 1;
}

int exponent_bits(const EVP_PKEY* key) {
  BIGNUM* e = nullptr;
  EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e);
  const int bits = e != nullptr ? BN_num_bits(e) : 0;
  BN_free(e);
  return bits;
}

}  // namespace

peer_credentials hold(X509* leaf, const STACK_OF(X509) * issuers) {
  auto inside = std::make_shared<peer_credentials::held>();
  inside->issuers.reset(sk_X509_new_null());
  if (!inside->issuers || X509_up_ref(leaf) != 1) {
    throw std::runtime_error{"OpenSSL cannot hold a certificate"};
  }
  inside->leaf.reset(leaf);
  for (int i = 0; i < sk_X509_num(issuers); ++i) {
    auto* c = sk_X509_value(issuers, i);
    if (i == 0 && X509_cmp(c, leaf) == 0) {
      continue;
    }
    if (X509_add_cert(inside->issuers.get(), c, X509_ADD_FLAG_UP_REF) != 1) {
      throw std::runtime_error{"OpenSSL cannot hold a chain"};
    }
  }
  return peer_credentials{std::move(inside)};
}

STACK_OF(X509) * served_issuers(SSL_CTX* context) {
  STACK_OF(X509)* issuers = nullptr;
  SSL_CTX_ctrl(context, SSL_CTRL_GET_CHAIN_CERTS, 0, static_cast<void*>(&issuers));
  return issuers;
}

std::chrono::system_clock::time_point time_of(const ASN1_TIME* t) {
  using std::chrono::system_clock;
  std::tm parts{};
  if (ASN1_TIME_to_tm(t, &parts) != 1) {
    return system_clock::time_point::min();  // of a malformed date
  }
  const std::chrono::seconds seconds{::timegm(&parts)};
  const auto first = std::chrono::ceil<std::chrono::seconds>(system_clock::time_point::min().time_since_epoch());
  const auto last = std::chrono::floor<std::chrono::seconds>(system_clock::time_point::max().time_since_epoch());
  return system_clock::time_point{std::clamp(seconds, first, last)};
}

std::string one_line(const X509_NAME* name) {
  const std::unique_ptr<BIO, decltype(&BIO_free_all)> out{BIO_new(BIO_s_mem()), &BIO_free_all};
  X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
  char* bytes = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &bytes);
  return {bytes, std::min(static_cast<std::size_t>(size), longest_line)};
}

std::string sha256_of(const X509* c) {
  std::string sum(32, '\0');
  X509_digest(c, EVP_sha256(), reinterpret_cast<unsigned char*>(sum.data()), nullptr);
  return hex(sum);
}

std::string to_der(const STACK_OF(X509) * stack) {
  std::string out;
  for (int i = 0; i < sk_X509_num(stack); ++i) {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(sk_X509_value(stack, i), &bytes);
    if (size > 0) {
      out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    }
    OPENSSL_free(bytes);
  }
  return out;
}

x509_stack from_der(std::string_view der) {
  x509_stack out{sk_X509_new_null()};
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const auto* end = at + der.size();
  while (out && at != end) {
    const x509_ptr c{d2i_X509(nullptr, &at, end - at)};
    if (!c || X509_add_cert(out.get(), c.get(), X509_ADD_FLAG_UP_REF) != 1) {
      break;
    }
  }
  return out;
}

std::string excess_of(const EVP_PKEY* key) {
  if (key == nullptr) {
    return {};
  }
  const int bits = EVP_PKEY_get_bits(key);
  if (bits > certificate_limits::largest_rsa) {
    return "a key of " + std::to_string(bits) + " bits";
  }
  if (is_rsa(key) && exponent_bits(key) > certificate_limits::largest_exponent) {
    return "a public exponent of " + std::to_string(exponent_bits(key)) + " bits";
  }
  int explicit_curve = 0;
  if (EVP_PKEY_is_a(key, "EC") == 1 &&
      EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve) == 1 &&
      explicit_curve != 0) {
    return "a curve given by its parameters";  // RFC 5480 §2.1.1 forbids them; CVE-2022-0778
  }
  return {};
}

std::string excess_of(X509* c, bool leaf) {
  const auto* key = X509_get0_pubkey(c);
  if (auto why = excess_of(key); !why.empty()) {
    return why;
  }
  if (leaf && key != nullptr && is_rsa(key) && EVP_PKEY_get_bits(key) < certificate_limits::smallest_rsa) {
    return "an RSA key of " + std::to_string(EVP_PKEY_get_bits(key)) + " bits";  // F04, RFC 9325 §4.5
  }
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(c, NID_subject_alt_name, nullptr, nullptr));
  const int count = sk_GENERAL_NAME_num(names);
  GENERAL_NAMES_free(names);
  if (count > static_cast<int>(certificate_limits::names)) {
    return std::to_string(count) + " names";
  }
  return {};
}

}  // namespace comity::tls
