#include "tls/context.hpp"

#include <openssl/crypto.h>

#include <cassert>

#include "tls/certificate_table.hpp"
#include "tls/context_state.hpp"
#include "tls/crypto.hpp"

namespace comity::tls {

server_context::server_context() : state_{std::make_unique<state>()} {
}
server_context::~server_context() = default;

std::expected<std::shared_ptr<const certificate_table>, std::vector<certificate_fault>> server_context::load(
    const std::vector<host_certificate>& hosts, protocol_version minimum) {
  assert(!hosts.empty());
  auto table = std::make_shared<certificate_table>();
  std::vector<certificate_fault> faults;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    auto context = new_server_context(minimum);
    loaded_certificate loaded;
    if (load_certificate(context.get(), hosts[i], i, loaded, faults)) {
      // Sessions of one host do not resume at another: a session is bound to whom it was made for.
      const auto scope = digest(hash::sha256, hosts[i].domain);  // as long as OpenSSL takes
      SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(scope.data()),
                                     static_cast<unsigned>(scope.size()));
      table->by_name.emplace(hosts[i].domain, table->contexts.size());
      table->contexts.push_back(std::move(context));
      table->loaded.push_back(std::move(loaded));
    }
  }
  if (!faults.empty()) {
    return std::unexpected{std::move(faults)};
  }
  return table;
}

void server_context::swap(std::shared_ptr<const certificate_table> table) noexcept {
  const std::lock_guard lock{state_->lock};
  state_->table = std::move(table);
}

std::shared_ptr<const certificate_table> server_context::current() const noexcept {
  const std::lock_guard lock{state_->lock};
  return state_->table;
}

const std::vector<loaded_certificate>& certificates(const certificate_table& table) noexcept {
  return table.loaded;
}

std::string openssl_version() {
  return OpenSSL_version(OPENSSL_VERSION);
}

}  // namespace comity::tls
