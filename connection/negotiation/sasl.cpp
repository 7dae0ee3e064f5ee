#include "connection/negotiation/sasl.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "connection/connection_metrics.hpp"

namespace comity::connection {

namespace {

sasl_offer offer(const stream_facts& facts) {
  return {facts.encrypted, facts.bindings};
}

bool is_plus(mechanism m) {
  return to_string(m).ends_with("-PLUS");
}

/// RFC 6120 §6.4.2, §6.4.3: the content is base64 octets; "=" stands for none at all. nullopt: no base64.
std::optional<std::string> octets(const std::string& text) {
  if (text == "=") {
    return std::string{};
  }
  return tls::base64_decode(text);
}

std::string element(std::string_view name, std::string_view raw) {
  std::string out;
  xml::writer{out, "jabber:client"}.leaf(name, ns_sasl, tls::base64_encode(raw));
  return out;
}

}  // namespace

sasl::sasl(std::function<metrics_cell&()> metrics) noexcept : metrics_{std::move(metrics)} {
}
sasl::~sasl() = default;

bool sasl::offered(const stream_facts& facts) const {
  return !facts.authenticated && !offered_mechanisms(offer(facts)).empty();
}

void sasl::advertise(xml::writer& out, const stream_facts& facts) const {
  out.open("mechanisms", ns_sasl);
  for (const auto m : offered_mechanisms(offer(facts))) {
    out.leaf("mechanism", ns_sasl, to_string(m));
  }
  out.close();
  // XEP-0440 §3: the binding types that -PLUS mechanisms may use here.
  if (facts.bindings.any()) {
    out.open("sasl-channel-binding", ns_sasl_channel_binding);
    for (const auto& have : facts.bindings.all()) {
      if (!have.octets.empty()) {
        out.open("channel-binding", ns_sasl_channel_binding).attribute("type", have.type).close();
      }
    }
    out.close();
  }
}

bool sasl::claims(const xml::element& e) const {
  return e.ns() == ns_sasl;
}

step sasl::on(const xml::element& e, const stream_facts& facts) {
  if (e.name() == "auth") {
    if (std::holds_alternative<idle>(state_)) {
      return begin(e, facts);
    }
    state_ = idle{};  // a second <auth/> inside an exchange ends that exchange
    return refuse(mechanism::unknown, sasl_condition::malformed_request, facts);
  }
  if (e.name() == "abort") {
    const auto* running = std::get_if<exchanging>(&state_);
    const auto by = running != nullptr ? running->by : mechanism::unknown;
    state_ = idle{};
    return refuse(by, sasl_condition::aborted, facts);  // RFC 6120 §6.4.4
  }
  auto* running = std::get_if<exchanging>(&state_);
  if (e.name() != "response" || running == nullptr) {
    state_ = idle{};
    return refuse(mechanism::unknown, sasl_condition::malformed_request, facts);
  }
  auto response = octets(e.text());
  const auto by = running->by;
  if (!response) {
    state_ = idle{};
    return refuse(by, sasl_condition::incorrect_encoding, facts);
  }
  auto machine = std::move(running->machine);
  auto next = machine->respond(*response);
  tls::cleanse(*response);
  return follow(std::move(machine), by, std::move(next), facts);
}

step sasl::begin(const xml::element& e, const stream_facts& facts) {
  const auto by = mechanism_named(e.attribute("mechanism").value_or(""));
  if (facts.authenticated) {
    // RFC 6120 §6.4.6: once authenticated there is no second time on the same stream.
    return {{}, step::end{stream_condition::not_authorized, cause::policy, "already authenticated"}};
  }
  claimed_.clear();
  judging_ = false;
  metrics_().authentication_attempted(facts.route, by);
  if (!facts.encrypted) {
    return refuse(by, sasl_condition::encryption_required, facts);  // RFC 6120 §6.5.4; THREATS B3
  }
  const auto accepted = offered_mechanisms(offer(facts));
  if (std::ranges::find(accepted, by) == accepted.end()) {
    return refuse(by, sasl_condition::invalid_mechanism, facts);  // THREATS C4
  }
  std::optional<std::string> initial;
  if (const auto text = e.text(); !text.empty()) {
    initial = octets(text);
    if (!initial) {
      return refuse(by, sasl_condition::incorrect_encoding, facts);
    }
  }
  auto machine = make_sasl_mechanism(by, {facts.local_domain, facts.bindings, std::ranges::any_of(accepted, is_plus)});
  auto next = initial ? machine->start(std::string_view{*initial}) : machine->start(std::nullopt);
  if (initial) {
    tls::cleanse(*initial);
  }
  return follow(std::move(machine), by, std::move(next), facts);
}

step sasl::on(answer a, const stream_facts& facts) {
  auto* waiting = std::get_if<asking>(&state_);
  if (waiting == nullptr) {
    return stream_feature::on(std::move(a), facts);
  }
  const auto by = waiting->by;
  auto machine = std::move(waiting->machine);
  const bool password = waiting->password;
  state_ = idle{};
  judging_ = true;
  if (auto* keys = std::get_if<keys_answer>(&a); keys != nullptr && !password) {
    if (!*keys) {
      return refuse(by, keys->error(), facts);
    }
    auto next = machine->keys((*keys)->keys, (*keys)->real);
    return follow(std::move(machine), by, std::move(next), facts);
  }
  if (auto* verdict = std::get_if<password_answer>(&a); verdict != nullptr && password) {
    if (!*verdict) {
      return refuse(by, verdict->error(), facts);
    }
    auto next = machine->password(**verdict);
    return follow(std::move(machine), by, std::move(next), facts);
  }
  return stream_feature::on(std::move(a), facts);
}

step sasl::follow(std::unique_ptr<sasl_mechanism> machine, mechanism by, sasl_step next, const stream_facts& facts) {
  using enum sasl_step::kind;
  state_ = idle{};
  if (next.what == challenge) {
    state_ = exchanging{std::move(machine), by};
    return {element("challenge", next.octets), step::exchange{}};
  }
  if (next.what == failure) {
    return refuse(by, next.condition, facts);
  }
  // What is left names a user. One that can be no JID here cannot exist either; the answer does not tell which it was.
  auto user = jid::make(next.username, facts.local_domain, {});
  if (!user || !user->has_localpart()) {
    return refuse(by, sasl_condition::not_authorized, facts);
  }
  claimed_ = user->text();
  if (next.what == success) {
    return {next.octets.empty() ? std::string{"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"}
                                : element("success", next.octets),
            step::authenticated{std::move(*user), by}};
  }
  const bool password = next.what == sasl_step::kind::check_password;
  state_ = asking{std::move(machine), by, password};
  if (password) {
    return {{}, step::ask{connection::check_password{std::move(*user), std::move(next.password)}}};
  }
  return {{}, step::ask{connection::find_keys{std::move(*user), next.hash}}};
}

step sasl::refuse(mechanism by, sasl_condition condition, const stream_facts& facts) {
  metrics_().authentication_failed(facts.route, by, condition);
  ++refusals_;
  failures_ += judging_ ? 1 : 0;
  std::string what{to_string(by)};
  what.append(" ").append(to_string(condition));
  std::string out;
  xml::writer{out, "jabber:client"}.open("failure", ns_sasl).leaf(to_string(condition), ns_sasl).close();
  if (failures_ > failures_allowed || refusals_ > refusals_allowed) {
    // RFC 6120 §6.4.5: a limited number of retries; THREATS C8.
    return {std::move(out), step::end{stream_condition::policy_violation, cause::auth_rejected,
                                      "too many failed authentication attempts"}};
  }
  return {std::move(out), step::refused{cause::auth_rejected, std::move(what), std::exchange(claimed_, {}),
                                        judging_ && condition == sasl_condition::not_authorized}};
}

}  // namespace comity::connection
