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
//   from each: an answer that failed ───────────────────────────────────────▶ fault (B06, B09)
#pragma once

#include <string>
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

  /// What to ask at first; none for an address.
  [[nodiscard]] std::vector<query> start();
  /// Takes the answer to a query and says what to ask next. Not more than one query is ever returned from here.
  [[nodiscard]] std::vector<query> on(const answer&);

  /// nullptr while it is not yet known whether and by what proof to connect. From then on what is known, and better
  /// known after a later answer: addresses of the other family, or a fault.
  [[nodiscard]] const endpoint_addresses* known() const noexcept;
  /// No answer is outstanding, and known() is final.
  [[nodiscard]] bool finished() const noexcept { return outstanding_ == 0; }

private:
  target target_;
  std::size_t outstanding_ = 0;
  endpoint_addresses result_;
};

}  // namespace comity::dns
