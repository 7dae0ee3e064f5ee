#include "connection/s2s/peer_prover.hpp"

#include <algorithm>
#include <ranges>
#include <utility>

#include "connection/s2s/discovery.hpp"

namespace comity::connection {

namespace {

/// Nothing is known of the service, as opposed to known to be absent.
bool unanswered(dns::lookup_fault fault) {
  return fault == dns::lookup_fault::servfail || fault == dns::lookup_fault::bogus ||
         fault == dns::lookup_fault::timeout || fault == dns::lookup_fault::cancelled;
}

/// Which of the service's endpoints tells most, none having proven the peer: what refuses before what says nothing.
int weight_of(trust::tlsa_outcome outcome) {
  switch (outcome) {
    case trust::tlsa_outcome::mismatched:
      return 3;
    case trust::tlsa_outcome::failed:
      return 2;
    case trust::tlsa_outcome::unusable:
      return 1;
    case trust::tlsa_outcome::none:
    case trust::tlsa_outcome::insecure:
    case trust::tlsa_outcome::matched:
      break;
  }
  return 0;
}

}  // namespace

trust::posh_outcome outcome_of(posh_answer answer) noexcept {
  switch (answer) {
    case posh_answer::matched:
      return trust::posh_outcome::matched;
    case posh_answer::mismatched:
      return trust::posh_outcome::mismatched;
    case posh_answer::none:
      break;
  }
  return trust::posh_outcome::none;
}

struct peer_prover::search {
  std::string domain;
  required_trust required;
  std::vector<completion> waiting;
  std::unique_ptr<discovery> found_at;
  dns::security security = dns::security::none;
  examined found;  // the best so far
};

peer_prover::peer_prover(const s2s_collaborators& with, tls::peer_credentials credentials, tls::peer_role role,
                         ask_posh posh)
    : with_{with}, peer_{std::move(credentials), role}, posh_{std::move(posh)} {
}

peer_prover::~peer_prover() = default;

void peer_prover::prove(const std::string& domain, completion done) {
  if (const auto known = known_.find(domain); known != known_.end()) {
    return done(known->second);
  }
  if (const auto under_way = searches_.find(domain); under_way != searches_.end()) {
    under_way->second->waiting.push_back(std::move(done));
    return;
  }
  const auto policy = with_.host.policy(domain);
  auto& s = *searches_.emplace(domain, std::make_unique<search>()).first->second;
  s.domain = domain;
  s.required = policy.trust;
  s.waiting.push_back(std::move(done));
  if (!policy.allow) {
    return conclude(
        s, {.verdict = {.is = trust::refused{cause::policy}, .reason = "not allowed"}, .text = {}, .expires = {}});
  }
  s.found = peer_.examine(domain, {}, s.required, with_.host.authorities());
  // Who is proven by the certificate as it stands needs no lookup, unless DANE alone will do.
  const bool enough = s.required != required_trust::dane && trust::decide(s.found.evidence).accepted();
  if (enough || !peer_.credentials() || lookups_ == lookups_allowed) {
    return judge(s, enough ? trust::posh_outcome::not_asked : trust::posh_outcome::none);
  }
  ++lookups_;
  look_up(s);
}

const peer_prover::proven* peer_prover::known(std::string_view domain) const {
  const auto found = known_.find(domain);
  return found == known_.end() ? nullptr : &found->second;
}

void peer_prover::look_up(search& s) {
  s.found_at = std::make_unique<discovery>(with_);
  s.found_at->find(s.domain, with_.host.policy(s.domain).endpoint,
                   [this, &s](const dns::service_plan& plan) { take_plan(s, plan); });
}

void peer_prover::take_plan(search& s, const dns::service_plan& plan) {
  s.security = plan.security;
  if (plan.fault == dns::lookup_fault::none) {
    return s.found_at->find_endpoints([this, &s] { take_endpoints(s); });
  }
  if (unanswered(plan.fault)) {
    s.found.evidence.tlsa = trust::tlsa_outcome::failed;  // B02: not known is not none
    s.found.evidence.lookup_failure = cause_of(plan.fault);
    s.found.text = plan.why;
  }
  judge(s, trust::posh_outcome::not_asked);
}

void peer_prover::take_endpoints(search& s) {
  const auto store = with_.host.authorities();
  for (std::size_t i = 0; i < s.found_at->targets().size(); ++i) {
    auto seen = peer_.examine(s.domain, s.found_at->facts(i), s.required, store);
    if (trust::decide(seen.evidence).accepted()) {
      s.found = std::move(seen);
      break;
    }
    if (weight_of(seen.evidence.tlsa) > weight_of(s.found.evidence.tlsa)) {
      s.found = std::move(seen);
    }
  }
  judge(s, trust::posh_outcome::not_asked);
}

void peer_prover::judge(search& s, trust::posh_outcome posh) {
  s.found.evidence.posh = posh;
  const auto verdict = trust::decide(s.found.evidence);
  if (std::holds_alternative<trust::needs_posh>(verdict.is)) {
    return posh_(s.domain, [this, &s](posh_answer answer) { judge(s, outcome_of(answer)); });
  }
  conclude(s, {.verdict = verdict, .dns = s.security, .text = s.found.text, .expires = s.found.expires});
}

void peer_prover::conclude(search& s, proven result) {
  const auto ended = std::move(searches_.find(s.domain)->second);
  searches_.erase(ended->domain);
  const auto& kept = known_.emplace(ended->domain, std::move(result)).first->second;
  for (auto& done : ended->waiting) {
    done(kept);
  }
}

}  // namespace comity::connection
