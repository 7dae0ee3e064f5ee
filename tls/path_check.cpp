#include "tls/path_check.hpp"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <stdexcept>

namespace comity::tls {

namespace {

constexpr int least_security = 2;  // 112 bits (RFC 9325 §4.5, F04)

struct context_free_x509 {
  void operator()(X509_STORE_CTX* c) const noexcept { X509_STORE_CTX_free(c); }
};

/// Lists are looked at where the operator gave them: an authority without one is not asked about (G02).
int on_step(int good, X509_STORE_CTX* c) {
  if (good == 0 && X509_STORE_CTX_get_error(c) == X509_V_ERR_UNABLE_TO_GET_CRL) {
    X509_STORE_CTX_set_error(c, X509_V_OK);
    return 1;
  }
  return good;
}

chain_problem problem_of(int error) {
  using enum chain_problem;
  switch (error) {
    case X509_V_OK:
      return none;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return expired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return not_yet_valid;
    case X509_V_ERR_INVALID_PURPOSE:
      return wrong_purpose;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
      return weak;
    case X509_V_ERR_CERT_REVOKED:
      return revoked;
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
      return revocation_unknown;
    default:
      return untrusted;
  }
}

std::vector<std::string> subjects(const STACK_OF(X509) * stack) {
  std::vector<std::string> out;
  out.reserve(static_cast<std::size_t>(std::max(0, sk_X509_num(stack))));
  for (int i = 0; i < sk_X509_num(stack); ++i) {
    out.push_back(one_line(X509_get_subject_name(sk_X509_value(stack, i))));
  }
  return out;
}

std::vector<std::string> presented(const peer_credentials::held& peer) {
  auto out = subjects(peer.issuers.get());
  out.insert(out.begin(), one_line(X509_get_subject_name(peer.leaf.get())));
  return out;
}

path_result check_for(const char* purpose, const peer_credentials::held& peer, const trust_store::state& trust,
                      const judged_as& as, SSL_DANE* dane) {
  const std::unique_ptr<X509_STORE_CTX, context_free_x509> context{X509_STORE_CTX_new()};
  auto* c = context.get();
  if (c == nullptr || X509_STORE_CTX_init(c, trust.store.get(), peer.leaf.get(), peer.issuers.get()) != 1 ||
      X509_STORE_CTX_set_default(c, purpose) != 1) {
    throw std::runtime_error{"OpenSSL cannot validate certificates"};
  }
  auto* parameters = X509_STORE_CTX_get0_param(c);
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(as.now));
  X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(certificate_limits::issuers));
  X509_VERIFY_PARAM_set_auth_level(parameters, least_security);
  if (trust.revocations) {
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    X509_STORE_CTX_set_verify_cb(c, on_step);
  }
  if (dane != nullptr) {
    X509_STORE_CTX_set0_dane(c, dane);
  }
  const bool good = X509_verify_cert(c) == 1;
  const int error = X509_STORE_CTX_get_error(c);
  ERR_clear_error();

  path_result out;
  if (good) {
    const auto* path = X509_STORE_CTX_get0_chain(c);
    out.verdict.problem = chain_problem::none;
    out.verdict.chain = subjects(path);
    for (int i = 0; i < sk_X509_num(path); ++i) {
      const auto end = time_of(X509_get0_notAfter(sk_X509_value(path, i)));
      if (end > as.now) {  // else an anchor by DANE, whose own date does not count (RFC 5280 §6.1)
        out.verdict.expires = std::min(out.verdict.expires.value_or(end), end);
      }
    }
    return out;
  }
  out.mismatch = error == X509_V_ERR_DANE_NO_MATCH;
  const auto problem = problem_of(error);
  out.verdict.problem = problem == chain_problem::none ? chain_problem::untrusted : problem;
  out.verdict.text = X509_verify_cert_error_string(error);
  if (const auto* at = X509_STORE_CTX_get_current_cert(c)) {
    out.verdict.text += ": " + one_line(X509_get_subject_name(at));
  }
  out.verdict.chain = presented(peer);
  return out;
}

}  // namespace

path_result check_path(const peer_credentials& peer, const trust_store& trust, const judged_as& as, SSL_DANE* dane) {
  auto result = check_for("ssl_server", peer.inside(), trust.inside(), as, dane);
  if (as.role == peer_role::client && result.verdict.problem == chain_problem::wrong_purpose) {
    result = check_for("ssl_client", peer.inside(), trust.inside(), as, dane);
  }
  return result;
}

bool is_authority(const peer_credentials& peer) {
  return (X509_get_extension_flags(peer.inside().leaf.get()) & EXFLAG_CA) != 0;
}

}  // namespace comity::tls
