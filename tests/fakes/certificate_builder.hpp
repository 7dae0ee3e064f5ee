// tests/fakes/certificate_builder.hpp: certificates for tests, good and bad ones, in memory or as PEM files.
//
// Whatever cannot be made throws std::runtime_error.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tls/context.hpp"
#include "tls/peer_certificate.hpp"

namespace comity::fakes {

struct certificate_plan {
  std::string domain;  // common name, and SAN dNSName where `names` says nothing else
  int rsa_bits = 0;    // 0: EC on `curve`
  bool sha1 = false;   // else SHA-256
  long from = -3600;   // validity, in seconds from now
  long until = 86400;
  std::string curve = std::string{"P-256"};
  std::vector<std::string> more_names = std::vector<std::string>{};  // further SAN dNSNames
  bool by_authority = false;  // issued by an intermediate of a root of its own; the file holds both

  // All of the SAN: "DNS:a.example", "SRV:_xmpp-server.a.example", "XMPP:a.example", "EMAIL:", "URI:", with any octets.
  std::optional<std::vector<std::string>> names = std::optional<std::vector<std::string>>{};
  bool authority = false;                   // CA:TRUE, and no SAN where `names` says nothing else
  std::string purposes = std::string{};     // extended key usage, as "serverAuth,clientAuth"; "" for none
  std::string constraints = std::string{};  // name constraints, as "permitted;DNS:a.example"
};

/// A certificate and the key that it is for.
class issued {
public:
  issued(X509* certificate, EVP_PKEY* key) : certificate_{certificate, &X509_free}, key_{key, &EVP_PKEY_free} {}
  [[nodiscard]] X509* certificate() const { return certificate_.get(); }
  [[nodiscard]] EVP_PKEY* key() const { return key_.get(); }
  /// The whole certificate, or its public key with the algorithm: what TLSA records name.
  [[nodiscard]] std::string der() const;
  [[nodiscard]] std::string key_der() const;

private:
  std::shared_ptr<X509> certificate_;
  std::shared_ptr<EVP_PKEY> key_;
};

/// Signed by `by`, or by its own key. `key` in place of a new one, of which only the public part is needed then.
[[nodiscard]] issued issue(const certificate_plan&, const issued* by = nullptr, EVP_PKEY* key = nullptr);

/// A public key without a private one: RSA of that many bits with that exponent (of so many bits), or EC on P-256 given
/// by its parameters in place of its name.
[[nodiscard]] EVP_PKEY* public_rsa(int bits, int exponent_bits = 17);
[[nodiscard]] EVP_PKEY* explicit_curve();

/// What a peer would present.
[[nodiscard]] tls::peer_credentials presented(const issued& leaf, const std::vector<issued>& issuers = {});

/// A list of what `by` took back: PEM.
[[nodiscard]] std::string revocation_list(const issued& by, const std::vector<issued>& revoked, long from = -3600,
                                          long until = 86400);

/// A file of that name under `directory`, for its owner alone.
std::filesystem::path write(const std::filesystem::path& directory, const std::string& name, const std::string& text);
[[nodiscard]] std::string pem(const std::vector<issued>& certificates);

/// Makes what is planned and writes both files under `directory`.
[[nodiscard]] tls::host_certificate write_certificate(const std::filesystem::path& directory, const certificate_plan&);
/// Writes what there is, for the host of that domain.
[[nodiscard]] tls::host_certificate write_certificate(const std::filesystem::path& directory, const std::string& domain,
                                                      const issued& leaf, const std::vector<issued>& issuers = {});

}  // namespace comity::fakes
