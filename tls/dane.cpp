#include "tls/dane.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <stdexcept>

#include "dns/answer.hpp"
#include "tls/certificate_table.hpp"
#include "tls/path_check.hpp"

namespace comity::tls {

namespace {

struct ssl_free {
  void operator()(SSL* s) const noexcept { SSL_free(s); }
};
using ssl_ptr = std::unique_ptr<SSL, ssl_free>;

constexpr std::uint8_t certificate_selector = 0, key_selector = 1;
constexpr std::uint8_t matching_all = 0, matching_sha256 = 1, matching_sha512 = 2;
constexpr std::uint8_t dane_ee = 3;

[[noreturn]] void broken() {
  throw std::runtime_error{"OpenSSL cannot match TLSA records"};
}

/// An SSL that never speaks: OpenSSL keeps the records of a peer in one, and matches them off the handshake too.
ssl_ptr matcher() {
  static const context_ptr context = [] {
    context_ptr c{SSL_CTX_new(TLS_method())};
    if (!c || SSL_CTX_dane_enable(c.get()) != 1) {
      broken();
    }
    return c;
  }();
  ssl_ptr s{SSL_new(context.get())};
  if (!s || SSL_dane_enable(s.get(), nullptr) != 1) {  // names are matched by identity, which knows SRV-IDs too
    broken();
  }
  // RFC 7671 §5.1: of DANE-EE neither the name nor the date counts (B13); the date never does with OpenSSL.
  SSL_dane_set_flags(s.get(), DANE_FLAG_NO_DANE_EE_NAMECHECKS);
  return s;
}

/// A record may hold a whole certificate or key: within the same limits as those presented (THREATS B7).
bool within_limits(const dns::tlsa_record& record) {
  const auto* at = reinterpret_cast<const unsigned char*>(record.data.data());
  const auto size = static_cast<long>(record.data.size());
  if (record.selector == certificate_selector) {
    const x509_ptr c{d2i_X509(nullptr, &at, size)};
    return c && excess_of(c.get(), false).empty();
  }
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{d2i_PUBKEY(nullptr, &at, size), &EVP_PKEY_free};
  return key && excess_of(key.get()).empty();
}

/// False where the record is of no use (RFC 7671 §10.3). OpenSSL knows fields and lengths, and parses what is whole.
bool add(SSL* to, const dns::tlsa_record& r) {
  if (r.matching == matching_all && !within_limits(r)) {
    return false;
  }
  const int added = SSL_dane_tlsa_add(to, r.usage, r.selector, r.matching,
                                      reinterpret_cast<const unsigned char*>(r.data.data()), r.data.size());
  ERR_clear_error();
  if (added < 0) {
    broken();
  }
  return added > 0;
}

std::string numbers(std::uint8_t usage, std::uint8_t selector, std::uint8_t matching) {
  return std::to_string(usage) + ' ' + std::to_string(selector) + ' ' + std::to_string(matching);
}

}  // namespace

bool usable(const dns::tlsa_record& record) {
  return add(matcher().get(), record);
}

dane_verdict judge_dane(const peer_credentials& peer, std::span<const dns::tlsa_record> records,
                        std::span<const reference_identity> names, const trust_store& trust, const judged_as& as) {
  dane_verdict out;
  if (records.empty()) {
    out.result = dane_result::no_records;
    return out;
  }
  const auto ssl = matcher();
  const auto looked_at = records.first(std::min(records.size(), tlsa_records_looked_at));
  const auto added = std::ranges::count_if(looked_at, [&](const auto& r) { return add(ssl.get(), r); });
  if (added == 0) {
    out.result = dane_result::unusable;
    out.text = "none of " + std::to_string(records.size()) + " TLSA records is usable";
    return out;
  }
  if (!peer) {
    out.result = dane_result::missing;
    out.text = "the peer presented no certificate";
    return out;
  }
  auto path = check_path(peer, trust, as, SSL_get0_dane(ssl.get()));
  if (!path.verdict.ok()) {
    out.result = path.mismatch ? dane_result::mismatch : dane_result::certificate_wrong;
    out.problem = path.mismatch ? chain_problem::none : path.verdict.problem;
    out.text = path.mismatch ? "no TLSA record names the certificate or its issuer" : std::move(path.verdict.text);
    return out;
  }
  std::uint8_t usage = 0, selector = 0, matching = 0;
  if (SSL_get0_dane_tlsa(ssl.get(), &usage, &selector, &matching, nullptr, nullptr) < 0) {
    broken();
  }
  out.text = numbers(usage, selector, matching);
  if (usage != dane_ee) {
    // B14, RFC 7671 §5.2.2 and §5.3: an issuer vouches for names, so the name has to be the peer's.
    out.name = match_identity(identifiers(peer), names);
    if (is_authority(peer)) {
      out.result = dane_result::certificate_wrong;
      out.problem = chain_problem::not_end_entity;
      out.text += " matches, but the certificate is an authority's";
      return out;
    }
    if (!out.name) {
      out.result = dane_result::name_mismatch;
      out.text += " matches, but the certificate is for another name";
      return out;
    }
    out.expires = path.verdict.expires;
  }
  out.usage = usage;
  out.result = dane_result::matched;
  return out;
}

std::string association_data(const peer_credentials& peer, std::uint8_t selector, std::uint8_t matching) {
  unsigned char* bytes = nullptr;
  auto* leaf = peer.inside().leaf.get();
  const int size =
      selector == key_selector ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &bytes) : i2d_X509(leaf, &bytes);
  const std::string all{reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(std::max(size, 0))};
  OPENSSL_free(bytes);
  return matching == matching_sha256   ? digest(hash::sha256, all)
         : matching == matching_sha512 ? digest(hash::sha512, all)
                                       : all;
}

}  // namespace comity::tls
