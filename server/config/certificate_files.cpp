#include "server/config/certificate_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "connection/jid.hpp"

namespace comity::config {

namespace {

bool is_there(const std::filesystem::path& file) {
  std::error_code failed;
  return std::filesystem::exists(file, failed);
}

}  // namespace

std::vector<certificate_pair> certificate_places(const std::filesystem::path& directory, std::string_view domain) {
  const auto own = directory / domain;
  const auto crt = fmt::format("{}.crt", domain);
  const auto key = fmt::format("{}.key", domain);
  return {{.certificate = own / "fullchain.pem", .private_key = own / "privkey.pem"},  // certbot's live
          {.certificate = own / crt, .private_key = own / key},                        // Caddy's, of one issuer
          {.certificate = directory / crt, .private_key = directory / key}};  // lego's certificates, or by hand
}

std::expected<certificate_pair, std::string> certificate_files(const settings& all, const host_settings& host) {
  if (!host.certificate.empty()) {
    return certificate_pair{.certificate = host.certificate, .private_key = host.private_key};
  }
  const auto domain = to_a_labels(host.domain);
  const auto places = certificate_places(all.tls.certificate_directory, domain);
  const auto both = std::ranges::find_if(
      places, [](const certificate_pair& p) { return is_there(p.certificate) && is_there(p.private_key); });
  if (both != places.end()) {
    return *both;
  }
  return std::unexpected{fmt::format(
      "has no certificate with its key for {0}; it has to hold {0}/fullchain.pem and {0}/privkey.pem, {0}/{0}.crt and "
      "{0}/{0}.key, or {0}.crt and {0}.key, readable by the server's user",
      domain)};
}

std::vector<std::filesystem::path> trusted_files(const settings& all) {
  std::vector<std::filesystem::path> files;
  for (const auto& host : all.hosts) {
    if (!host.certificate.empty()) {
      files.insert(files.end(), {host.certificate, host.private_key});
      continue;
    }
    for (const auto& place : certificate_places(all.tls.certificate_directory, to_a_labels(host.domain))) {
      files.insert(files.end(), {place.certificate, place.private_key});
    }
  }
  for (const auto& file : {all.tls.ca_file, all.tls.crl_file}) {
    if (all.s2s.enabled && !file.empty()) {
      files.push_back(file);
    }
  }
  return files;
}

}  // namespace comity::config
