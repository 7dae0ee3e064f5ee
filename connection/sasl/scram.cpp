#include "connection/sasl/scram.hpp"

#include <algorithm>
#include <utility>

#include "connection/sasl/steps.hpp"

namespace comity::connection {

namespace {

constexpr std::size_t nonce_bits = 144;
constexpr std::size_t longest_nonce = 512;

/// Takes the text up to the next comma off the front. False where there is nothing left.
bool take_part(std::string_view& rest, std::string_view& part) {
  if (rest.data() == nullptr) {
    return false;
  }
  const auto comma = rest.find(',');
  part = rest.substr(0, comma);
  rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
  return true;
}

/// The value of an attribute "x=value"; nullopt where the part is another one or has no value.
std::optional<std::string_view> value_of(char name, std::string_view part) {
  if (part.size() < 3 || part[0] != name || part[1] != '=') {
    return std::nullopt;
  }
  return part.substr(2);
}

/// RFC 5802 §5.1: "=2C" and "=3D" stand for comma and equals sign, and no other "=" is legal.
std::optional<std::string> saslname(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      if (text[i] == '\0') {
        return std::nullopt;
      }
      out += text[i];
      continue;
    }
    const auto escape = text.substr(i, 3);
    if (escape != "=2C" && escape != "=3D") {
      return std::nullopt;
    }
    out += escape == "=2C" ? ',' : '=';
    i += 2;
  }
  return out;
}

