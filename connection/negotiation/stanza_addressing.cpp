#include "connection/negotiation/stanza_addressing.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace comity::connection {

namespace {

/// The domain that an address would have, if it were one: RFC 7622 §3.1 splits before anything is enforced.
std::optional<std::string> domain_of(std::string_view address) {
  address = address.substr(0, address.find('/'));
  if (const auto at = address.find('@'); at != std::string_view::npos) {
    address.remove_prefix(at + 1);
  }
  auto domain = enforce_domainpart(address);
  if (!domain) {
    return std::nullopt;
  }
  return std::move(*domain);
}

bool sends(const domain_flows& flows, std::string_view sender) {
  const auto first = flows.lower_bound(domain_flow_view{.sender = sender, .target = {}});
  return first != flows.end() && first->sender == sender;
}

}  // namespace

stanza_addressing judge_addresses(const xml::element& stanza, const domain_flows& flows) {
  using enum stream_condition;
  if (flows.empty()) {
    return not_authorized;  // RFC 6120 §13.12, §4.9.3.12 (H07)
  }
  const auto from_text = stanza.attribute("from");
  const auto to_text = stanza.attribute("to");
  if (!from_text || !to_text) {
    return improper_addressing;  // RFC 6120 §8.1.1.2 (1), §8.1.2.2 (1): H04
  }
  auto from = jid::parse(*from_text);
  auto to = jid::parse(*to_text);
  if (from && to) [[likely]] {
    if (flows.contains(domain_flow_view{.sender = from->domainpart(), .target = to->domainpart()})) {
      return addressed{std::move(*from), std::move(*to)};
    }
    // RFC 6120 §8.1.2.2 (2): H05; §8.1.1.2 (2): H06.
    return sends(flows, from->domainpart()) ? host_unknown : invalid_from;
  }
  const auto sender = domain_of(*from_text);
  const auto target = domain_of(*to_text);
  if (!sender || !sends(flows, *sender)) {
    return invalid_from;
  }
  if (!target) {
    return improper_addressing;
  }
  if (!flows.contains(domain_flow_view{.sender = *sender, .target = *target})) {
    return host_unknown;
  }
  if (!from) {
    return malformed_from{};
  }
  return malformed_to{std::move(*from)};  // RFC 6120 §8.3.3.8
}

bool is_stanza(const xml::element& e, std::string_view content_ns) noexcept {
  return e.ns() == content_ns && (e.name() == "message" || e.name() == "presence" || e.name() == "iq");
}

}  // namespace comity::connection
