// connection/errors.hpp: the error conditions of XMPP, spelled as the RFCs spell them.
//
// Closed enums with one name table each; names are what goes on the wire and into metric labels.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace comity {

/// Stream errors, RFC 6120 §4.9.3.
enum class stream_condition : std::uint8_t {
  bad_format,
  bad_namespace_prefix,
  conflict,
  connection_timeout,
  host_gone,
  host_unknown,
  improper_addressing,
  internal_server_error,
  invalid_from,
  invalid_namespace,
  invalid_xml,
  not_authorized,
  not_well_formed,
  policy_violation,
  remote_connection_failed,
  reset,
  resource_constraint,
  restricted_xml,
  see_other_host,
  system_shutdown,
  undefined_condition,
  unsupported_encoding,
  unsupported_feature,
  unsupported_stanza_type,
  unsupported_version,
};
inline constexpr std::size_t stream_condition_count = 25;
/// "bad-format" and so on.
[[nodiscard]] std::string_view to_string(stream_condition) noexcept;

/// Stanza errors, RFC 6120 §8.3.3.
enum class stanza_condition : std::uint8_t {
  bad_request,
  conflict,
  feature_not_implemented,
  forbidden,
  gone,
  internal_server_error,
  item_not_found,
  jid_malformed,
  not_acceptable,
  not_allowed,
  not_authorized,
  policy_violation,
  recipient_unavailable,
  redirect,
  registration_required,
  remote_server_not_found,
  remote_server_timeout,
  resource_constraint,
  service_unavailable,
  subscription_required,
  undefined_condition,
  unexpected_request,
};
inline constexpr std::size_t stanza_condition_count = 22;
[[nodiscard]] std::string_view to_string(stanza_condition) noexcept;
/// The error type RFC 6120 §8.3.3 gives with the condition: "modify", "cancel", "auth", "wait".
[[nodiscard]] std::string_view error_type(stanza_condition) noexcept;

/// SASL failures, RFC 6120 §6.5.
enum class sasl_condition : std::uint8_t {
  aborted,
  account_disabled,
  credentials_expired,
  encryption_required,
  incorrect_encoding,
  invalid_authzid,
  invalid_mechanism,
  malformed_request,
  mechanism_too_weak,
  not_authorized,
  temporary_auth_failure,
};
inline constexpr std::size_t sasl_condition_count = 11;
[[nodiscard]] std::string_view to_string(sasl_condition) noexcept;

}  // namespace comity
