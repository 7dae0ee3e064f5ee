#include "connection/negotiation/bidi.hpp"

#include "connection/negotiation/stream_limits.hpp"

namespace comity::connection {

namespace {

bool in_time(const stream_facts& facts) {
  // XEP-0288 §2.1, §2.2 (L01): after TLS, before SASL and dialback.
  return facts.encrypted && !facts.authenticated && facts.flows.empty() && !facts.bidi;
}

}  // namespace

bool bidi::offered(const stream_facts& facts) const {
  return in_time(facts);
}

void bidi::advertise(xml::writer& out, const stream_facts&) const {
  out.leaf("bidi", ns_bidi_feature);
}

bool bidi::claims(const xml::element& e) const {
  return e.ns() == ns_bidi;
}

step bidi::on(const xml::element& e, const stream_facts& facts) {
  if (e.name() != "bidi") {
    return {{}, step::end{stream_condition::unsupported_stanza_type, cause::stream_error, "no such element of bidi"}};
  }
  if (!in_time(facts)) {
    return {{}, step::end{stream_condition::policy_violation, cause::policy, "bidi out of turn"}};
  }
  return {{}, step::bidirectional{limits_in(e)}};  // XEP-0478 §4.2
}

}  // namespace comity::connection
