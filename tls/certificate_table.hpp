// tls/certificate_table.hpp: one immutable set of certificates with a context for each host. Private to tls.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tls/context.hpp"

namespace comity::tls {

struct context_free {
  void operator()(SSL_CTX* c) const noexcept { SSL_CTX_free(c); }
};
using context_ptr = std::unique_ptr<SSL_CTX, context_free>;

class certificate_table {
public:
  /// The context of the host of that name (A-labels, any case); nullptr where it is none of ours.
  [[nodiscard]] SSL_CTX* of(std::string_view name) const;
  /// Whose context that is; "" for one of another table.
  [[nodiscard]] std::string_view domain_of(const SSL_CTX*) const;
  /// The first host's.
  [[nodiscard]] SSL_CTX* first() const noexcept { return contexts.front().get(); }

  /// Puts a host behind those there are.
  void add(context_ptr, loaded_certificate);

  std::vector<context_ptr> contexts;
  std::vector<loaded_certificate> loaded;
  std::unordered_map<std::string, std::size_t> by_name;  // lower case
};

/// A context with our policy (RFC 9325) and callbacks, still without a certificate.
[[nodiscard]] context_ptr new_server_context(protocol_version minimum);

/// Puts a host's certificate and key into `context`; faults are appended, with the index given.
[[nodiscard]] bool load_certificate(SSL_CTX* context, const host_certificate&, std::size_t index, loaded_certificate&,
                                    std::vector<certificate_fault>& faults);

}  // namespace comity::tls
