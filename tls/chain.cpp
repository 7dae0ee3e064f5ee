#include "tls/chain.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <stdexcept>

#include "tls/path_check.hpp"
#include "tls/pem_file.hpp"

namespace comity::tls {

namespace {

/// Where systems keep all of their roots in one file, which is read at once: hashed folders are read while a loop
/// waits.
constexpr std::array<const char*, 3> system_files{"/etc/ssl/certs/ca-certificates.crt",
                                                  "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

using infos = std::unique_ptr<STACK_OF(X509_INFO), void (*)(STACK_OF(X509_INFO)*)>;

struct contents {
  int certificates = 0, revocations = 0;
};

/// Adds what the file holds, of the kind that is wanted; nullopt with `fault` where it is no PEM file of that.
bool add(X509_STORE* store, const std::filesystem::path& path, bool lists, std::string& fault) {
  const auto file = open_pem(path, fault);
  if (!file) {
    return false;
  }
  ERR_clear_error();
  const infos all{PEM_X509_INFO_read(file.get(), nullptr, nullptr, const_cast<char*>("")),
                  [](STACK_OF(X509_INFO) * s) { sk_X509_INFO_pop_free(s, X509_INFO_free); }};
  int added = 0;
  for (int i = 0; i < sk_X509_INFO_num(all.get()); ++i) {
    const auto* info = sk_X509_INFO_value(all.get(), i);
    added += lists ? info->crl != nullptr && X509_STORE_add_crl(store, info->crl) == 1
                   : info->x509 != nullptr && X509_STORE_add_cert(store, info->x509) == 1;
  }
  ERR_clear_error();
  if (all == nullptr) {
    fault = "is damaged; it has to be PEM";
  } else if (added == 0) {
    fault = lists ? "holds no certificate revocation list; it has to be PEM, a list for each authority"
                  : "holds no certificate; it has to be PEM, the certificates of the authorities to trust";
  }
  return added > 0;
}

bool add_system(X509_STORE* store) {
  std::string fault;
  for (const auto* path : system_files) {
    if (add(store, path, false, fault)) {
      return true;
    }
  }
  return X509_STORE_set_default_paths(store) == 1;
}

}  // namespace

trust_store::trust_store(std::unique_ptr<state> inside) noexcept : state_{std::move(inside)} {
}
trust_store::~trust_store() = default;

std::expected<std::shared_ptr<const trust_store>, trust_store::fault> trust_store::load(const files& from) {
  auto inside = std::make_unique<state>();
  inside->store.reset(X509_STORE_new());
  auto* store = inside->store.get();
  if (store == nullptr) {
    throw std::runtime_error{"OpenSSL cannot make a store"};
  }
  std::string what;
  if (from.authorities.empty() ? !add_system(store) : !add(store, from.authorities, false, what)) {
    return std::unexpected{fault{false, what}};
  }
  inside->revocations = !from.revocations.empty();
  if (inside->revocations && !add(store, from.revocations, true, what)) {
    return std::unexpected{fault{true, what}};
  }
  return std::shared_ptr<const trust_store>{new trust_store{std::move(inside)}};
}

chain_verdict judge_chain(const peer_credentials& peer, const trust_store& trust, const judged_as& as) {
  if (!peer) {
    return {chain_problem::missing, "the peer presented no certificate", {}, {}};
  }
  auto result = check_path(peer, trust, as).verdict;
  if (result.ok() && is_authority(peer)) {
    return {chain_problem::not_end_entity,
            "the certificate is an authority's: " + result.chain.front(),
            std::move(result.chain),
            {}};
  }
  return result;
}

}  // namespace comity::tls
