#include "connection/negotiation/bind.hpp"

#include <utility>

namespace comity::connection {

std::string bind::refuse(std::string_view id, const bind_refusal& why, const stream_facts& facts) {
  metrics_().stanza_error_sent(facts.route.scope, why.condition);
  std::string out;
  xml::writer w{out, namespace_around(facts)};
  w.open("iq", xml::ns_client).attribute("type", "error");
  if (!id.empty()) {
    w.attribute("id", id);
  }
  w.open("error", xml::ns_client);
  w.attribute("type", why.type.empty() ? error_type(why.condition) : std::string_view{why.type});
  w.leaf(to_string(why.condition), "urn:ietf:params:xml:ns:xmpp-stanzas");
  if (why.resource_limit) {
    w.leaf("resource-limit-exceeded", "urn:xmpp:errors");
  }
  w.close().close();
  return out;
}

bool bind::offered(const stream_facts& facts) const {
  return facts.authenticated && !facts.bound;
}

void bind::advertise(xml::writer& out, const stream_facts&) const {
  out.leaf("bind", ns_bind);
}

bool bind::claims(const xml::element& e) const {
  return e.is("iq", xml::ns_client) && static_cast<bool>(e.child("bind", ns_bind)) &&
         (e.attribute("type") == "set" || e.attribute("type") == "get");
}

step bind::on(const xml::element& e, const stream_facts& facts) {
  const std::string id{e.attribute("id").value_or("")};
  if (!facts.authenticated) {
    return {{}, step::end{stream_condition::not_authorized, cause::policy, "bind before authentication"}};
  }
  if (id.empty() || e.attribute("type") != "set") {
    return {refuse(id, {stanza_condition::bad_request, {}, false}, facts), step::nothing{}};
  }
  if (facts.bound || asked_) {
    return {refuse(id, {stanza_condition::not_allowed, {}, false}, facts),
            step::nothing{}};  // THREATS C7: one a stream
  }
  id_ = id;
  asked_ = true;
  return {{},
          step::ask{bind_resource{*facts.authenticated,
                                  e.child("bind", ns_bind).child_text("resource", ns_bind).value_or(std::string{})}}};
}

step bind::on(answer a, const stream_facts& facts) {
  auto* bound = std::get_if<bind_answer>(&a);
  if (bound == nullptr || !asked_) {
    return stream_feature::on(std::move(a), facts);
  }
  asked_ = false;
  if (!*bound) {
    return {refuse(id_, bound->error(), facts), step::nothing{}};
  }
  std::string out;
  xml::writer w{out, namespace_around(facts)};
  w.open("iq", xml::ns_client).attribute("type", "result").attribute("id", id_);
  w.open("bind", ns_bind).leaf("jid", ns_bind, (*bound)->text()).close().close();
  return {std::move(out), step::bound{std::move(**bound)}};
}

}  // namespace comity::connection
