#include "connection/sasl/mechanism.hpp"

#include <array>
#include <stdexcept>
#include <utility>

#include "connection/sasl/plain.hpp"
#include "connection/sasl/scram.hpp"

namespace comity::connection {

namespace {

/// Strongest first; the form with channel binding before those without, PLAIN last.
constexpr std::array<mechanism, 7> preferred{mechanism::scram_sha_512_plus,
                                             mechanism::scram_sha_256_plus,
                                             mechanism::scram_sha_1_plus,
                                             mechanism::scram_sha_512,
                                             mechanism::scram_sha_256,
                                             mechanism::scram_sha_1,
                                             mechanism::plain};

bool needs_binding(mechanism m) noexcept {
  return m == mechanism::scram_sha_512_plus || m == mechanism::scram_sha_256_plus || m == mechanism::scram_sha_1_plus;
}

}  // namespace

std::unique_ptr<sasl_mechanism> make_sasl_mechanism(mechanism m, sasl_environment environment, std::string nonce) {
  using enum mechanism;
  switch (m) {
    case plain:
      return std::make_unique<plain_mechanism>(std::move(environment));
    case scram_sha_1:
    case scram_sha_1_plus:
      return std::make_unique<scram_mechanism>(tls::hash::sha1, needs_binding(m), std::move(environment),
                                               std::move(nonce));
    case scram_sha_256:
    case scram_sha_256_plus:
      return std::make_unique<scram_mechanism>(tls::hash::sha256, needs_binding(m), std::move(environment),
                                               std::move(nonce));
    case scram_sha_512:
    case scram_sha_512_plus:
      return std::make_unique<scram_mechanism>(tls::hash::sha512, needs_binding(m), std::move(environment),
                                               std::move(nonce));
    case external:
    case unknown:
      break;
  }
  throw std::logic_error{"no such mechanism on this server"};
}

mechanism mechanism_named(std::string_view name) noexcept {
  for (std::size_t i = 0; i < mechanism_count; ++i) {
    const auto m = static_cast<mechanism>(i);
    if (m != mechanism::unknown && to_string(m) == name) {
      return m;
    }
  }
  return mechanism::unknown;
}

std::vector<mechanism> offered_mechanisms(const sasl_offer& offer) {
  std::vector<mechanism> offered;
  if (!offer.encrypted) {
    return offered;  // RFC 6120 §13.8.3 (L05): no credential in clear, not even a hashed one
  }
  for (const auto m : preferred) {
    if (offer.bindings.any() || !needs_binding(m)) {
      offered.push_back(m);
    }
  }
  return offered;
}

std::expected<scram_keys, jid_error> derive_scram_keys(tls::hash hash, std::string_view password, std::string salt,
                                                       std::uint32_t iterations) {
  // RFC 5802 §2.2: SASLprep, as a stored string. What that cannot prepare (its tables end at Unicode 3.2) is taken by
  // OpaqueString, so that newer scripts have passwords too.
  auto prepared = saslprep(password);
  if (!prepared) {
    prepared = enforce_opaque_string(password);
  }
  if (!prepared) {
    return std::unexpected{prepared.error()};
  }
  scram_keys keys;
  const secret text{std::move(*prepared)};
  const secret salted{tls::pbkdf2(hash, text.reveal(), salt, iterations)};
  const secret client_key{tls::hmac(hash, salted.reveal(), "Client Key")};
  keys.salt = std::move(salt);
  keys.iterations = iterations;
  keys.stored_key = secret{tls::digest(hash, client_key.reveal())};
  keys.server_key = secret{tls::hmac(hash, salted.reveal(), "Server Key")};
  return keys;
}

}  // namespace comity::connection
