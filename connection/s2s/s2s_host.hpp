// connection/s2s/s2s_host.hpp: what server streams need of the server around them, and the settings they run by.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "connection/s2s/address_rules.hpp"
#include "connection/s2s/back_off.hpp"
#include "connection/s2s/stanza_queue.hpp"
#include "connection/stanza.hpp"
#include "connection/vocabulary.hpp"
#include "connection/xml/framer.hpp"
#include "tls/secret.hpp"

namespace comity::tls {
class peer_credentials;
class trust_store;
}  // namespace comity::tls

namespace comity::connection {

enum class required_trust : std::uint8_t;  // s2s/trust.hpp

/// One immutable set; a stream keeps the one it began with.
struct s2s_settings {
  xml::framer_limits before_authentication;
  xml::framer_limits after_authentication;
  std::size_t send_queue_bytes = 0;
  std::uint64_t bytes_per_second = 0;  // of what one peer sends; 0: as much as comes (L09)
  // inbound
  std::chrono::milliseconds tls_timeout{};        // from accept or <proceed/> to a finished handshake
  std::chrono::milliseconds handshake_timeout{};  // from accept to an authenticated stream
  // outbound
  std::chrono::milliseconds connect_timeout{};  // of one address, from the first SYN to an authenticated stream
  std::chrono::milliseconds attempt_delay{};    // RFC 8305 §5
  stanza_queue_limits queue;                    // of one pair, while there is no stream
  back_off_rules back_off;
  address_rules addresses;
  // both
  std::chrono::milliseconds idle_timeout{};  // an authenticated stream without stanzas
};

/// Where a peer is to be found whatever the DNS says (A13, RFC 6120 §3.2.3).
struct fixed_endpoint {
  std::string host;  // a name, or an address
  std::uint16_t port = 0;
  connection::method method = method::starttls;
};

/// What the operator wants of one remote domain. Default-made, it asks for the strongest proof.
struct peer_policy {
  required_trust trust{};
  bool allow = true;  // false: nothing in or out
  std::optional<fixed_endpoint> endpoint;
};

/// What `domain` says of itself by POSH (RFC 7711) about a certificate.
enum class posh_answer : std::uint8_t {
  matched,     // its document names the certificate
  mismatched,  // its document names others only
  none,        // there is no document, or none that may be believed
};

/// Fetches POSH documents and keeps them as long as they allow (K05, K06).
class posh_source {
public:
  virtual ~posh_source() = default;
  /// Is the certificate one of those that `domain` (enforced) names? `done` is called once, on any thread.
  virtual void check(std::string domain, tls::peer_credentials, std::move_only_function<void(posh_answer)> done) = 0;
};

/// Implemented by the server; outlives every stream and link. Any loop's thread.
class s2s_host {
public:
  virtual ~s2s_host() = default;
  [[nodiscard]] virtual bool hosts(std::string_view domain) const = 0;
  /// `from` of our header where the peer named no host of ours.
  [[nodiscard]] virtual std::string default_domain() const = 0;
  /// `remote` is enforced.
  [[nodiscard]] virtual peer_policy policy(std::string_view remote) const = 0;
  /// Those in force now.
  [[nodiscard]] virtual std::shared_ptr<const s2s_settings> settings() const = 0;
  /// The authorities that peers' certificates may stand on; those in force now.
  [[nodiscard]] virtual std::shared_ptr<const tls::trust_store> authorities() const = 0;
  /// Of XEP-0185: at least 256 random bits, made once for the process. Lives as long as the host.
  [[nodiscard]] virtual const tls::secret& dialback_secret() const = 0;
  /// A stanza of an authorised pair: the domain of `from` is proven, that of `to` is hosted here.
  virtual void received(stanza_ref) = 0;
  /// The error that goes back to the local sender of a stanza that could not be delivered (THREATS D6). There is none
  /// for errors and results (D8).
  virtual void undeliverable(stanza_ref error) = 0;
};

}  // namespace comity::connection
