// tls/chain.hpp: whether a peer's certificate stands on an authority we trust (RFC 5280 §6, RFC 6120 §13.7.2).
//
// Judged after the handshake, which accepts any certificate: only then is it known who the peer means to be. No names
// are looked at here (identity.hpp has them). Any thread; some tenths of a millisecond, bounded by certificate_limits.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tls/peer_certificate.hpp"

namespace comity::tls {

/// The authorities, and the certificates they took back. Immutable; shared by all who judge.
class trust_store {
public:
  struct files {
    std::filesystem::path authorities;  // PEM; "": the system's
    std::filesystem::path revocations;  // PEM certificate revocation lists; "": revocation is not checked (G02)
  };
  /// What is wrong otherwise, for the one who configured it: "cannot be read: …; what would be right".
  struct fault {
    bool in_revocations = false;
    std::string what;
  };
  [[nodiscard]] static std::expected<std::shared_ptr<const trust_store>, fault> load(const files&);

  ~trust_store();
  trust_store(const trust_store&) = delete;
  trust_store& operator=(const trust_store&) = delete;

  /// The inside, OpenSSL's; private to tls.
  struct state;
  [[nodiscard]] const state& inside() const noexcept { return *state_; }

private:
  explicit trust_store(std::unique_ptr<state>) noexcept;
  std::unique_ptr<state> state_;
};

/// What the peer was in the handshake.
enum class peer_role : std::uint8_t {
  server,  // we opened the connection: its certificate must be good for serverAuth
  client,  // it did: serverAuth is accepted as well as clientAuth, many servers have no other (G13)
};

/// What the judgement depends on besides the certificates.
struct judged_as {
  peer_role role = peer_role::server;
  std::chrono::system_clock::time_point now = std::chrono::system_clock::now();
};

enum class chain_problem : std::uint8_t {
  none,
  missing,             // nothing was presented
  expired,             // some certificate of the path is
  not_yet_valid,       // likewise
  untrusted,           // no path to an authority of the store, or a broken one
  not_end_entity,      // the peer's certificate is an authority's (G01, RFC 6120 §13.7.1.1)
  wrong_purpose,       // not good for what the peer uses it for
  weak,                // a key or signature below 112 bits (F04)
  revoked,             // (G02)
  revocation_unknown,  // lists are to be checked, and there is none in force for an issuer
};

struct chain_verdict {
  chain_problem problem = chain_problem::untrusted;
  std::string text;                // one line: what is wrong with which certificate; "" where nothing is
  std::vector<std::string> chain;  // subjects, leaf first: the path judged good, else what was presented
  /// When the first certificate of a good path expires: the stream is to end then (G12, RFC 6120 §13.7.2.3).
  std::optional<std::chrono::system_clock::time_point> expires;
  [[nodiscard]] bool ok() const noexcept { return problem == chain_problem::none; }
};

[[nodiscard]] chain_verdict judge_chain(const peer_credentials&, const trust_store&, const judged_as&);

}  // namespace comity::tls
