#include "connection/s2s/bounce_condition.hpp"

namespace comity::connection {

stanza_condition bounce_condition(cause why) noexcept {
  switch (why) {
    case cause::dns_servfail:  // THREATS E3: not known, which is not "not there"
    case cause::dns_timeout:
    case cause::proxy_header:
    case cause::tcp_refused:
    case cause::tcp_unreachable:
    case cause::tcp_timeout:
    case cause::tls_alert:
    case cause::tls_timeout:
    case cause::stream_error:
    case cause::stream_timeout:
    case cause::auth_timeout:
    case cause::peer_closed:
    case cause::shutdown:
    case cause::internal:
      return stanza_condition::remote_server_timeout;
    case cause::limit:
      return stanza_condition::resource_constraint;
    case cause::dns_nxdomain:
    case cause::dns_bogus:
    case cause::srv_unavailable:
    case cause::no_address:
    case cause::address_forbidden:
    case cause::tls_not_offered:
    case cause::alpn_mismatch:
    case cause::cert_expired:
    case cause::cert_not_yet_valid:
    case cause::cert_name_mismatch:
    case cause::cert_untrusted:
    case cause::cert_missing:
    case cause::dane_mismatch:
    case cause::dane_unusable:
    case cause::posh_mismatch:
    case cause::host_unknown:
    case cause::auth_rejected:
    case cause::auth_no_common_mechanism:
    case cause::dialback_invalid:
    case cause::policy:
      break;
  }
  return stanza_condition::remote_server_not_found;
}

}  // namespace comity::connection
