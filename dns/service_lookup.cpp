#include "dns/service_lookup.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

namespace comity::dns {
namespace {

/// What one SRV set says.
enum class set_kind : std::uint8_t {
  failed,   // not known
  absent,   // no records
  refused,  // one record with the target ".": "decidedly not available" (RFC 2782)
  offered,  // at least one real record
};

bool real(const srv_record& r) noexcept {
  return !r.target.empty();
}

set_kind kind_of(const answer& a) noexcept {
  if (!answered(a.result)) {
    return set_kind::failed;
  }
  if (a.result != outcome::records) {
    return set_kind::absent;
  }
  // A08: among real records "." is skipped; RFC 2782 aborts where it stands alone.
  return std::ranges::any_of(a.srv, real) ? set_kind::offered : set_kind::refused;
}

std::uint16_t default_port(service s) noexcept {
  return s == service::server ? 5269 : 5222;  // RFC 6120 §3.2.2
}

void collect(std::vector<srv_entry>& entries, std::vector<dropped_record>& dropped, const answer& a, bool direct_tls) {
  for (const auto& record : a.srv) {
    if (real(record) && record.port != 0) {  // THREATS E2: nothing listens on port 0
      entries.push_back({.record = record, .direct_tls = direct_tls, .security = a.security});
    } else {
      dropped.push_back({.record = record,
                         .direct_tls = direct_tls,
                         .why = real(record) ? drop_reason::no_port : drop_reason::root_target});
    }
  }
}

void drop(std::vector<dropped_record>& dropped, const srv_entry& e, drop_reason why) {
  dropped.push_back({.record = e.record, .direct_tls = e.direct_tls, .why = why});
}

std::tuple<std::string_view, std::uint16_t, bool> endpoint_of(const srv_entry& e) noexcept {
  return {e.record.target, e.record.port, e.direct_tls};
}

/// Leaves each (host, port, method) once, where it is tried first (THREATS E2).
void drop_repeated(std::vector<srv_entry>& entries, std::vector<dropped_record>& dropped) {
  std::ranges::sort(entries, {}, [](const srv_entry& e) {
    return std::tuple_cat(endpoint_of(e), std::tuple{e.record.priority, e.record.weight});
  });
  std::vector<srv_entry> once;
  for (auto& e : entries) {
    if (once.empty() || endpoint_of(once.back()) != endpoint_of(e)) {
      once.push_back(std::move(e));
    } else {
      drop(dropped, e, drop_reason::repeated);
    }
  }
  entries = std::move(once);
}

/// Those that were not drawn any more.
void drop_undrawn(const std::vector<srv_entry>& entries, const std::vector<std::vector<srv_entry>>& groups,
                  std::vector<dropped_record>& dropped) {
  if (entries.size() <= targets_limit) {
    return;
  }
  for (const auto& e : entries) {
    const auto is_it = [&e](const srv_entry& drawn) { return endpoint_of(drawn) == endpoint_of(e); };
    if (std::ranges::none_of(groups, [&](const auto& g) { return std::ranges::any_of(g, is_it); })) {
      drop(dropped, e, drop_reason::over_limit);
    }
  }
}

service_plan failed(lookup_fault fault, std::string why, security s, std::vector<dropped_record> dropped = {}) {
  return {.fault = fault, .why = std::move(why), .security = s, .groups = {}, .dropped = std::move(dropped)};
}

service_plan plan_to(target t) {
  service_plan plan;
  plan.groups.push_back({std::move(t)});
  return plan;
}

/// "192.0.2.1", "[2001:db8::1]" or "2001:db8::1" as an address.
std::optional<address> literal(std::string_view text) noexcept {
  if (text.starts_with('[') && text.ends_with(']')) {
    text = text.substr(1, text.size() - 2);
  }
  return address::parse(text);
}

}  // namespace

std::string_view to_string(endpoint_source s) noexcept {
  static constexpr std::array<std::string_view, endpoint_source_count> names{"srv_xmpp", "srv_xmpps", "fallback",
                                                                             "override"};
  return names[static_cast<std::size_t>(s)];
}

std::string_view to_string(drop_reason r) noexcept {
  static constexpr std::array<std::string_view, drop_reason_count> names{"root_target", "no_port", "repeated",
                                                                         "over_limit", "other_method"};
  return names[static_cast<std::size_t>(r)];
}

std::string_view to_string(lookup_fault f) noexcept {
  static constexpr std::array<std::string_view, lookup_fault_count> names{
      "none", "nxdomain", "servfail", "bogus", "timeout", "srv_unavailable", "no_address", "cancelled"};
  return names[static_cast<std::size_t>(f)];
}

lookup_fault fault_of(outcome o) noexcept {
  switch (o) {
    case outcome::records:
    case outcome::nodata:
    case outcome::nxdomain:
      return lookup_fault::none;
    case outcome::servfail:
      return lookup_fault::servfail;
    case outcome::bogus:
      return lookup_fault::bogus;
    case outcome::timeout:
      return lookup_fault::timeout;
    case outcome::cancelled:
      return lookup_fault::cancelled;
  }
  return lookup_fault::servfail;
}

service_queries queries_for(std::string_view domain, service s) {
  // RFC 6120 §3.2.1 (1), XEP-0368 §2: _service._proto.name
  const std::string_view role = s == service::server ? "server" : "client";
  const auto name = [&](std::string_view prefix) {
    std::string text{prefix};
    text.append(role).append("._tcp.").append(domain);
    return text;
  };
  return {.xmpp = {.name = name("_xmpp-"), .type = record_type::srv},
          .xmpps = {.name = name("_xmpps-"), .type = record_type::srv}};
}

service_plan plan_of(std::string_view domain, const answer& xmpp, const answer& xmpps, const random_draw& draw,
                     service s) {
  const set_kind starttls = kind_of(xmpp);
  const set_kind direct = kind_of(xmpps);
  // The weaker of both, since the list is made of both; declared from the strongest on, and bogus ends below.
  const security both = std::max(xmpp.security, xmpps.security);

  // RFC 7673 §3.1: "If the SRV lookup fails because the RRset is 'bogus' (or the lookup fails for reasons other than no
  // records), the client MUST abort its attempt to connect to the desired service." Bogus is told before the rest: it
  // is the one that somebody may be doing on purpose.
  for (const answer* a : {&xmpp, &xmpps}) {
    if (a->result == outcome::bogus) {
      return failed(lookup_fault::bogus, a->why, security::bogus);
    }
  }
  if (starttls == set_kind::failed) {
    return failed(fault_of(xmpp.result), xmpp.why, both);
  }
  if (direct == set_kind::failed) {
    return failed(fault_of(xmpps.result), xmpps.why, both);
  }

  if (starttls == set_kind::absent && direct == set_kind::absent) {
    // RFC 6120 §3.2.2: the domain's own addresses at the default port, where there are no SRV records.
    auto plan = plan_to({.host = std::string{domain}, .port = default_port(s), .source = endpoint_source::fallback});
    plan.security = both;
    return plan;
  }
  if (starttls != set_kind::offered && direct != set_kind::offered) {
    // RFC 6120 §3.2.1 (3), and XEP-0368 §4: "MUST NOT perform A/AAAA fallback" once "." has been said.
    return failed(lookup_fault::srv_unavailable, "the domain says that it does not offer this service", both);
  }

  std::vector<srv_entry> entries;
  std::vector<dropped_record> dropped;
  collect(entries, dropped, xmpp, false);
  collect(entries, dropped, xmpps, true);
  drop_repeated(entries, dropped);
  if (entries.empty()) {
    // RFC 6120 §3.2.1 (8): there was an answer, so no fallback.
    return failed(lookup_fault::srv_unavailable, "no SRV record has a port", both, std::move(dropped));
  }

  service_plan plan;
  plan.security = both;
  auto groups = srv_order(entries, draw, targets_limit);
  drop_undrawn(entries, groups, dropped);
  plan.dropped = std::move(dropped);
  for (auto& group : groups) {
    auto& targets = plan.groups.emplace_back();
    for (auto& e : group) {
      targets.push_back({.host = std::move(e.record.target),
                         .port = e.record.port,
                         .direct_tls = e.direct_tls,
                         .priority = e.record.priority,
                         .weight = e.record.weight,
                         .source = e.direct_tls ? endpoint_source::srv_xmpps : endpoint_source::srv_xmpp,
                         .delegation = e.security});
    }
  }
  return plan;
}

service_plan plan_of_override(std::string_view host, std::uint16_t port, bool direct_tls) {
  const auto at = literal(host);
  return plan_to({.host = at ? at->text() : std::string{host},
                  .port = port,
                  .direct_tls = direct_tls,
                  .source = endpoint_source::override});
}

service_plan only(service_plan plan, bool direct_tls) {
  if (plan.fault != lookup_fault::none) {
    return plan;
  }
  for (auto& group : plan.groups) {
    std::erase_if(group, [&](target& t) {
      if (t.direct_tls == direct_tls) {
        return false;
      }
      plan.dropped.push_back(
          {.record = {.priority = t.priority, .weight = t.weight, .port = t.port, .target = std::move(t.host)},
           .direct_tls = t.direct_tls,
           .why = drop_reason::other_method});
      return true;
    });
  }
  std::erase_if(plan.groups, [](const auto& group) { return group.empty(); });
  if (plan.groups.empty()) {
    return failed(lookup_fault::srv_unavailable,
                  direct_tls ? "no endpoint is reached by direct_tls" : "no endpoint is reached by starttls",
                  plan.security, std::move(plan.dropped));
  }
  return plan;
}

std::optional<service_plan> plan_of_literal(std::string_view domain, service s) {
  const auto at = literal(domain);
  if (!at) {
    return std::nullopt;
  }
  return plan_to({.host = at->text(), .port = default_port(s), .source = endpoint_source::fallback});
}

}  // namespace comity::dns
