#include "dns/endpoint_lookup.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace comity::dns {

std::string_view to_string(tlsa_outcome o) noexcept {
  static constexpr std::array<std::string_view, 4> names{"none", "insecure", "secure", "failed"};
  return names[static_cast<std::size_t>(o)];
}

endpoint_lookup::endpoint_lookup(target t) : target_{std::move(t)} {
  result_.tlsa_base = target_.host;
}

std::vector<query> endpoint_lookup::start() {
  // Only what a domain or the operator names may be an address; a record's target is a name even where it looks like
  // one (RFC 2782).
  if (target_.source == endpoint_source::fallback || target_.source == endpoint_source::override) {
    if (const auto at = address::parse(target_.host)) {
      (at->v4() ? result_.v4 : result_.v6).push_back(*at);
      proof_ = proof::decided;
      return {};
    }
  }
  // RFC 8305 §3: both at once, AAAA first.
  outstanding_ = 2;
  result_.awaiting_v4 = result_.awaiting_v6 = true;
  return {{.name = target_.host, .type = record_type::aaaa}, {.name = target_.host, .type = record_type::a}};
}

std::optional<query> endpoint_lookup::on(const answer& a) {
  if (finished()) {
    return std::nullopt;
  }
  --outstanding_;
  auto next = a.type == record_type::tlsa ? on_tlsa(a) : on_addresses(a);
  if (next) {
    ++outstanding_;
  }
  return next;
}

const endpoint_addresses* endpoint_lookup::known() const noexcept {
  const bool addresses = !result_.v4.empty() || !result_.v6.empty();
  return result_.fault != lookup_fault::none || (addresses && proof_ == proof::decided) ? &result_ : nullptr;
}

std::optional<query> endpoint_lookup::on_addresses(const answer& a) {
  const bool v4 = a.type == record_type::a;
  (v4 ? result_.awaiting_v4 : result_.awaiting_v6) = false;
  // RFC 7673 §3.2: "If the address record lookup fails (… 'bogus' …), the client MUST NOT connect".
  if (a.result == outcome::bogus) {
    fail(lookup_fault::bogus, a.why);
    return std::nullopt;
  }
  std::optional<query> next;
  if (!answered(a.result)) {
    unanswered_ = fault_of(a.result);
    unanswered_why_ = a.why;
  } else if (a.result == outcome::nxdomain) {
    absent_ = true;
  } else if (a.result == outcome::records) {
    // The stronger of both families, if they differ: what counts is that "a returned RRset is secure".
    const bool first = result_.v4.empty() && result_.v6.empty();
    result_.security = first ? a.security : std::min(result_.security, a.security);
    const auto addresses = std::span{a.addresses}.first(std::min(a.addresses.size(), addresses_limit));
    (v4 ? result_.v4 : result_.v6).assign(addresses.begin(), addresses.end());
    if (proof_ == proof::undecided) {
      if (!tlsa_wanted()) {
        proof_ = proof::decided;
      } else if (a.security == security::secure) {
        // RFC 7673 §3.2: "If a returned RRset is 'secure', the client MUST perform a TLSA query". RFC 7671 §7: at the
        // name that the aliases end in, each of them being secure where the answer is.
        const std::string& base = a.canonical_name.empty() ? target_.host : a.canonical_name;
        proof_ = base == target_.host ? proof::asked_at_target : proof::asked_at_alias;
        result_.tlsa_base = base;
        next = tlsa_query(base);
      }
    }
  }
  if (result_.complete()) {
    all_addresses_in();
  }
  return next;
}

void endpoint_lookup::all_addresses_in() {
  if (!result_.v4.empty() || !result_.v6.empty()) {
    if (proof_ == proof::undecided) {
      proof_ = proof::decided;  // RFC 7673 §3.2: "If no returned RRsets are 'secure', the client MUST NOT perform …"
    }
    return;
  }
  if (unanswered_ != lookup_fault::none) {
    fail(unanswered_, std::move(unanswered_why_));
  } else if (absent_) {
    fail(lookup_fault::nxdomain, target_.host + " does not exist");
  } else {
    fail(lookup_fault::no_address, target_.host + " has no address");
  }
}

std::optional<query> endpoint_lookup::on_tlsa(const answer& a) {
  // RFC 7673 §3.4: "bogus" or failed "for reasons other than no records": "the client MUST NOT connect".
  if (!answered(a.result)) {
    result_.tlsa_outcome = tlsa_outcome::failed;
    fail(fault_of(a.result), a.why);
    return std::nullopt;
  }
  if (a.result == outcome::records && a.security == security::secure) {
    result_.tlsa_outcome = tlsa_outcome::secure;
    result_.tlsa = a.tlsa;
    proof_ = proof::decided;
    return std::nullopt;
  }
  // RFC 7673 §3.4: insecure, or none: "as if the target server had no TLSA records".
  if (a.result == outcome::records) {
    result_.tlsa_outcome = tlsa_outcome::insecure;
  }
  const bool at_alias = proof_ == proof::asked_at_alias;
  result_.tlsa_base = target_.host;
  if (at_alias) {
    // RFC 7671 §7: "derived from the fully expanded name and, failing that, SHOULD be the initial domain name".
    proof_ = proof::asked_at_target;
    return tlsa_query(target_.host);
  }
  proof_ = proof::decided;
  return std::nullopt;
}

bool endpoint_lookup::tlsa_wanted() const noexcept {
  // RFC 7673 §3.1: not behind an SRV record that is not secure. Without SRV records the domain, and where the operator
  // has named the host that host, is reached directly: its own TLSA records speak for it (RFC 7712 §5.1, K01).
  return target_.delegation == security::secure || target_.source == endpoint_source::fallback ||
         target_.source == endpoint_source::override;
}

query endpoint_lookup::tlsa_query(std::string_view base) const {
  // RFC 7673 §3.3: the port of the SRV record, the protocol of its name, the target.
  std::string name = "_" + std::to_string(target_.port) + "._tcp.";
  name += base;
  return {.name = std::move(name), .type = record_type::tlsa};
}

void endpoint_lookup::fail(lookup_fault fault, std::string why) {
  result_.fault = fault;
  result_.why = std::move(why);
  result_.v4.clear();
  result_.v6.clear();
  result_.tlsa.clear();
  result_.awaiting_v4 = result_.awaiting_v6 = false;
}

}  // namespace comity::dns
