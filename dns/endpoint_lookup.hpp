// dns/endpoint_lookup.hpp: the rules by which a target's addresses and TLSA records are found (RFC 7673 §3.2 and §3.3,
// RFC 7671 §7).
//
// Pure: answers in, queries and what is known so far out. Who asks is service_resolver.
//
//   start ── literal address ──────────────────────────────────────────────▶ known
//   start ── A and AAAA at once ──▶ addresses ── no TLSA to be had ─────────▶ known (B03, B05)
//                                   addresses ── secure ──▶ TLSA at the name that the aliases end in
//                                        TLSA ── records, secure ───────────▶ known (B08)
//                                        TLSA ── none, or insecure ──▶ TLSA at the target's own name, then known (B10)
//   from each: bogus, or TLSA not answered, or no family answered ───────────▶ fault (B06, B09)
//
// RFC 7673 §3.2 has "A and/or AAAA queries". Where one family is answered and the other is not (a server that drops
// AAAA), we are as one who asked for the first only: both have one owner name, so what signs the one signs the other.
// Bogus is another matter: somebody has touched the name's data, and nothing of it is used (THREATS E4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/answer.hpp"
#include "dns/service_lookup.hpp"

namespace comity::dns {

/// What there is to prove the endpoint by.
enum class tlsa_outcome : std::uint8_t {
  none,      // there are none, or they may not be asked for
  insecure,  // there are, but unsigned: as if none (B10)
  secure,    // `tlsa` has them
  failed,    // not known, so the endpoint is not connected (B09)
};
[[nodiscard]] std::string_view to_string(tlsa_outcome) noexcept;

struct endpoint_addresses {
  lookup_fault fault = lookup_fault::none;  // other than none: do not connect, and stop where that has begun
  std::string why;                          // of the fault, for people
  std::vector<address> v4;
  std::vector<address> v6;
  /// Answers still to come, for RFC 8305 §3 (C01): who has v4 alone waits 50 ms for v6.
  bool awaiting_v4 = false;
  bool awaiting_v6 = false;
  dns::security security = security::none;  // of the addresses
  dns::tlsa_outcome tlsa_outcome = tlsa_outcome::none;
  std::vector<tlsa_record> tlsa;  // all of them, usable or not; only with tlsa_outcome::secure
  /// The name that the TLSA records are of, "_port._tcp." taken off: a name to be accepted in the certificate beside
  /// that of the domain (RFC 7671 §7, B19). The target's own where there are none.
  std::string tlsa_base;

  [[nodiscard]] bool complete() const noexcept { return !awaiting_v4 && !awaiting_v6; }
};

class endpoint_lookup {
public:
  explicit endpoint_lookup(target);

  /// What to ask at first, at once; nothing where the host is an address.
  [[nodiscard]] std::vector<query> start();
  /// Takes the answer to a query, and says what to ask next.
  [[nodiscard]] std::optional<query> on(const answer&);

  /// nullptr while it is not yet known whether to connect, and by what proof. From then on what is known, and better
  /// known after a later answer: addresses of the other family, or a fault.
  [[nodiscard]] const endpoint_addresses* known() const noexcept;
  /// Nothing is to come that known() does not hold.
  [[nodiscard]] bool finished() const noexcept { return result_.fault != lookup_fault::none || outstanding_ == 0; }

private:
  enum class proof : std::uint8_t { undecided, asked_at_alias, asked_at_target, decided };

  [[nodiscard]] std::optional<query> on_addresses(const answer&);
  [[nodiscard]] std::optional<query> on_tlsa(const answer&);
  [[nodiscard]] query tlsa_query(std::string_view base) const;
  [[nodiscard]] bool tlsa_wanted() const noexcept;
  void all_addresses_in();
  void fail(lookup_fault, std::string why);

  target target_;
  std::size_t outstanding_ = 0;
  proof proof_ = proof::undecided;
  bool absent_ = false;                           // the host's name does not exist
  lookup_fault unanswered_ = lookup_fault::none;  // of an address family that could not be asked for
  std::string unanswered_why_;
  endpoint_addresses result_;
};

}  // namespace comity::dns
