// dns/service_lookup.hpp: the rules by which a domain's service is found (XEP-0368, RFC 6120 §3.2, RFC 7673 §3).
//
// Pure: given the answers, it says where to connect, in which order, or why nowhere. Who asks is service_resolver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dns/answer.hpp"
#include "dns/srv_order.hpp"

namespace comity::dns {

/// How many targets of one domain are tried, and how many addresses of all of them (THREATS E2). The second is kept by
/// whoever connects.
inline constexpr std::size_t targets_limit = 8;
inline constexpr std::size_t addresses_limit = 16;

/// "xmpp-server" or "xmpp-client": which pair of SRV sets, and which port without them.
enum class service : std::uint8_t { server, client };

/// What led to an endpoint: the label `source` of comity_s2s_discoveries_total.
enum class endpoint_source : std::uint8_t { srv_xmpp, srv_xmpps, fallback, override };
inline constexpr std::size_t endpoint_source_count = 4;
[[nodiscard]] std::string_view to_string(endpoint_source) noexcept;

/// Why a domain or an endpoint of it cannot be reached. Each is one cause of connection failures: dns_nxdomain,
/// dns_servfail, dns_bogus, dns_timeout, srv_unavailable, no_address, shutdown.
enum class lookup_fault : std::uint8_t {
  none,
  nxdomain,
  servfail,
  bogus,
  timeout,
  srv_unavailable,
  no_address,
  cancelled
};
inline constexpr std::size_t lookup_fault_count = 8;
[[nodiscard]] std::string_view to_string(lookup_fault) noexcept;
/// none for an outcome that is an answer.
[[nodiscard]] lookup_fault fault_of(outcome) noexcept;

/// Where a service is offered.
struct target {
  std::string host;  // in lower case, without the dot at its end; an address where a fallback or override is to one
  std::uint16_t port = 0;
  bool direct_tls = false;  // A14: true of each `_xmpps-` record and of no `_xmpp-` record
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  endpoint_source source = endpoint_source::fallback;
  /// Of the SRV answer that names this host: only where it is `secure` does the host stand for the domain, in
  /// certificates and for TLSA (B03, B11, B12). `none` for fallback and override, which delegate nothing.
  dns::security delegation = security::none;
  friend bool operator==(const target&, const target&) = default;
};

/// Why a published record is no endpoint of the plan.
enum class drop_reason : std::uint8_t {
  root_target,   // the target "." beside real ones (A08)
  no_port,       // port 0
  repeated,      // the same host, port and method stands there with a better priority
  over_limit,    // drawn after targets_limit others
  other_method,  // whoever asked wants the other method alone
};
inline constexpr std::size_t drop_reason_count = 5;
[[nodiscard]] std::string_view to_string(drop_reason) noexcept;

struct dropped_record {
  srv_record record;
  bool direct_tls = false;
  drop_reason why = drop_reason::repeated;
  friend bool operator==(const dropped_record&, const dropped_record&) = default;
};

struct service_plan {
  lookup_fault fault = lookup_fault::none;  // other than none: connect nowhere
  std::string why;                          // of the fault, for people
  /// Of the SRV step as a whole: that of the weaker of both answers.
  dns::security security = security::none;
  /// By priority, and in each in the order drawn: the race is within one group (C04). Together not more than
  /// targets_limit, no (host, port, method) twice.
  std::vector<std::vector<target>> groups;
  std::vector<dropped_record> dropped;  // published, and in no group; for people
};

struct query {
  std::string name;
  record_type type = record_type::a;
  friend bool operator==(const query&, const query&) = default;
};

/// The two SRV sets that are asked for, at once (A01).
struct service_queries {
  query xmpp;   // with STARTTLS
  query xmpps;  // with TLS from the first byte on
};
/// `domain` in A-label form and lower case. A component's subdomain is asked for by its own name (A16).
[[nodiscard]] service_queries queries_for(std::string_view domain, service = service::server);

/// What the answers to both queries come to (A01 to A14). Where either failed, the plan has that fault: one of two sets
/// that make one list (XEP-0368 §2 rule 1) is part of the service's SRV lookup, and a part that is not known must not
/// be taken for empty, or whoever can drop one answer chooses how we connect (B02).
[[nodiscard]] service_plan plan_of(std::string_view domain, const answer& xmpp, const answer& xmpps,
                                   const random_draw& draw, service = service::server);

/// A13: what the operator has configured, in place of any SRV lookup. `host` is a name in A-label form or an address.
[[nodiscard]] service_plan plan_of_override(std::string_view host, std::uint16_t port, bool direct_tls);

/// The part of a plan that is reached by one method; srv_unavailable where nothing is left of a plan that had
/// something.
[[nodiscard]] service_plan only(service_plan, bool direct_tls);

/// For a domain that is itself an address ("192.0.2.1", "[2001:db8::1]"), of which the DNS knows nothing; nullopt where
/// it is a name.
[[nodiscard]] std::optional<service_plan> plan_of_literal(std::string_view domain, service = service::server);

}  // namespace comity::dns
