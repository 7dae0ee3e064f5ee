#include "connection/negotiation/announcement.hpp"

namespace comity::connection {

bool announcement::offered(const stream_facts& facts) const {
  return facts.authenticated && !facts.bound;
}

void announcement::advertise(xml::writer& out, const stream_facts&) const {
  out.leaf(element_, ns_);
}

step announcement::on(const xml::element&, const stream_facts&) {
  return {{}, step::end{stream_condition::unsupported_stanza_type, cause::stream_error, "nothing to negotiate here"}};
}

}  // namespace comity::connection
