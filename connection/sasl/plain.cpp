#include "connection/sasl/plain.hpp"

#include <algorithm>
#include <utility>

#include "connection/sasl/steps.hpp"

namespace comity::connection {

sasl_step plain_mechanism::start(std::optional<std::string_view> initial_response) {
  if (std::exchange(state_, state::message) != state::begun) {
    state_ = state::over;
    return sasl_failure(sasl_condition::malformed_request);
  }
  return initial_response ? respond(*initial_response) : sasl_challenge({});
}

sasl_step plain_mechanism::respond(std::string_view octets) {
  // RFC 4616 §2: [authzid] NUL authcid NUL passwd, with exactly two NULs and nothing empty behind the first.
  if (std::exchange(state_, state::over) != state::message || std::ranges::count(octets, '\0') != 2) {
    return sasl_failure(sasl_condition::malformed_request);
  }
  const auto first = octets.find('\0');
  const auto second = octets.find('\0', first + 1);
  const auto authzid = octets.substr(0, first);
  const auto authcid = octets.substr(first + 1, second - first - 1);
  const auto password = octets.substr(second + 1);
  if (authcid.empty() || password.empty()) {
    return sasl_failure(sasl_condition::malformed_request);
  }
  username_ = prepared_username(authcid);
  if (!may_act_as(authzid, username_, environment_.domain)) {
    return sasl_failure(sasl_condition::invalid_authzid);
  }
  state_ = state::verdict;
  sasl_step ask;
  ask.what = sasl_step::kind::check_password;
  ask.username = username_;
  ask.password = secret{password};
  return ask;
}

sasl_step plain_mechanism::keys(const scram_keys& /*keys*/, bool /*real*/) {
  state_ = state::over;
  return sasl_failure(sasl_condition::temporary_auth_failure);  // nobody asked
}

sasl_step plain_mechanism::password(bool right) {
  if (std::exchange(state_, state::over) != state::verdict) {
    return sasl_failure(sasl_condition::temporary_auth_failure);
  }
  if (!right) {
    return sasl_failure(sasl_condition::not_authorized);
  }
  sasl_step done;
  done.what = sasl_step::kind::success;
  done.username = username_;
  return done;
}

}  // namespace comity::connection
