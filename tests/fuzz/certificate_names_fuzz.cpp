// Any names in a certificate against any name of a peer (RFC 6125 §6.4, RFC 9525, THREATS B8), held against the rule
// said over labels: a match is the same name, or a whole leftmost label in place of "*", and nothing a stranger can
// buy.
//
// Input: the peer's domain, then names, one a line, each with a letter in front: d (DNS-ID), s (SRV-ID), x (XmppAddr).
#include <array>
#include <string>
#include <vector>

#include "connection/jid.hpp"
#include "tests/fuzz/oracle.hpp"
#include "tls/identity.hpp"

namespace {

using namespace comity;
using namespace comity::tls;
using namespace comity::fuzz;

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  }
  return out;
}

std::vector<std::string> labels(std::string_view name) {
  std::vector<std::string> all;
  const auto folded = lower(name);
  for (std::size_t begin = 0;;) {
    const auto dot = folded.find('.', begin);
    all.push_back(folded.substr(begin, dot - begin));
    if (dot == std::string::npos) {
      return all;
    }
    begin = dot + 1;
  }
}

bool holds(const std::vector<std::string>& all, const std::string& one) {
  return std::ranges::find(all, one) != all.end();
}

/// What a DNS-ID that matches `name` must be, whatever else is asked of it.
bool may_match(std::string_view presented, std::string_view name) {
  auto p = labels(presented);
  auto n = labels(name);
  if (p.size() != n.size()) {
    return false;
  }
  if (p[0] == "*" && p.size() >= 3) {
    p[0] = n[0];
  }
  return p == n && std::ranges::none_of(p, [](const std::string& l) { return l.empty() || l.contains('*'); }) &&
         !presented.contains('\0');
}

/// Not an IPv4 address, that is: such a name is in no DNS-ID.
bool is_host_name(std::string_view name) {
  return name.contains('.') && may_match(name, name) && labels(name).back().find_first_not_of("0123456789") == 0 &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = text(data, size);
  const auto domain = jid::parse(take_until(input, '\n'));
  if (!domain || domain->has_localpart() || domain->has_resource()) {
    return 0;
  }
  const std::string name{domain->domainpart()};
  const auto ascii = to_a_labels(name);
  presented_identifiers presented;
  while (!input.empty()) {
    auto line = take_until(input, '\n');
    const auto kind = take_byte(line);
    auto& list = kind == 's' ? presented.srv : kind == 'x' ? presented.xmpp : presented.dns;
    list.emplace_back(line);
  }
  for (const auto service : {xmpp_service::server, xmpp_service::client}) {
    const std::array peer{reference_identity::service_domain(ascii, name, service)};
    const auto match = match_identity(presented, peer);
    switch (match.kind) {
      case identifier_kind::none:
        // Whoever presents the very name is known by it.
        must(!holds(presented.dns, ascii) || !is_host_name(ascii));
        break;
      case identifier_kind::dns_id:
        must(holds(presented.dns, match.presented) && may_match(match.presented, ascii));
        break;
      case identifier_kind::srv_id: {
        must(holds(presented.srv, match.presented));
        const auto prefix = service == xmpp_service::server ? std::string_view{"_xmpp-server."} : "_xmpp-client.";
        const auto folded = lower(match.presented);
        must(folded.starts_with(prefix) && folded.substr(prefix.size()) == lower(ascii));
        break;
      }
      case identifier_kind::xmpp_addr: {
        must(holds(presented.xmpp, match.presented));
        const auto address = jid::parse(match.presented);
        must(address && !address->has_localpart() && !address->has_resource() && address->domainpart() == name);
        break;
      }
    }
    // A host that a secure SRV record names is known by DNS-IDs alone (RFC 7673 §4.1).
    const std::array host{reference_identity::target_host(ascii)};
    const auto by_host = match_identity(presented, host);
    must(!by_host || (by_host.kind == identifier_kind::dns_id && may_match(by_host.presented, ascii)));
    must(match.kind != identifier_kind::dns_id || by_host);
  }
  return 0;
}
