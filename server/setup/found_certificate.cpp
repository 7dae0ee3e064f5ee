#include "server/setup/found_certificate.hpp"

#include <array>
#include <system_error>

#include "server/config/certificate_files.hpp"
#include "tls/context.hpp"
#include "tls/identity.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::setup {

namespace {

bool is_file(const std::filesystem::path& path) {
  std::error_code fault;
  return std::filesystem::is_regular_file(path, fault);  // a link to one too, as certbot has them
}

void add(std::vector<certificate_place>& to, const std::string& by, const std::filesystem::path& folder,
         const std::string& domain) {
  for (const auto& pair : config::certificate_places(folder, domain)) {
    if (is_file(pair.certificate) && is_file(pair.private_key)) {
      to.push_back({.by = by, .certificate = pair.certificate, .private_key = pair.private_key});
    }
  }
}

}  // namespace

std::vector<certificate_place> places_of_certificates(const std::filesystem::path& prefix, const std::string& domain) {
  std::vector<certificate_place> found;
  add(found, "certbot", prefix / "etc/letsencrypt/live", domain);
  for (const auto* folder : {"etc/lego/certificates", "var/lib/lego/certificates", "root/.lego/certificates"}) {
    add(found, "lego", prefix / folder, domain);
  }
  for (const auto* folder : {"var/lib/caddy/.local/share/caddy/certificates", "root/.local/share/caddy/certificates"}) {
    std::error_code fault;  // a folder for each authority
    for (std::filesystem::directory_iterator i{prefix / folder, fault}, end; !fault && i != end; i.increment(fault)) {
      add(found, "Caddy", i->path(), domain);
    }
  }
  return found;
}

std::expected<void, std::string> fit(const certificate_place& place, const std::string& domain) {
  const auto table = tls::server_context::load(
      {{.domain = domain, .certificate_file = place.certificate, .private_key_file = place.private_key}},
      tls::protocol_version::tls_1_2);
  if (!table) {
    const auto& fault = table.error().front();
    return std::unexpected{(fault.in_key ? place.private_key : place.certificate).string() + " " + fault.what};
  }
  const std::array wanted{tls::reference_identity::service_domain(domain)};
  const auto served = tls::served_credentials(**table, domain);
  if (!tls::match_identity(tls::identifiers(served), wanted)) {
    std::string names;
    for (const auto& name : tls::summary(served).names) {
      names += (names.empty() ? "" : ", ") + name;
    }
    return std::unexpected{place.certificate.string() + " is for " + (names.empty() ? "no name" : names) +
                           "; it has to be for " + domain};
  }
  return {};
}

}  // namespace comity::setup
