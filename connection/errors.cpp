#include "connection/errors.hpp"

#include <utility>

namespace comity {

std::string_view to_string(stream_condition c) noexcept {
  static constexpr std::array<std::string_view, stream_condition_count> names{"bad-format",
                                                                              "bad-namespace-prefix",
                                                                              "conflict",
                                                                              "connection-timeout",
                                                                              "host-gone",
                                                                              "host-unknown",
                                                                              "improper-addressing",
                                                                              "internal-server-error",
                                                                              "invalid-from",
                                                                              "invalid-namespace",
                                                                              "invalid-xml",
                                                                              "not-authorized",
                                                                              "not-well-formed",
                                                                              "policy-violation",
                                                                              "remote-connection-failed",
                                                                              "reset",
                                                                              "resource-constraint",
                                                                              "restricted-xml",
                                                                              "see-other-host",
                                                                              "system-shutdown",
                                                                              "undefined-condition",
                                                                              "unsupported-encoding",
                                                                              "unsupported-feature",
                                                                              "unsupported-stanza-type",
                                                                              "unsupported-version"};
  return names.at(std::to_underlying(c));
}

std::string_view to_string(stanza_condition c) noexcept {
  static constexpr std::array<std::string_view, stanza_condition_count> names{"bad-request",
                                                                              "conflict",
                                                                              "feature-not-implemented",
                                                                              "forbidden",
                                                                              "gone",
                                                                              "internal-server-error",
                                                                              "item-not-found",
                                                                              "jid-malformed",
                                                                              "not-acceptable",
                                                                              "not-allowed",
                                                                              "not-authorized",
                                                                              "policy-violation",
                                                                              "recipient-unavailable",
                                                                              "redirect",
                                                                              "registration-required",
                                                                              "remote-server-not-found",
                                                                              "remote-server-timeout",
                                                                              "resource-constraint",
                                                                              "service-unavailable",
                                                                              "subscription-required",
                                                                              "undefined-condition",
                                                                              "unexpected-request"};
  return names.at(std::to_underlying(c));
}

std::string_view error_type(stanza_condition c) noexcept {
  using enum stanza_condition;
  switch (c) {
    case bad_request:
    case jid_malformed:
    case not_acceptable:
    case policy_violation:
    case redirect:
      return "modify";
    case forbidden:
    case not_authorized:
    case registration_required:
    case subscription_required:
      return "auth";
    case recipient_unavailable:
    case remote_server_timeout:
    case resource_constraint:
    case unexpected_request:
      return "wait";
    case conflict:
    case feature_not_implemented:
    case gone:
    case internal_server_error:
    case item_not_found:
    case not_allowed:
    case remote_server_not_found:
    case service_unavailable:
    case undefined_condition:
      return "cancel";
  }
  std::unreachable();
}

std::string_view to_string(sasl_condition c) noexcept {
  static constexpr std::array<std::string_view, sasl_condition_count> names{"aborted",
                                                                            "account-disabled",
                                                                            "credentials-expired",
                                                                            "encryption-required",
                                                                            "incorrect-encoding",
                                                                            "invalid-authzid",
                                                                            "invalid-mechanism",
                                                                            "malformed-request",
                                                                            "mechanism-too-weak",
                                                                            "not-authorized",
                                                                            "temporary-auth-failure"};
  return names.at(std::to_underlying(c));
}

}  // namespace comity
