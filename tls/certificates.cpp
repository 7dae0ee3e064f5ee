// Loading and judging our own certificates.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>

#include "tls/certificate_table.hpp"
#include "tls/identity.hpp"
#include "tls/key_owner.hpp"
#include "tls/pem_file.hpp"
#include "tls/x509_values.hpp"

namespace comity::tls {

namespace {

struct key_free {
  void operator()(EVP_PKEY* k) const noexcept { EVP_PKEY_free(k); }
};
using key_ptr = std::unique_ptr<EVP_PKEY, key_free>;
constexpr int smallest_curve = 224;

std::string date(std::chrono::system_clock::time_point t) {
  const auto seconds = std::chrono::system_clock::to_time_t(t);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

/// What makes a key too weak to serve with (RFC 9325 §4.5, F04); "" where nothing does.
std::string weakness(const EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  if (EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "RSA-PSS") == 1) {
    return bits < certificate_limits::smallest_rsa ? "has an RSA key of " + std::to_string(bits) +
                                                         " bits; use one of at least 2048 bits, or an "
                                                         "EC key on P-256"
                                                   : std::string{};
  }
  if (EVP_PKEY_is_a(key, "EC") == 1 && bits < smallest_curve) {
    return "has an EC key of " + std::to_string(bits) + " bits; use a curve of at least 224 bits, such as P-256";
  }
  static constexpr std::array<const char*, 5> served{"RSA", "RSA-PSS", "EC", "ED25519", "ED448"};
  const bool known = std::ranges::any_of(served, [&](const char* name) { return EVP_PKEY_is_a(key, name) == 1; });
  return known ? std::string{} : "has a key of a kind that TLS clients do not take; use an EC key on P-256";
}

std::string weak_signature(const X509* certificate) {
  int digest = NID_undef;
  if (OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &digest, nullptr) == 1 &&
      (digest == NID_sha1 || digest == NID_md5)) {
    return std::string{"is signed with "} + OBJ_nid2sn(digest) + "; have it issued anew with SHA-256";
  }
  return {};
}

/// Is it the domain's by a name that clients or servers look for?
bool names(const peer_credentials& own, const std::string& domain) {
  const auto presented = identifiers(own);
  return std::ranges::any_of(std::array{xmpp_service::client, xmpp_service::server}, [&](xmpp_service service) {
    const std::array reference{reference_identity::service_domain(domain, {}, service)};
    return static_cast<bool>(match_identity(presented, reference));
  });
}

/// The private key must be ours alone (THREATS §3).
std::string exposure(std::FILE* file) {
  struct stat facts{};
  if (::fstat(::fileno(file), &facts) != 0) {
    return "cannot be looked at; make it an ordinary file";
  }
  return exposure({.owner = facts.st_uid, .group = facts.st_gid, .mode = facts.st_mode}, key_reader::self());
}

}  // namespace

bool load_certificate(SSL_CTX* context, const host_certificate& host, std::size_t index, loaded_certificate& loaded,
                      std::vector<certificate_fault>& faults) {
  const auto before = faults.size();
  const auto blame = [&](bool in_key, std::string what) { faults.push_back({index, in_key, std::move(what)}); };
  ERR_clear_error();

  std::string fault;
  std::vector<x509_ptr> chain;
  if (const auto file = open_pem(host.certificate_file, fault)) {
    while (auto* c = PEM_read_X509(file.get(), nullptr, nullptr, nullptr)) {
      chain.emplace_back(c);
    }
    if (chain.empty()) {
      blame(false, "holds no certificate; it has to be PEM, with the host's own certificate first");
    } else if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
      blame(false, "is damaged behind its first " + std::to_string(chain.size()) +
                       " certificates; every certificate of its chain has to be whole");
    }
  } else {
    blame(false, fault);
  }
  key_ptr key;
  if (const auto file = open_pem(host.private_key_file, fault)) {
    if (auto exposed = exposure(file.get()); !exposed.empty()) {
      blame(true, std::move(exposed));
    }
    key.reset(PEM_read_PrivateKey(file.get(), nullptr, nullptr, const_cast<char*>("")));
    if (!key) {
      blame(true, "holds no private key; it has to be PEM without a pass phrase");
    }
  } else {
    blame(true, fault);
  }
  if (!chain.empty()) {
    auto* leaf = chain.front().get();
    loaded.domain = host.domain;
    loaded.not_before = time_of(X509_get0_notBefore(leaf));
    loaded.not_after = time_of(X509_get0_notAfter(leaf));
    loaded.subject = one_line(X509_get_subject_name(leaf));
    loaded.issuer = one_line(X509_get_issuer_name(leaf));
    loaded.dns_names = identifiers(hold(leaf, nullptr)).dns;
    loaded.sha256 = sha256_of(leaf);
    loaded.names_domain = names(hold(leaf, nullptr), host.domain);

    const auto now = std::chrono::system_clock::now();
    if (loaded.not_after < now) {
      blame(false, "expired at " + date(loaded.not_after) + "; renew it");
    }
    if (loaded.not_before > now) {
      blame(false, "is not valid before " + date(loaded.not_before) + "; use the one that is valid now");
    }
    if (auto weak = weakness(X509_get0_pubkey(leaf)); !weak.empty()) {
      blame(false, std::move(weak));
    }
    for (const auto& c : chain) {
      const bool self_issued = X509_NAME_cmp(X509_get_subject_name(c.get()), X509_get_issuer_name(c.get())) == 0;
      if (auto weak = weak_signature(c.get()); !weak.empty() && (!self_issued || c.get() == leaf)) {
        blame(false, std::move(weak));
        break;
      }
    }
    if (key && X509_check_private_key(leaf, key.get()) != 1) {
      blame(true, "does not belong to the certificate; name the key that the certificate was issued for");
    }
  }
  ERR_clear_error();
  if (faults.size() != before) {
    return false;
  }
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1 || SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
    blame(false, "cannot be served: it is too weak for TLS; use an EC key on P-256 or RSA of at least 2048 bits");
    ERR_clear_error();
    return false;
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) {
      blame(false, "cannot be served: a certificate of its chain is too weak for TLS; have it issued anew");
      ERR_clear_error();
      return false;
    }
  }
  return true;
}

}  // namespace comity::tls
