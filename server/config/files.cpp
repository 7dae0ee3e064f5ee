#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <tuple>
#include <utility>

#include "connection/jid.hpp"
#include "server/config/certificate_files.hpp"
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

void sort(std::vector<fault>& faults) {
  std::ranges::sort(faults, {}, [](const fault& f) { return std::tie(f.line, f.column, f.text); });
}

tls::protocol_version minimum_of(const settings& all) {
  return all.tls.minimum_version == tls_minimum::tls_1_3 ? tls::protocol_version::tls_1_3
                                                         : tls::protocol_version::tls_1_2;
}

/// The files of every host that has some, and whose they are.
struct found_certificates {
  std::vector<tls::host_certificate> files;
  std::vector<const host_settings*> hosts;
  std::vector<fault> faults;
};

found_certificates find_certificates(const settings& all) {
  found_certificates found;
  for (const auto& host : all.hosts) {
    auto pair = certificate_files(all, host);
    if (!pair) {
      found.faults.push_back(at(all, "tls.certificate_directory", all.tls.certificate_directory, pair.error()));
      continue;
    }
    // Certificates and SNI know A-labels only (RFC 6066 §3).
    found.files.push_back({.domain = to_a_labels(host.domain),
                           .certificate_file = std::move(pair->certificate),
                           .private_key_file = std::move(pair->private_key)});
    found.hosts.push_back(&host);
  }
  return found;
}

/// What is wrong with a file stands where the host names it, or else where the host does.
void add_faults(const settings& all, found_certificates& found, const std::vector<tls::certificate_fault>& wrong) {
  for (const auto& w : wrong) {
    const auto& host = *found.hosts[w.index];
    const auto& file = w.in_key ? found.files[w.index].private_key_file : found.files[w.index].certificate_file;
    const bool named = !host.certificate.empty();
    found.faults.push_back({.file = all.file,
                            .line = !named     ? host.line
                                    : w.in_key ? host.key_line
                                               : host.certificate_line,
                            .column = !named     ? host.column
                                      : w.in_key ? host.key_column
                                                 : host.certificate_column,
                            .text = fmt::format("host.{} = {} {}", w.in_key ? "private_key" : "certificate",
                                                in_quotes(file.native()), w.what)});
  }
}

}  // namespace

std::expected<std::shared_ptr<const tls::certificate_table>, std::vector<fault>> check_certificates(
    const settings& all) {
  auto found = find_certificates(all);
  auto table = tls::server_context::load(found.files, minimum_of(all));
  if (!table) {
    add_faults(all, found, table.error());
  }
  if (found.faults.empty()) {
    return std::move(*table);
  }
  sort(found.faults);
  return std::unexpected(std::move(found.faults));
}

renewed_certificates renew_certificates(const settings& all, const tls::certificate_table& running) {
  auto found = find_certificates(all);
  auto renewed = tls::server_context::renew(found.files, minimum_of(all), running);
  add_faults(all, found, renewed.faults);
  sort(found.faults);
  return {.table = std::move(renewed.table), .faults = std::move(found.faults)};
}

std::expected<std::shared_ptr<const tls::trust_store>, std::vector<fault>> check_authorities(const settings& all) {
  auto store = tls::trust_store::load({.authorities = all.tls.ca_file, .revocations = all.tls.crl_file});
  if (store) {
    return std::move(*store);
  }
  const auto& [in_revocations, what] = store.error();
  return std::unexpected(std::vector{in_revocations ? at(all, "tls.crl_file", all.tls.crl_file, what)
                                                    : at(all, "tls.ca_file", all.tls.ca_file, what)});
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

std::vector<fault> check_reach(const settings& all, const std::function<bool(const std::filesystem::path&)>& beyond) {
  constexpr std::string_view what =
      "lies where the running server may not read any more (server.hardening); restart it";
  std::vector<fault> faults;
  const auto check = [&](std::string_view key, const std::filesystem::path& file) {
    if (!file.empty() && beyond(file)) {
      faults.push_back(at(all, key, file, what));
    }
  };
  check("tls.certificate_directory", all.tls.certificate_directory);
  auto found = find_certificates(all);
  std::vector<tls::certificate_fault> wrong;
  for (std::size_t i = 0; i < found.files.size(); ++i) {
    for (const bool in_key : {false, true}) {
      if (beyond(in_key ? found.files[i].private_key_file : found.files[i].certificate_file)) {
        wrong.push_back({.index = i, .in_key = in_key, .what = std::string{what}});
      }
    }
  }
  found.faults.clear();  // what else is wrong with them is for others to say
  add_faults(all, found, wrong);
  faults.insert(faults.end(), found.faults.begin(), found.faults.end());
  if (all.s2s.enabled) {
    check("tls.ca_file", all.tls.ca_file);
    check("tls.crl_file", all.tls.crl_file);
    check("dns.root_hints", all.dns.root_hints);
    for (const auto& anchor : all.dns.trust_anchors) {
      check("dns.trust_anchors", anchor);
    }
  }
  sort(faults);
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
  sort(faults);
  return std::unexpected(std::move(faults));
}

}  // namespace comity::config
