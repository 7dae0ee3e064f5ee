#include "connection/negotiation/dialback.hpp"

#include <utility>

#include "connection/negotiation/dialback_key.hpp"

namespace comity::connection {

namespace {

std::string answer_of(dialback_element::kind what, const domain_flow& flow, std::string_view id,
                      dialback_element::type says, stanza_condition condition = stanza_condition::undefined_condition) {
  return write(dialback_element{
      .what = what, .says = says, .flow = flow, .id = std::string{id}, .key = {}, .condition = condition});
}

std::string valid_result(const domain_flow& flow) {
  return answer_of(dialback_element::kind::result, flow, {}, dialback_element::type::valid);
}

std::string failed_result(const domain_flow& flow, stanza_condition condition) {
  return answer_of(dialback_element::kind::result, flow, {}, dialback_element::type::error, condition);
}

}  // namespace

dialback::dialback(std::string_view secret, domain_rules domains) : secret_{secret}, domains_{std::move(domains)} {
}

bool dialback::offered(const stream_facts& facts) const {
  return facts.encrypted;  // J13; J05: after SASL as well, for more flows on the stream (J09)
}

void dialback::advertise(xml::writer& out, const stream_facts&) const {
  // XEP-0220 §2.4.1 (J05): dialback errors are known here.
  out.open("dialback", ns_dialback_feature).leaf("errors", ns_dialback_feature).close();
}

bool dialback::claims(const xml::element& e) const {
  return e.ns() == ns_dialback;
}

step dialback::on(const xml::element& e, const stream_facts& facts) {
  if (e.name() != "result" && e.name() != "verify") {
    return {{},
            step::end{stream_condition::unsupported_stanza_type, cause::stream_error, "no such element of dialback"}};
  }
  const auto asked = read_dialback(e);
  if (!asked) {
    return {{}, step::end{stream_condition::improper_addressing, cause::stream_error, "dialback without addresses"}};
  }
  if (asked->says != dialback_element::type::request) {
    // XEP-0220 §3.1; THREATS D1, J03: nothing was asked of this peer, so nothing it says is an answer.
    return {{}, step::ignored{"an unsolicited dialback answer"}};
  }
  return asked->what == dialback_element::kind::result ? authorise(*asked, facts) : judge_key(*asked, facts);
}

// --- as receiving server (XEP-0220 §2.2.1) ---------------------------------------------------------------------------

step dialback::authorise(const dialback_element& asked, const stream_facts& facts) {
  const auto& flow = asked.flow;
  if (!facts.encrypted) {
    // XEP-0220 §2.4.2 (J13, E10): TLS first. The peer may still begin it.
    return decline(flow, stanza_condition::policy_violation, cause::policy, "dialback without TLS");
  }
  if (!domains_.hosts(flow.target)) {
    // XEP-0220 §2.2.1 (J06): no stream error, other flows may live on this stream.
    return decline(flow, stanza_condition::item_not_found, cause::host_unknown, "dialback to " + flow.target);
  }
  if (domains_.hosts(flow.sender)) {
    return refuse(flow, stanza_condition::not_authorized, cause::policy, "a domain of ours", facts);  // THREATS D4
  }
  if (domains_.allows && !domains_.allows(flow.sender)) {
    return refuse(flow, stanza_condition::policy_violation, cause::policy, "not allowed", facts);
  }
  if (facts.flows.contains(flow)) {
    return {valid_result(flow), step::nothing{}};  // J12: once is enough
  }
  if (pending_.contains(flow)) {
    return {{}, step::ignored{"a dialback request that is under way already"}};
  }
  if (requests_ >= requests_allowed) {
    // THREATS D5, XEP-0220 §2.4.2: the peer is to open another connection.
    return decline(flow, stanza_condition::resource_constraint, cause::limit, "too many flows on one stream");
  }
  if (asked.key.size() > key_size_most) {
    return decline(flow, stanza_condition::not_acceptable, cause::dialback_invalid, "a key beyond measure");
  }
  ++requests_;
  pending_.emplace(flow, request{.stream_id = facts.stream_id, .key = asked.key, .verifying = false});
  if (flow.sender == facts.peer_domain && facts.judgment) {
    return follow(peer_proof{flow, *facts.judgment}, facts);  // judged before features went out
  }
  return {{}, step::ask_aside{prove_peer{flow}}};
}

step dialback::on(answer a, const stream_facts& facts) {
  if (const auto* proven = std::get_if<peer_proof>(&a); proven != nullptr && awaits(a)) {
    return follow(*proven, facts);
  }
  if (const auto* verified = std::get_if<key_verdict>(&a); verified != nullptr && awaits(a)) {
    return follow(*verified, facts);
  }
  return stream_feature::on(std::move(a), facts);
}

bool dialback::awaits(const answer& a) const {
  if (const auto* proven = std::get_if<peer_proof>(&a)) {
    const auto found = pending_.find(proven->flow);
    return found != pending_.end() && !found->second.verifying;
  }
  if (const auto* verified = std::get_if<key_verdict>(&a)) {
    // J04: what was said of a key on another stream says nothing of this one.
    const auto found = pending_.find(verified->flow);
    return found != pending_.end() && found->second.verifying && found->second.stream_id == verified->stream_id;
  }
  return false;
}

void dialback::restarted() {
  pending_.clear();
}

step dialback::follow(const peer_proof& proven, const stream_facts& facts) {
  const auto found = pending_.find(proven.flow);
  if (proven.verdict.accepted()) {
    // RFC 7712 §4.4.1 (K03): the certificate covers the sender, nobody needs to be dialled.
    pending_.erase(found);
    return {valid_result(proven.flow), step::authorised{proven.flow, proven.verdict.by()}};
  }
  if (std::holds_alternative<trust::needs_dialback>(proven.verdict.is)) {
    found->second.verifying = true;
    return {{}, step::ask_aside{verify_key{proven.flow, found->second.stream_id, found->second.key}}};
  }
  pending_.erase(found);
  const auto* refusal = std::get_if<trust::refused>(&proven.verdict.is);
  // THREATS D3, XEP-0220 §2.4.2: a certificate is wanted, and a key is none.
  return refuse(proven.flow, stanza_condition::not_authorized, refusal != nullptr ? refusal->why : cause::internal,
                proven.verdict.reason, facts);
}

step dialback::follow(const key_verdict& verified, const stream_facts& facts) {
  pending_.erase(verified.flow);
  if (!verified.valid) {
    // XEP-0220 §2.4 (J07): the authoritative server could not be asked.
    const auto condition = verified.valid.error();
    const auto why = condition == stanza_condition::remote_server_timeout ? cause::auth_timeout : cause::auth_rejected;
    return decline(verified.flow, condition, why, "its own server could not be asked");
  }
  if (*verified.valid) {
    return {valid_result(verified.flow), step::authorised{verified.flow, proof::dialback}};
  }
  if (facts.flows.empty() && pending_.empty()) {
    // XEP-0220 §2.2.1: nothing else lives on this stream, so it ends.
    return {answer_of(dialback_element::kind::result, verified.flow, {}, dialback_element::type::invalid),
            step::end{std::nullopt, cause::dialback_invalid, "its own server knows nothing of the stream"}};
  }
  return decline(verified.flow, stanza_condition::forbidden, cause::dialback_invalid,
                 "its own server knows nothing of the stream");
}

/// The sender may not speak here, whatever it proves. A stream that carries nothing else ends.
step dialback::refuse(const domain_flow& flow, stanza_condition condition, cause why, std::string_view what,
                      const stream_facts& facts) {
  if (facts.flows.empty() && pending_.empty()) {
    return {failed_result(flow, condition), step::end{stream_condition::policy_violation, why, std::string{what}}};
  }
  return decline(flow, condition, why, what);
}

/// Not this flow; the stream stays as it is (XEP-0220 §2.4.2).
step dialback::decline(const domain_flow& flow, stanza_condition condition, cause why, std::string_view what) {
  return {failed_result(flow, condition), refusal(why, what, flow.sender)};
}

/// For the operator, but not ten thousand times (THREATS D5).
step::consequence dialback::refusal(cause why, std::string_view what, std::string_view who) {
  if (refusals_ == refusals_told) {
    return step::ignored{std::string{what}};
  }
  ++refusals_;
  return step::refused{why, std::string{what}, std::string{who}};
}

// --- as authoritative server (XEP-0220 §2.2.2) -----------------------------------------------------------------------

step dialback::judge_key(const dialback_element& asked, const stream_facts& facts) {
  using enum dialback_element::type;
  const auto reply = [&](dialback_element::type says, stanza_condition condition) {
    return answer_of(dialback_element::kind::verify, asked.flow, asked.id, says, condition);
  };
  if (!facts.encrypted) {
    return {reply(error, stanza_condition::policy_violation),
            refusal(cause::policy, "dialback without TLS", asked.flow.target)};
  }
  if (!domains_.hosts(asked.flow.sender)) {
    return {reply(error, stanza_condition::item_not_found), step::nothing{}};
  }
  // J04; THREATS D2: a key is for one flow and one stream.
  const bool ours = is_dialback_key(asked.key, secret_, asked.flow, asked.id);
  return {reply(ours ? valid : invalid, stanza_condition::undefined_condition), step::nothing{}};
}

// --- on the wire -----------------------------------------------------------------------------------------------------

namespace {

std::optional<std::string> domain_in(const xml::element& e, std::string_view attribute) {
  const auto text = e.attribute(attribute);
  if (!text) {
    return std::nullopt;
  }
  const auto address = jid::parse(*text);
  if (!address || address->has_localpart() || address->has_resource()) {
    return std::nullopt;
  }
  return address->text();
}

dialback_element::type type_named(const std::optional<std::string_view>& name) {
  using enum dialback_element::type;
  if (!name) {
    return request;
  }
  return *name == "valid" ? valid : *name == "invalid" ? invalid : *name == "error" ? error : unknown;
}

stanza_condition error_in(const xml::element& e) {
  for (const auto child : e.children()) {
    if (child.name() != "error") {
      continue;
    }
    for (std::size_t i = 0; i < stanza_condition_count; ++i) {
      const auto condition = static_cast<stanza_condition>(i);
      if (child.child(to_string(condition), "urn:ietf:params:xml:ns:xmpp-stanzas")) {
        return condition;
      }
    }
  }
  return stanza_condition::undefined_condition;
}

}  // namespace

std::optional<dialback_element> read_dialback(const xml::element& e) {
  using kind = dialback_element::kind;
  using type = dialback_element::type;
  auto from = domain_in(e, "from");
  auto to = domain_in(e, "to");
  const auto id = e.attribute("id");
  if (e.ns() != ns_dialback || (e.name() != "result" && e.name() != "verify") || !from || !to ||
      (e.name() == "verify" && !id)) {
    return std::nullopt;
  }
  dialback_element read;
  read.what = e.name() == "result" ? kind::result : kind::verify;
  read.says = type_named(e.attribute("type"));
  // XEP-0220 §2.1, §2.2: the sender asks by <result/> and is asked by <verify/>; answers swap the two.
  if ((read.what == kind::result) == (read.says == type::request)) {
    read.flow = {.sender = std::move(*from), .target = std::move(*to)};
  } else {
    read.flow = {.sender = std::move(*to), .target = std::move(*from)};
  }
  read.id = id.value_or("");
  if (read.says == type::request) {
    read.key = e.text();
  } else if (read.says == type::error) {
    read.condition = error_in(e);
  }
  return read;
}

std::string write(const dialback_element& e) {
  using kind = dialback_element::kind;
  using type = dialback_element::type;
  std::string out;
  xml::writer w{out, xml::ns_server};
  w.open(e.what == kind::result ? "db:result" : "db:verify", xml::ns_server);
  const bool by_sender = (e.what == kind::result) == (e.says == type::request);
  w.attribute("from", by_sender ? e.flow.sender : e.flow.target);
  w.attribute("to", by_sender ? e.flow.target : e.flow.sender);
  if (e.what == kind::verify) {
    w.attribute("id", e.id);
  }
  switch (e.says) {
    case type::request:
      w.text(e.key);
      break;
    case type::valid:
      w.attribute("type", "valid");
      break;
    case type::invalid:
      w.attribute("type", "invalid");
      break;
    case type::error:
      w.attribute("type", "error");
      w.open("error", xml::ns_server).attribute("type", error_type(e.condition));
      w.leaf(to_string(e.condition), "urn:ietf:params:xml:ns:xmpp-stanzas").close();
      break;
    case type::unknown:
      break;
  }
  w.close();
  return out;
}

}  // namespace comity::connection
