#include "connection/negotiation/starttls.hpp"

namespace comity::connection {

bool starttls::offered(const stream_facts& facts) const {
  return !facts.encrypted;
}

void starttls::advertise(xml::writer& out, const stream_facts&) const {
  // RFC 6120 §5.4.1: <required/> since nothing else may be negotiated in clear.
  out.open("starttls", ns_starttls).leaf("required", ns_starttls).close();
}

bool starttls::claims(const xml::element& e) const {
  return e.ns() == ns_starttls;
}

step starttls::on(const xml::element& e, const stream_facts& facts) {
  if (e.name() != "starttls" || facts.encrypted) {
    // RFC 6120 §5.4.2.2; XEP-0368 §4: on an encrypted stream the request is refused, direct TLS included.
    return {starttls_failure(), step::end{std::nullopt, cause::policy, "starttls refused"}};
  }
  return {"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", step::upgrade{}};
}

std::string starttls_failure() {
  return "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
}

}  // namespace comity::connection
