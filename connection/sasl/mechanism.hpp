// connection/sasl/mechanism.hpp: one SASL exchange, seen from the server (RFC 4422), as a pure machine.
//
// The negotiator decodes base64 and feeds raw octets; a mechanism never sees sockets, clocks or storage. What it needs
// from outside (a user's salted keys, the verdict on a password) it asks for by returning `find_keys` or
// `check_password`, and is then told. One object, one exchange.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connection/connection_metrics.hpp"
#include "connection/errors.hpp"
#include "connection/jid.hpp"
#include "tls/crypto.hpp"
#include "tls/secret.hpp"

namespace comity::connection {

using tls::secret;

/// Salted SCRAM keys of one hash (RFC 5802 §3); never a password.
struct scram_keys {
  std::string salt;  // raw octets
  std::uint32_t iterations = 0;
  secret stored_key;
  secret server_key;
  friend bool operator==(const scram_keys&, const scram_keys&) = default;
};

/// What a channel binding binds to: raw octets, which may be made only once a client binds, since most do not.
class binding_octets {
public:
  binding_octets() = default;  // not to be had
  binding_octets(std::string known) : known_{std::move(known)} {}
  binding_octets(const char* known) : known_{known} {}
  /// `make` is called for each time that they are asked for; it may find, though it was not thought so, that there are
  /// none: "".
  explicit binding_octets(std::function<std::string()> make) : make_{std::move(make)} {}

  /// Not to be had, as far as is known.
  [[nodiscard]] bool empty() const noexcept { return known_.empty() && !make_; }
  [[nodiscard]] std::string made() const { return make_ ? make_() : known_; }

private:
  std::string known_;
  std::function<std::string()> make_;
};

/// The channel bindings that this connection has.
struct channel_bindings {
  binding_octets tls_exporter;          // RFC 9266
  binding_octets tls_server_end_point;  // RFC 5929 §4.1
  binding_octets tls_unique;            // RFC 5929 §3; RFC 5802 §6.1: not to be left out where others are had

  struct named {
    std::string_view type;  // as registered, and as the gs2 header and XEP-0440 spell it
    const binding_octets& octets;
  };
  /// All that there are, in the order of announcing them. They point into this.
  [[nodiscard]] std::array<named, 3> all() const {
    return {
        {{"tls-exporter", tls_exporter}, {"tls-server-end-point", tls_server_end_point}, {"tls-unique", tls_unique}}};
  }
  [[nodiscard]] bool any() const {
    return !tls_exporter.empty() || !tls_server_end_point.empty() || !tls_unique.empty();
  }
};

struct sasl_step {
  enum class kind : std::uint8_t {
    challenge,       // send `octets`, wait for a response
    find_keys,       // look up the keys of `username` for `hash`, then call keys()
    check_password,  // judge `password` of `username`, then call password()
    success,         // `username` is proven; `octets` are additional data with success ("" for none)
    failure,         // `condition`
  };
  kind what = kind::failure;
  std::string octets;
  std::string username;  // the localpart that was claimed, prepared by the mechanism's rules; not yet a jid
  tls::hash hash = tls::hash::sha1;
  secret password;
  sasl_condition condition = sasl_condition::not_authorized;
};

class sasl_mechanism {
public:
  virtual ~sasl_mechanism() = default;
  /// The initial response; nullopt where the client sent none at all, "" where it sent "=" (RFC 6120 §6.4.2).
  [[nodiscard]] virtual sasl_step start(std::optional<std::string_view> initial_response) = 0;
  [[nodiscard]] virtual sasl_step respond(std::string_view octets) = 0;
  /// Answer to find_keys. `real` is false for keys made up for an absent user: the exchange goes on alike and is
  /// refused at the proof (THREATS C2).
  [[nodiscard]] virtual sasl_step keys(const scram_keys& keys, bool real) = 0;
  /// Answer to check_password.
  [[nodiscard]] virtual sasl_step password(bool right) = 0;
};

/// What an exchange depends on from its surroundings.
struct sasl_environment {
  std::string domain;  // the stream's host: an authzid must be the authenticating user at this domain
  channel_bindings bindings;
  bool plus_offered = false;  // some -PLUS mechanism was advertised: gs2 flag "y" is then a downgrade (RFC 5802 §6)
};

/// SCRAM (RFC 5802, RFC 7677) or PLAIN (RFC 4616); never called with `external` or `unknown`. The nonce comes from
/// tls::random_token unless given, for test vectors.
[[nodiscard]] std::unique_ptr<sasl_mechanism> make_sasl_mechanism(mechanism, sasl_environment, std::string nonce = {});

/// The mechanism of that exact name, `unknown` for any other text (names are case-sensitive, RFC 4422 §3.1).
[[nodiscard]] mechanism mechanism_named(std::string_view) noexcept;

/// What is offered, strongest first, by one function for advertising and accepting alike (THREATS C4): nothing without
/// TLS; the -PLUS forms only where a channel binding can be had; PLAIN last and only under TLS.
struct sasl_offer {
  bool encrypted = false;
  channel_bindings bindings;
};
[[nodiscard]] std::vector<mechanism> offered_mechanisms(const sasl_offer&);

/// The stored form of a password, for all three hashes share one iteration count. Slow: never on a loop. The password
/// is prepared by SASLprep (RFC 5802 §2.2); jid_error where it cannot be.
[[nodiscard]] std::expected<scram_keys, jid_error> derive_scram_keys(tls::hash, std::string_view password,
                                                                     std::string salt, std::uint32_t iterations);

}  // namespace comity::connection
