#include "connection/negotiation/external.hpp"

#include <utility>

#include "connection/negotiation/sasl.hpp"

namespace comity::connection {

bool external::offered(const stream_facts& facts) const {
  // XEP-0178 §3 (9), I01, I04: the certificate is acceptable and matches the stream's `from`, whatever led to TLS.
  return facts.encrypted && !facts.authenticated && !facts.peer_domain.empty() && facts.judgment &&
         facts.judgment->accepted();
}

void external::advertise(xml::writer& out, const stream_facts&) const {
  out.open("mechanisms", ns_sasl).leaf("mechanism", ns_sasl, to_string(mechanism::external)).close();
}

bool external::claims(const xml::element& e) const {
  return e.ns() == ns_sasl;
}

step external::on(const xml::element& e, const stream_facts& facts) {
  const bool challenged = std::exchange(challenged_, false);
  if (facts.authenticated) {
    // RFC 6120 §6.4.6: once authenticated there is no second time on the same stream.
    return {{}, step::end{stream_condition::not_authorized, cause::policy, "already authenticated"}};
  }
  if (e.name() == "abort") {
    return refuse(challenged ? mechanism::external : mechanism::unknown, sasl_condition::aborted, facts);
  }
  if (e.name() == "response" && challenged) {
    const auto text = e.text();
    const auto authzid = text == "=" ? std::string{} : tls::base64_decode(text);
    return authzid ? judge(*authzid, facts) : refuse(mechanism::external, sasl_condition::incorrect_encoding, facts);
  }
  if (e.name() != "auth" || challenged) {
    return refuse(mechanism::unknown, sasl_condition::malformed_request, facts);
  }
  const auto by = mechanism_named(e.attribute("mechanism").value_or(""));
  metrics_.authentication_attempted(facts.route, by);
  if (!facts.encrypted) {
    return refuse(by, sasl_condition::encryption_required, facts);  // RFC 6120 §6.5.4; THREATS B3
  }
  if (by != mechanism::external) {
    return refuse(by, sasl_condition::invalid_mechanism, facts);  // THREATS C4
  }
  if (!offered(facts)) {
    // XEP-0178 §3 (11); THREATS B8: the mechanism is known here, the certificate is what does not do.
    return refuse(by, sasl_condition::not_authorized, facts);
  }
  const auto text = e.text();
  if (text.empty()) {
    // RFC 4422 §5.1: EXTERNAL begins with the client; without an initial response it is asked for.
    challenged_ = true;
    return {"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", step::exchange{}};
  }
  const auto authzid = text == "=" ? std::string{} : tls::base64_decode(text);
  return authzid ? judge(*authzid, facts) : refuse(by, sasl_condition::incorrect_encoding, facts);
}

step external::judge(std::string_view authzid, const stream_facts& facts) {
  // XEP-0178 §3 (11), I02: none stands for the stream's `from`, which is what the certificate was held against.
  if (!authzid.empty()) {
    const auto wanted = jid::parse(authzid);
    if (!wanted || wanted->text() != facts.peer_domain) {
      return refuse(mechanism::external, sasl_condition::invalid_authzid, facts);  // I03
    }
  }
  auto peer = jid::parse(facts.peer_domain);
  if (!peer) {
    return refuse(mechanism::external, sasl_condition::not_authorized, facts);
  }
  return {"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
          step::authenticated{std::move(*peer), mechanism::external}};
}

step external::refuse(mechanism by, sasl_condition condition, const stream_facts& facts) {
  metrics_.authentication_failed(facts.route, by, condition);
  std::string what{to_string(by)};
  what.append(" ").append(to_string(condition));
  std::string out;
  xml::writer{out, xml::ns_server}.open("failure", ns_sasl).leaf(to_string(condition), ns_sasl).close();
  if (++refusals_ > refusals_allowed) {
    return {std::move(out), step::end{stream_condition::policy_violation, cause::auth_rejected,
                                      "too many failed authentication attempts"}};
  }
  // XEP-0178 §3 (11), I03: the peer may go on with dialback.
  return {std::move(out), step::refused{cause::auth_rejected, std::move(what), facts.peer_domain}};
}

}  // namespace comity::connection
