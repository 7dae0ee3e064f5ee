#include "tls/failure.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "tls/connection_state.hpp"

namespace comity::tls {

tls_failure failure_of(unsigned long error, const connection_state& state) {
  using enum tls_failure::kind;
  if (state.unknown_name) {
    return {unrecognized_name, "no host of that name: " + printable(state.sni)};
  }
  if (state.no_overlap) {
    return {no_application_protocol, "no application protocol in common"};
  }
  if (state.peer && !state.peer->excess.empty()) {
    return {certificate_limits, state.peer->excess};
  }
  if (state.peer && !state.peer->foreign_protocol.empty()) {  // RFC 9325 §3.8 (D09)
    return {no_application_protocol, "the server selects what was not offered: " + state.peer->foreign_protocol};
  }
  const int reason = ERR_GET_REASON(error);
  // Above the alerts there are reasons that all libraries share, such as that there is no memory.
  constexpr int alerts = 256;
  if (ERR_GET_LIB(error) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + alerts) {
    const int alert = reason - SSL_AD_REASON_OFFSET;
    return {alert == SSL_AD_NO_APPLICATION_PROTOCOL ? no_application_protocol : peer_alert,
            "alert: " + std::string{SSL_alert_desc_string_long(alert)}};
  }
  const char* text = ERR_reason_error_string(error);
  auto what = other;
  switch (ERR_GET_LIB(error) == ERR_LIB_SSL ? reason : 0) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_INAPPROPRIATE_FALLBACK:
      what = protocol_version;
      break;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
      what = no_shared_cipher;
      break;
    case SSL_R_EXCESSIVE_MESSAGE_SIZE:
      what = certificate_limits;
      break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_BAD_RECORD_TYPE:
      what = not_tls;
      break;
    default:
      break;
  }
  return {what, text != nullptr ? text : "TLS failed"};
}

std::string printable(std::string_view text, std::size_t longest) {
  std::string out{text.substr(0, longest)};
  std::ranges::replace_if(out, [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return out;
}

}  // namespace comity::tls
