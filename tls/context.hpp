// tls/context.hpp: our certificates by host, and the TLS policy of BCP 195 (RFC 9325) around them.
//
// A server_context is one for the whole daemon. Its table of certificates is swapped whole: handshakes that began keep
// what they began with, later ones see the new table. Any thread may start a handshake or swap.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace comity::tls {

enum class protocol_version : std::uint8_t { tls_1_2, tls_1_3 };

/// A host's certificate as configured.
struct host_certificate {
  std::string domain;                      // A-labels, lower case
  std::filesystem::path certificate_file;  // PEM, leaf first
  std::filesystem::path private_key_file;
};

struct loaded_certificate {
  std::string domain;
  std::chrono::system_clock::time_point not_before, not_after;
  std::vector<std::string> dns_names;   // SAN dNSName
  std::string subject, issuer, sha256;  // sha256 of the DER, hex
  bool names_domain = false;            // as a peer looks for it (RFC 6120 §13.7.1.2); a hosting provider's need not
};

/// What is wrong with a certificate, for the one who configured it.
struct certificate_fault {
  std::size_t index = 0;  // which of the hosts given
  bool in_key = false;    // the private key file is to blame, else the certificate file
  std::string what;       // "cannot be read: Permission denied; …what would be right"
};

class certificate_table;  // immutable; shared by the handshakes that began with it

class server_context {
public:
  server_context();
  ~server_context();
  server_context(const server_context&) = delete;
  server_context& operator=(const server_context&) = delete;

  /// Loads and checks everything, changes nothing. All faults at once: unreadable, not PEM, key does not match, RSA
  /// under 2048 bits, curve under 224 bits, SHA-1 or MD5 signature (RFC 9325 §4.5, F04), key file readable by group or
  /// world, expired or not yet valid certificate. Domains: the first answers a ClientHello without SNI (D11).
  [[nodiscard]] static std::expected<std::shared_ptr<const certificate_table>, std::vector<certificate_fault>> load(
      const std::vector<host_certificate>& hosts, protocol_version minimum);

  /// The table of `running` with what can be loaded of `hosts` in its place: a host whose files are at fault, or that
  /// is not given, keeps what it has. Faults as of load(). Changes nothing.
  struct renewed {
    std::shared_ptr<const certificate_table> table;
    std::vector<certificate_fault> faults;
  };
  [[nodiscard]] static renewed renew(const std::vector<host_certificate>& hosts, protocol_version minimum,
                                     const certificate_table& running);

  /// Puts a loaded table in force for handshakes that begin from now on. Ticket keys stay, so sessions resume across.
  void swap(std::shared_ptr<const certificate_table> table) noexcept;
  [[nodiscard]] std::shared_ptr<const certificate_table> current() const noexcept;

private:
  friend class stream;
  struct state;
  std::unique_ptr<state> state_;
};

[[nodiscard]] const std::vector<loaded_certificate>& certificates(const certificate_table&) noexcept;

/// "OpenSSL 3.0.17 …", for comity_build_info.
[[nodiscard]] std::string openssl_version();

}  // namespace comity::tls
