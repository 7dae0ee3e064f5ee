// connection/sasl/steps.hpp: how mechanisms say their steps, and the one rule they share about authorisation
// identities.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "connection/jid.hpp"
#include "connection/sasl/mechanism.hpp"

namespace comity::connection {

[[nodiscard]] inline sasl_step sasl_challenge(std::string octets) {
  sasl_step s;
  s.what = sasl_step::kind::challenge;
  s.octets = std::move(octets);
  return s;
}

[[nodiscard]] inline sasl_step sasl_failure(sasl_condition condition) {
  sasl_step s;
  s.what = sasl_step::kind::failure;
  s.condition = condition;
  return s;
}

/// RFC 6120 §6.3.8; THREATS C1: whoever names an identity to act as must name its own: user@domain, and nothing else.
[[nodiscard]] inline bool may_act_as(std::string_view authzid, std::string_view username, std::string_view domain) {
  if (authzid.empty()) {
    return true;
  }
  const auto wanted = jid::parse(authzid);
  const auto own = jid::make(username, domain, {});
  return wanted && own && *wanted == *own;
}

/// RFC 5802 §5.1, RFC 4616 §2: a user name as all mechanisms prepare it. A name in a newer script than SASLprep knows
/// is left as it is; whether it can be an address is decided where it becomes one.
[[nodiscard]] inline std::string prepared_username(std::string_view name) {
  auto prepared = saslprep(name);
  return prepared ? std::move(*prepared) : std::string{name};
}

}  // namespace comity::connection
