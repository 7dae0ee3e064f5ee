#include "tls/identity.hpp"

#include <algorithm>

namespace comity::tls {

namespace {

constexpr std::size_t longest_name = 253;  // RFC 1035 §2.3.4, as text
constexpr std::size_t longest_label = 63;

constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

constexpr bool letter_digit_hyphen(char c) noexcept {
  return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z') || c == '-' || c == '_';
}

/// Labels of letters, digits, hyphens and, for hosts in the wild, underscores. So a name with NUL, '@', '/', white
/// space, an octet over 0x7f, an empty label or a final dot is none (THREATS B8).
bool is_host_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > longest_name) {
    return false;
  }
  while (true) {
    const auto label = name.substr(0, name.find('.'));
    if (label.empty() || label.size() > longest_label || !std::ranges::all_of(label, letter_digit_hyphen)) {
      return false;
    }
    if (label.size() == name.size()) {
      return true;
    }
    name.remove_prefix(label.size() + 1);
  }
}

/// An IPv4 address looks like a host name, and no DNS-ID may stand for one (RFC 6125 §1.7.2). Top-level domains are
/// never all digits.
bool ends_in_number(std::string_view name) noexcept {
  const auto last = name.substr(name.rfind('.') + 1);
  return std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; });
}

/// RFC 4985 §2: "_service.name", both whole; never a wildcard (G10).
bool srv_id_matches(std::string_view presented, const reference_identity& reference) noexcept {
  const std::string_view service = reference.service == xmpp_service::server ? "_xmpp-server." : "_xmpp-client.";
  return presented.size() > service.size() && equal_ignoring_case(presented.substr(0, service.size()), service) &&
         equal_ignoring_case(presented.substr(service.size()), reference.name);
}

/// RFC 6120 §13.7.1.4: of a server, a JID that is a domainpart alone. It may be in A-labels or in Unicode (G08).
bool xmpp_addr_matches(std::string_view presented, const reference_identity& reference) noexcept {
  return equal_ignoring_case(presented, reference.name) ||
         (!reference.unicode.empty() && equal_ignoring_case(presented, reference.unicode));
}

identity_match match_one(const presented_identifiers& presented, const reference_identity& reference) {
  if (!is_host_name(reference.name) || ends_in_number(reference.name)) {
    return {};
  }
  const auto first = [](const std::vector<std::string>& names, const auto& matches, identifier_kind kind) {
    const auto found = std::ranges::find_if(names, matches);
    return found == names.end() ? identity_match{} : identity_match{kind, *found, 0};
  };
  if (!reference.host) {
    if (auto m = first(
            presented.srv, [&](const auto& name) { return srv_id_matches(name, reference); },
            identifier_kind::srv_id)) {
      return m;
    }
    if (auto m = first(
            presented.xmpp, [&](const auto& name) { return xmpp_addr_matches(name, reference); },
            identifier_kind::xmpp_addr)) {
      return m;
    }
  }
  return first(
      presented.dns, [&](const auto& name) { return dns_id_matches(name, reference.name); }, identifier_kind::dns_id);
}

}  // namespace

reference_identity reference_identity::service_domain(std::string_view a_labels, std::string_view unicode,
                                                      xmpp_service service) {
  return {std::string{a_labels}, std::string{unicode}, service, false};
}

reference_identity reference_identity::target_host(std::string_view a_labels) {
  return {std::string{a_labels}, {}, xmpp_service::server, true};
}

bool dns_id_matches(std::string_view presented, std::string_view name) {
  // RFC 6125 §6.4.3: "*" is the whole leftmost label, or it is no wildcard; then it is not a host name either.
  if (presented.starts_with("*.")) {
    presented.remove_prefix(2);
    const auto dot = name.find('.');
    if (dot == std::string_view::npos || presented.find('.') == std::string_view::npos) {
      return false;  // "*.example" would hold all that is registered there
    }
    name.remove_prefix(dot + 1);
  }
  return is_host_name(presented) && equal_ignoring_case(presented, name);
}

identity_match match_identity(const presented_identifiers& presented, std::span<const reference_identity> references) {
  for (std::size_t i = 0; i < references.size(); ++i) {
    if (auto m = match_one(presented, references[i])) {
      m.reference = i;
      return m;
    }
  }
  return {};
}

}  // namespace comity::tls
