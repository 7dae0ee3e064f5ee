// dns/answer.hpp: what was asked of the DNS and what came back, as plain values. No library's type is in here.
//
// "No record" is an answer (nodata, nxdomain); that nothing was learnt is another (servfail, bogus, timeout), and the
// two are never taken for each other (RFC 7673 §3.1, A11). Whoever reads an answer looks at `result` first: an answer
// that failed carries no records at all, even where the library had some (THREATS E4).
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace comity::dns {

/// What may be asked for.
enum class record_type : std::uint8_t { a, aaaa, srv, tlsa };
inline constexpr std::size_t record_type_count = 4;
/// "A", "AAAA", "SRV", "TLSA".
[[nodiscard]] std::string_view to_string(record_type) noexcept;

/// What DNSSEC says of an answer (RFC 4035 §4.3). `secure`: every record on the way to it is signed and right, the
/// aliases included, or its absence is proven; `insecure`: proven to be unsigned; `bogus`: forged, expired or broken;
/// `none`: nothing was validated, since there is no answer or no trust anchor.
enum class security : std::uint8_t { secure, insecure, bogus, none };
inline constexpr std::size_t security_count = 4;
[[nodiscard]] std::string_view to_string(security) noexcept;

/// What became of a question. The first three are answers; `servfail` stands for every other response code and for an
/// answer that cannot be read; `cancelled`: the resolver ended first.
enum class outcome : std::uint8_t { records, nodata, nxdomain, servfail, bogus, timeout, cancelled };
inline constexpr std::size_t outcome_count = 7;
[[nodiscard]] std::string_view to_string(outcome) noexcept;
/// The DNS said what there is, or that there is nothing.
[[nodiscard]] constexpr bool answered(outcome o) noexcept {
  return o == outcome::records || o == outcome::nodata || o == outcome::nxdomain;
}

/// An IPv4 or IPv6 address.
class address {
public:
  /// From 4 or 16 bytes in network order; nullopt for any other length.
  [[nodiscard]] static std::optional<address> from_bytes(std::span<const std::uint8_t>) noexcept;
  /// From "192.0.2.1" or "2001:db8::1", without brackets or zone; nullopt for anything else, a host name included.
  [[nodiscard]] static std::optional<address> parse(std::string_view text) noexcept;

  [[nodiscard]] bool v4() const noexcept { return size_ == 4; }
  /// 4 or 16 of them, in network order; as long as the address lives.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept { return {bytes_.data(), size_}; }
  /// "192.0.2.1", "2001:db8::1".
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const address&, const address&) = default;

private:
  address() = default;
  std::uint8_t size_ = 0;  // first, so that all of IPv4 sorts before IPv6
  std::array<std::uint8_t, 16> bytes_{};
};

/// RFC 2782. `target` is in lower case and without the dot at its end: "" is the root, "." in a zone file, which says
/// that the service is not offered.
struct srv_record {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  std::string target;
  friend bool operator==(const srv_record&, const srv_record&) = default;
};

/// RFC 6698 §2.1, with the numbers as they came: which of them can be used is for who matches certificates to say.
struct tlsa_record {
  std::uint8_t usage = 0;
  std::uint8_t selector = 0;
  std::uint8_t matching = 0;
  std::string data;  // bytes: a certificate, a public key, or the digest of one
  friend bool operator==(const tlsa_record&, const tlsa_record&) = default;
};

struct answer {
  record_type type = record_type::a;
  outcome result = outcome::servfail;
  dns::security security = security::none;
  /// Why there is no answer: the validator's reason, or the response code. Empty where there is one.
  std::string why;
  /// The name that the records are of once aliases (CNAME, DNAME) are followed, in lower case, without the dot at its
  /// end; the name asked for where there are none.
  std::string canonical_name;
  /// How long the answer holds, "there is none" included: never under 5 s, never over a day (THREATS E7).
  std::chrono::seconds ttl{};
  /// Records left out because they break their own format. Where no other is left, `result` is servfail.
  std::uint32_t malformed = 0;
  // Those of `type`, and only with outcome::records.
  std::vector<srv_record> srv;
  std::vector<address> addresses;
  std::vector<tlsa_record> tlsa;
};

}  // namespace comity::dns
