// dns/srv_order.hpp: the order in which the targets of a service are tried (RFC 2782 "Usage rules", XEP-0368 §2 rule
// 1). Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "dns/answer.hpp"

namespace comity::dns {

/// A whole number drawn uniformly from 0 to `greatest`, both included.
using random_draw = std::function<std::uint32_t(std::uint32_t greatest)>;

struct srv_entry {
  srv_record record;
  bool direct_tls = false;                  // of `_xmpps-`: TLS from the first byte on
  dns::security security = security::none;  // of the answer it came in
};

/// Groups of one priority each, the lowest number first (A03), and within a group in an order drawn by weight (A04).
/// The entries of both services are one list (A02). Stops after `limit` entries: a draw looks at all that are left of
/// its group, and who publishes a thousand records shall not have it done a thousand times (THREATS E2).
[[nodiscard]] std::vector<std::vector<srv_entry>> srv_order(
    std::vector<srv_entry> entries, const random_draw& draw,
    std::size_t limit = std::numeric_limits<std::size_t>::max());

}  // namespace comity::dns
