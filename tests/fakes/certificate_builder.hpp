// tests/fakes/certificate_builder.hpp: certificates for tests, self-signed or issued by a small authority, as PEM
// files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tls/context.hpp"

namespace comity::fakes {

struct certificate_plan {
  std::string domain;  // common name and SAN dNSName
  int rsa_bits = 0;    // 0: EC on `curve`
  bool sha1 = false;   // else SHA-256
  long from = -3600;   // validity, in seconds from now
  long until = 86400;
  std::string curve = std::string{"P-256"};
  std::vector<std::string> more_names = std::vector<std::string>{};  // further SAN dNSNames
  bool by_authority = false;  // issued by an intermediate of a root of its own; the file holds both
};

/// Makes a key and its certificate, and writes both under `directory`; throws std::runtime_error where it cannot.
[[nodiscard]] tls::host_certificate write_certificate(const std::filesystem::path& directory, const certificate_plan&);

}  // namespace comity::fakes
