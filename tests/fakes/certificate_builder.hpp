// tests/fakes/certificate_builder.hpp: self-signed certificates for tests, as PEM files.
#pragma once

#include <filesystem>
#include <string>

#include "tls/context.hpp"

namespace comity::fakes {

struct certificate_plan {
  std::string domain;  // common name and SAN dNSName
  int rsa_bits = 0;    // 0: EC on P-256
  bool sha1 = false;   // else SHA-256
  long from = -3600;   // validity, in seconds from now
  long until = 86400;
};

/// Makes a key and its certificate, and writes both under `directory`; throws std::runtime_error where it cannot.
[[nodiscard]] tls::host_certificate write_certificate(const std::filesystem::path& directory, const certificate_plan&);

}  // namespace comity::fakes
