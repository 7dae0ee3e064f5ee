// server/setup/found_certificate.hpp: the certificates that are on a machine already, where the usual programs keep
// them.
#pragma once

#include <expected>
#include <filesystem>
#include <string>
#include <vector>

namespace comity::setup {

struct certificate_place {
  std::string by;  // "certbot", "lego", "Caddy", "yours"
  std::filesystem::path certificate, private_key;
};

/// Where a domain's (A-labels) may be, below `prefix`; only places where both files are.
[[nodiscard]] std::vector<certificate_place> places_of_certificates(const std::filesystem::path& prefix,
                                                                    const std::string& domain);

/// Whether comityd would take it for the domain. The error is one line: what is wrong, and what would be right.
[[nodiscard]] std::expected<void, std::string> fit(const certificate_place&, const std::string& domain);

}  // namespace comity::setup
