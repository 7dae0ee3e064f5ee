#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <tuple>

#include "connection/jid.hpp"
#include "server/config/config.hpp"
#include "server/config/values.hpp"

namespace comity::config {
namespace {

/// A fault in a file that `key` names; it stands where the key does, or where it is left out at the top.
fault at(const settings& all, std::string_view key, const std::filesystem::path& named, std::string_view what) {
  const auto place = all.places.find(key);
  const auto where = place == all.places.end() ? position{} : place->second;
  return {.file = all.file,
          .line = where.line,
          .column = where.column,
          .text = fmt::format("{} = {} {}", key, in_quotes(named.native()), what)};
}

}  // namespace

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

std::expected<std::shared_ptr<const tls::trust_store>, std::vector<fault>> check_authorities(const settings& all) {
  auto store = tls::trust_store::load({.authorities = all.tls.ca_file, .revocations = {}});
  if (store) {
    return std::move(*store);
  }
  return std::unexpected(std::vector{at(all, "tls.ca_file", all.tls.ca_file, store.error().what)});
}

std::vector<fault> check_dns_files(const settings& all) {
  std::vector<fault> faults;
  const auto check = [&](std::string_view key, const std::filesystem::path& file) {
    std::error_code failed;
    if (std::filesystem::is_directory(file, failed)) {
      faults.push_back(at(all, key, file, "is a directory; name a file"));
    } else if (!std::ifstream{file}) {
      faults.push_back(at(all, key, file, "cannot be read; name a readable file (Debian: package dns-root-data)"));
    }
  };
  if (!all.dns.root_hints.empty()) {
    check("dns.root_hints", all.dns.root_hints);
  }
  for (const auto& anchor : all.dns.trust_anchors) {
    check("dns.trust_anchors", anchor);
  }
  return faults;
}

std::expected<checked_files, std::vector<fault>> check_files(const settings& all) {
  checked_files files;
  std::vector<fault> faults;
  const auto take = [&](auto checked, auto& into) {
    if (checked) {
      into = std::move(*checked);
    } else {
      faults.insert(faults.end(), checked.error().begin(), checked.error().end());
    }
  };
  take(check_certificates(all), files.certificates);
  if (all.s2s.enabled) {
    take(check_authorities(all), files.authorities);
    const auto dns = check_dns_files(all);
    faults.insert(faults.end(), dns.begin(), dns.end());
  }
  if (faults.empty()) {
    return files;
  }
  std::ranges::sort(faults, {}, [](const fault& f) { return std::tie(f.line, f.column, f.text); });
  return std::unexpected(std::move(faults));
}

}  // namespace comity::config
