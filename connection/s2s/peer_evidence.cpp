#include "connection/s2s/peer_evidence.hpp"

#include "connection/jid.hpp"
#include "tls/dane.hpp"

namespace comity::connection {

namespace {

trust::lookup_security security_of(dns::security s) {
  switch (s) {
    case dns::security::secure:
      return trust::lookup_security::secure;
    case dns::security::insecure:
    case dns::security::bogus:  // nothing bogus comes this far
      return trust::lookup_security::insecure;
    case dns::security::none:
      break;
  }
  return trust::lookup_security::none;
}

trust::chain_verdict verdict_of(tls::chain_problem problem) {
  switch (problem) {
    case tls::chain_problem::none:
      return trust::chain_verdict::trusted;
    case tls::chain_problem::missing:
      return trust::chain_verdict::missing;
    case tls::chain_problem::expired:
      return trust::chain_verdict::expired;
    case tls::chain_problem::not_yet_valid:
      return trust::chain_verdict::not_yet_valid;
    case tls::chain_problem::revoked:
      return trust::chain_verdict::revoked;
    case tls::chain_problem::untrusted:
    case tls::chain_problem::not_end_entity:
    case tls::chain_problem::wrong_purpose:
    case tls::chain_problem::weak:
    case tls::chain_problem::revocation_unknown:
      break;
  }
  return trust::chain_verdict::untrusted;
}

/// A path that leads nowhere is found out before anybody looks at dates; the certificate's own count all the same,
/// since they rule out proofs that need no path (RFC 7711 §6).
trust::chain_verdict what_ails(const tls::peer_credentials& credentials, tls::chain_problem problem,
                               std::chrono::system_clock::time_point now) {
  const auto verdict = verdict_of(problem);
  if (verdict != trust::chain_verdict::untrusted) {
    return verdict;
  }
  const auto presented = tls::summary(credentials);
  return now > presented.not_after    ? trust::chain_verdict::expired
         : now < presented.not_before ? trust::chain_verdict::not_yet_valid
                                      : verdict;
}

trust::tlsa_outcome outcome_of(tls::dane_result result) {
  switch (result) {
    case tls::dane_result::matched:
      return trust::tlsa_outcome::matched;
    case tls::dane_result::no_records:
      return trust::tlsa_outcome::none;
    case tls::dane_result::unusable:
      return trust::tlsa_outcome::unusable;
    case tls::dane_result::mismatch:
    case tls::dane_result::name_mismatch:
    case tls::dane_result::certificate_wrong:
    case tls::dane_result::missing:
      break;
  }
  return trust::tlsa_outcome::mismatched;
}

}  // namespace

endpoint_facts facts_of(const dns::target& t, const dns::endpoint_addresses& a) {
  endpoint_facts f;
  f.host = t.host;
  f.delegation = t.delegation;
  f.addresses = a.security;
  f.tlsa_outcome = a.tlsa_outcome;
  f.tlsa_fault = a.fault;
  f.tlsa = a.tlsa;
  f.tlsa_base = a.tlsa_base;
  return f;
}

const examiner::judgement& examiner::judge_chain(const std::shared_ptr<const tls::trust_store>& store,
                                                 clock::time_point now) {
  const bool holds = judged_ && judged_->store.lock() == store && now >= judged_->at &&
                     now < judged_->at + judged_for && (!judged_->expires || now < *judged_->expires);
  if (!holds) {
    auto chain = tls::judge_chain(credentials_, *store, {.role = role_, .now = now});
    judged_ = {.store = store,
               .at = now,
               .verdict = chain.ok() ? trust::chain_verdict::trusted : what_ails(credentials_, chain.problem, now),
               .text = std::move(chain.text),
               .expires = chain.expires};
  }
  return *judged_;
}

examined examiner::examine(std::string_view domain, const endpoint_facts& endpoint, required_trust required,
                           const std::shared_ptr<const tls::trust_store>& store, clock::time_point now) {
  examined found;
  auto& evidence = found.evidence;
  evidence.required = required;
  evidence.encrypted = true;
  evidence.service = security_of(endpoint.delegation);
  evidence.address = security_of(endpoint.addresses);

  // RFC 7673 §4.1: the target stands for the domain only where DNSSEC says so (B11, B12, K04).
  std::vector<tls::reference_identity> names{tls::reference_identity::service_domain(to_a_labels(domain), domain)};
  if (endpoint.delegation == dns::security::secure && !endpoint.host.empty()) {
    names.push_back(tls::reference_identity::target_host(endpoint.host));
    if (!endpoint.tlsa_base.empty() && endpoint.tlsa_base != endpoint.host) {
      names.push_back(tls::reference_identity::target_host(endpoint.tlsa_base));
    }
  }
  const auto& chain = judge_chain(store, now);
  evidence.chain = chain.verdict;
  found.text = chain.text;
  found.expires = chain.expires;
  if (credentials_) {
    const auto match = tls::match_identity(tls::identifiers(credentials_), names);
    evidence.name = !match                 ? trust::name_match::none
                    : match.reference == 0 ? trust::name_match::service
                                           : trust::name_match::target;
  }

  switch (endpoint.tlsa_outcome) {
    case dns::tlsa_outcome::none:
      evidence.tlsa = trust::tlsa_outcome::none;
      break;
    case dns::tlsa_outcome::insecure:
      evidence.tlsa = trust::tlsa_outcome::insecure;
      break;
    case dns::tlsa_outcome::failed:
      evidence.tlsa = trust::tlsa_outcome::failed;
      evidence.lookup_failure = cause_of(endpoint.tlsa_fault);
      break;
    case dns::tlsa_outcome::secure: {
      const auto dane = tls::judge_dane(credentials_, endpoint.tlsa, names, *store, {.role = role_, .now = now});
      evidence.tlsa = outcome_of(dane.result);
      if (dane.result != tls::dane_result::unusable && dane.result != tls::dane_result::no_records) {
        found.text = dane.text;
        found.expires = dane.expires;
      }
      break;
    }
  }
  return found;
}

cause cause_of(dns::lookup_fault fault) noexcept {
  switch (fault) {
    case dns::lookup_fault::nxdomain:
      return cause::dns_nxdomain;
    case dns::lookup_fault::servfail:
      return cause::dns_servfail;
    case dns::lookup_fault::bogus:
      return cause::dns_bogus;
    case dns::lookup_fault::timeout:
      return cause::dns_timeout;
    case dns::lookup_fault::srv_unavailable:
      return cause::srv_unavailable;
    case dns::lookup_fault::no_address:
      return cause::no_address;
    case dns::lookup_fault::cancelled:
      return cause::shutdown;
    case dns::lookup_fault::none:
      break;
  }
  return cause::internal;
}

}  // namespace comity::connection
