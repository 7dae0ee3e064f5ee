#include "connection/negotiation/session.hpp"

namespace comity::connection {

bool session::offered(const stream_facts& facts) const {
  return facts.authenticated && !facts.bound;
}

void session::advertise(xml::writer& out, const stream_facts&) const {
  out.open("session", ns_session).leaf("optional", ns_session).close();
}

bool session::claims(const xml::element& e) const {
  return e.is("iq", xml::ns_client) && static_cast<bool>(e.child("session", ns_session)) &&
         e.attribute("type") == "set" && e.attribute("id");
}

step session::on(const xml::element& e, const stream_facts& facts) {
  if (!facts.bound) {
    return {{}, step::end{stream_condition::not_authorized, cause::policy, "session before binding"}};
  }
  std::string out;
  xml::writer w{out, namespace_around(facts)};
  w.open("iq", xml::ns_client).attribute("type", "result").attribute("id", e.attribute("id").value_or(""));
  if (const auto asked = e.attribute("to")) {
    w.attribute("from", *asked);  // RFC 6120 §8.1.2.1: whom it was asked of
  }
  w.close();
  return {std::move(out), step::nothing{}};
}

}  // namespace comity::connection
