// connection/s2s/peer_prover.hpp: proves a peer by the certificate it presented when it came to us, for any domain it
// says to be (RFC 6120 §13.7.2, RFC 7712 §4.4.1, RFC 7673 for servers that connect).
//
// The certificate's chain and names come first: they cost no lookup. Where they do not do, the domain's own SRV and
// TLSA records are asked for, of any usage, since what a server presents to those it calls is what it presents to its
// callers; then its POSH document. trust::decide says what all of it comes to. Verdicts are kept as long as the stream.
// Lookups for domains that a peer merely names are bounded (THREATS D5). Owned by the stream; its loop's thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection/s2s/peer_evidence.hpp"
#include "connection/s2s/s2s_collaborators.hpp"
#include "connection/s2s/trust.hpp"

namespace comity::connection {

[[nodiscard]] trust::posh_outcome outcome_of(posh_answer) noexcept;

class peer_prover {
public:
  /// How many domains of one peer are looked up.
  static constexpr unsigned lookups_allowed = 4;

  struct proven {
    trust::verdict verdict;
    dns::security dns = dns::security::none;  // of the SRV step
    std::string text;
    std::optional<std::chrono::system_clock::time_point> expires;
  };
  using completion = std::move_only_function<void(const proven&)>;
  /// Asks for the POSH document of a domain; the answer comes on this loop, or never once the stream has ended.
  using ask_posh = std::function<void(const std::string& domain, std::move_only_function<void(posh_answer)>)>;

  peer_prover(const s2s_collaborators&, tls::peer_credentials, tls::peer_role, ask_posh);
  ~peer_prover();
  peer_prover(const peer_prover&) = delete;
  peer_prover& operator=(const peer_prover&) = delete;

  /// Is the peer `domain` (enforced)? `done` is called once, perhaps within this.
  void prove(const std::string& domain, completion done);
  /// What has come out for that domain; nullptr as long as nothing has.
  [[nodiscard]] const proven* known(std::string_view domain) const;

private:
  struct search;
  void look_up(search&);
  void take_plan(search&, const dns::service_plan&);
  void take_endpoints(search&);
  void judge(search&, trust::posh_outcome);
  void conclude(search&, proven);

  s2s_collaborators with_;
  examiner peer_;
  ask_posh posh_;
  unsigned lookups_ = 0;
  std::map<std::string, proven, std::less<>> known_;
  std::map<std::string, std::unique_ptr<search>, std::less<>> searches_;
};

}  // namespace comity::connection
