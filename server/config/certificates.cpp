#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "connection/jid.hpp"
#include "server/config/config.hpp"
#include "server/config/values.hpp"

namespace comity::config {

std::expected<std::shared_ptr<const tls::certificate_table>, std::vector<fault>> check_certificates(
    const settings& all) {
  std::vector<tls::host_certificate> hosts;
  hosts.reserve(all.hosts.size());
  for (const auto& host : all.hosts) {
    // Certificates and SNI know A-labels only (RFC 6066 §3).
    hosts.push_back({.domain = to_a_labels(host.domain),
                     .certificate_file = host.certificate,
                     .private_key_file = host.private_key});
  }
  const auto minimum =
      all.tls.minimum_version == tls_minimum::tls_1_3 ? tls::protocol_version::tls_1_3 : tls::protocol_version::tls_1_2;
  auto table = tls::server_context::load(hosts, minimum);
  if (table) {
    return std::move(*table);
  }
  std::vector<fault> faults;
  for (const auto& found : table.error()) {
    fault f{.file = all.file, .text = found.what};
    if (found.index < all.hosts.size()) {
      const auto& host = all.hosts[found.index];
      f.line = found.in_key ? host.key_line : host.certificate_line;
      f.column = found.in_key ? host.key_column : host.certificate_column;
      f.text = fmt::format("host.{} = {} {}", found.in_key ? "private_key" : "certificate",
                           in_quotes((found.in_key ? host.private_key : host.certificate).native()), found.what);
    }
    faults.push_back(std::move(f));
  }
  std::ranges::sort(faults, {}, [](const fault& f) { return std::tie(f.line, f.column, f.text); });
  return std::unexpected(std::move(faults));
}

}  // namespace comity::config