/// RFC 5802 §7: printable ASCII but for the comma.
bool is_nonce(std::string_view text) {
  return !text.empty() && text.size() <= longest_nonce &&
         std::ranges::all_of(text, [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

/// Optional extensions of the RFC's grammar: a letter, "=", something. None is known, so all are passed over; the
/// letters that mean something elsewhere in the message are not extensions (THREATS C3).
bool is_extension(std::string_view part) {
  const bool letter = !part.empty() && ((part[0] >= 'a' && part[0] <= 'z') || (part[0] >= 'A' && part[0] <= 'Z'));
  return letter && part.size() >= 3 && part[1] == '=' &&
         std::string_view{"anrmscivpe"}.find(part[0]) == std::string_view::npos;
}

}  // namespace

scram_mechanism::scram_mechanism(tls::hash hash, bool plus, sasl_environment environment, std::string nonce)
    : hash_{hash},
      plus_{plus},
      environment_{std::move(environment)},
      nonce_{nonce.empty() ? tls::random_token(nonce_bits) : std::move(nonce)} {
}

sasl_step scram_mechanism::start(std::optional<std::string_view> initial_response) {
  if (std::exchange(state_, state::client_first) != state::begun) {
    state_ = state::over;
    return sasl_failure(sasl_condition::malformed_request);
  }
  return initial_response ? respond(*initial_response) : sasl_challenge({});
}

sasl_step scram_mechanism::respond(std::string_view octets) {
  switch (std::exchange(state_, state::over)) {
    case state::client_first:
      return client_first(octets);
    case state::client_final:
      return client_final(octets);
    case state::begun:
    case state::keys:
    case state::over:
      break;
  }
  return sasl_failure(sasl_condition::malformed_request);
}

sasl_step scram_mechanism::client_first(std::string_view message) {
  const auto malformed = [] { return sasl_failure(sasl_condition::malformed_request); };
  // RFC 5802 §7: gs2-header = gs2-cbind-flag "," [ authzid ] ","
  auto rest = message;
  std::string_view flag, authzid_part;
  if (!take_part(rest, flag) || !take_part(rest, authzid_part) || rest.data() == nullptr) {
    return malformed();
  }
  const auto header = message.substr(0, message.size() - rest.size());
  std::string binding;
  if (const auto type = value_of('p', flag)) {
    if (!plus_) {
      return malformed();  // a binding inside the mechanism without
    }
    for (const auto& have : environment_.bindings.all()) {
      if (have.type == *type) {
        binding = have.octets.made();
      }
    }
    if (binding.empty()) {
      return malformed();  // a type that is unknown or not to be had here
    }
  } else if (flag == "y") {
    // RFC 5802 §6: the client thinks that we have no -PLUS form; where we have, somebody took it out of our offer.
    if (plus_ || environment_.plus_offered) {
      return sasl_failure(plus_ ? sasl_condition::malformed_request : sasl_condition::not_authorized);
    }
  } else if (flag != "n" || plus_) {
    return malformed();
  }
  std::string authzid;
  if (!authzid_part.empty()) {
    const auto value = value_of('a', authzid_part);
    const auto name = value ? saslname(*value) : std::nullopt;
    if (!name) {
      return malformed();
    }
    authzid = *name;
  }
  // client-first-message-bare = username "," nonce ["," extensions]; a leading m= is an extension we would have to
  // know.
  const auto bare = rest;
  std::string_view user_part, nonce_part, extension;
  if (!take_part(rest, user_part) || !take_part(rest, nonce_part)) {
    return malformed();
  }
  const auto user_value = value_of('n', user_part);
  const auto nonce_value = value_of('r', nonce_part);
  const auto user = user_value ? saslname(*user_value) : std::nullopt;
  if (!user || !nonce_value || !is_nonce(*nonce_value)) {
    return malformed();
  }
  while (take_part(rest, extension)) {
    if (!is_extension(extension)) {
      return malformed();
    }
  }
  username_ = prepared_username(*user);
  if (!may_act_as(authzid, username_, environment_.domain)) {
    return sasl_failure(sasl_condition::invalid_authzid);
  }
  channel_binding_ = std::string{header} + binding;
  first_bare_ = bare;
  nonce_ = std::string{*nonce_value} + nonce_;
  state_ = state::keys;
  sasl_step ask;
  ask.what = sasl_step::kind::find_keys;
  ask.username = username_;
  ask.hash = hash_;
  return ask;
}

sasl_step scram_mechanism::keys(const scram_keys& keys, bool real) {
  if (std::exchange(state_, state::over) != state::keys) {
    return sasl_failure(sasl_condition::temporary_auth_failure);  // nobody asked
  }
  keys_ = keys;
  real_ = real;
  server_first_ = "r=" + nonce_ + ",s=" + tls::base64_encode(keys.salt) + ",i=" + std::to_string(keys.iterations);
  state_ = state::client_final;
  return sasl_challenge(server_first_);
}

sasl_step scram_mechanism::client_final(std::string_view message) {
  // client-final-message = channel-binding "," nonce ["," extensions] "," proof
  auto rest = message;
  std::string_view binding_part, nonce_part, part;
  if (!take_part(rest, binding_part) || !take_part(rest, nonce_part)) {
    return sasl_failure(sasl_condition::malformed_request);
  }
  const auto binding = value_of('c', binding_part);
  const auto nonce = value_of('r', nonce_part);
  std::optional<std::string_view> proof_text;
  std::string_view without_proof;
  while (!proof_text && take_part(rest, part)) {
    proof_text = value_of('p', part);
    if (proof_text) {
      without_proof = message.substr(0, static_cast<std::size_t>(part.data() - message.data()) - 1);
    } else if (!is_extension(part)) {
      return sasl_failure(sasl_condition::malformed_request);
    }
  }
  if (!binding || !nonce || !proof_text || rest.data() != nullptr) {  // the proof is the last attribute
    return sasl_failure(sasl_condition::malformed_request);
  }
  auto decoded = tls::base64_decode(*proof_text);
  if (!decoded || !tls::base64_decode(*binding)) {
    return sasl_failure(sasl_condition::malformed_request);
  }
  const secret proof{std::move(*decoded)};
  if (*nonce != nonce_ || !tls::equal_constant_time(*binding, tls::base64_encode(channel_binding_)) ||
      proof.size() != tls::digest_size(hash_)) {
    return sasl_failure(sasl_condition::not_authorized);
  }
  const auto auth_message = first_bare_ + "," + server_first_ + "," + std::string{without_proof};
  auto unmasked = tls::hmac(hash_, keys_.stored_key.reveal(), auth_message);
  std::ranges::transform(unmasked, proof.reveal(), unmasked.begin(),
                         [](char a, char b) { return static_cast<char>(a ^ b); });
  const secret client_key{std::move(unmasked)};
  const bool right = secret{tls::digest(hash_, client_key.reveal())} == keys_.stored_key;
  if (!right || !real_) {
    return sasl_failure(sasl_condition::not_authorized);
  }
  sasl_step done;
  done.what = sasl_step::kind::success;
  done.username = username_;
  done.octets = "v=" + tls::base64_encode(tls::hmac(hash_, keys_.server_key.reveal(), auth_message));
  return done;
}

sasl_step scram_mechanism::password(bool /*right*/) {
  state_ = state::over;
  return sasl_failure(sasl_condition::temporary_auth_failure);  // nobody asked
}

}  // namespace comity::connection
