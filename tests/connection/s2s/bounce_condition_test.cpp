// What senders are told, for every cause there is.
#include "connection/s2s/bounce_condition.hpp"

#include <gtest/gtest.h>

#include <map>

namespace comity::connection {
namespace {

TEST(BounceCondition, IsGivenForEveryCause) {  // THREATS D6, E1, E3, E4, B8
  using enum cause;
  constexpr auto not_found = stanza_condition::remote_server_not_found;
  constexpr auto timeout = stanza_condition::remote_server_timeout;
  const std::map<cause, stanza_condition> table{
      {dns_nxdomain, not_found},       // there is no such domain
      {dns_servfail, timeout},         // E3: not known, which is not "not there"
      {dns_bogus, not_found},          // E4: what there is must not be believed
      {dns_timeout, timeout},          // E3
      {srv_unavailable, not_found},    // it says so itself
      {no_address, not_found},         // likewise
      {address_forbidden, not_found},  // E1
      {tcp_refused, timeout},          // it may be starting
      {tcp_unreachable, timeout},      // the network may come back
      {tcp_timeout, timeout},
      {proxy_header, timeout},       // of listeners alone
      {tls_not_offered, not_found},  // never without TLS
      {tls_alert, timeout},
      {tls_timeout, timeout},
      {alpn_mismatch, not_found},       // something else is there
      {cert_expired, not_found},        // B8: nobody there may be believed
      {cert_not_yet_valid, not_found},  // B8
      {cert_name_mismatch, not_found},  // B8
      {cert_untrusted, not_found},      // B8
      {cert_missing, not_found},        // B8
      {dane_mismatch, not_found},       // B8
      {dane_unusable, not_found},       // B8
      {posh_mismatch, not_found},       // B8
      {host_unknown, not_found},        // it says so itself
      {stream_error, timeout},
      {stream_timeout, timeout},
      {auth_rejected, not_found},             // it will have nothing from us
      {auth_no_common_mechanism, not_found},  // likewise
      {auth_timeout, timeout},
      {dialback_invalid, not_found},  // likewise
      {policy, not_found},            // our operator's
      {limit, stanza_condition::resource_constraint},
      {peer_closed, timeout},
      {shutdown, timeout},
      {internal, timeout},
  };
  ASSERT_EQ(table.size(), cause_count);
  for (const auto& [why, condition] : table) {
    EXPECT_EQ(bounce_condition(why), condition) << to_string(why);
  }
}

}  // namespace
}  // namespace comity::connection
