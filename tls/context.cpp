#include "tls/context.hpp"

#include <openssl/crypto.h>

#include <algorithm>

#include "tls/certificate_table.hpp"
#include "tls/context_state.hpp"
#include "tls/crypto.hpp"

namespace comity::tls {

namespace {

/// False where it is at fault: then nothing was added.
bool add_loaded(certificate_table& table, const host_certificate& host, std::size_t index, protocol_version minimum,
                std::vector<certificate_fault>& faults) {
  auto context = new_server_context(minimum);
  loaded_certificate loaded;
  if (!load_certificate(context.get(), host, index, loaded, faults)) {
    return false;
  }
  // Sessions of one host do not resume at another: a session is bound to whom it was made for.
  const auto scope = digest(hash::sha256, host.domain);  // as long as OpenSSL takes
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>(scope.data()),
                                 static_cast<unsigned>(scope.size()));
  table.add(std::move(context), std::move(loaded));
  return true;
}

}  // namespace

void certificate_table::add(context_ptr context, loaded_certificate certificate) {
  by_name.emplace(certificate.domain, contexts.size());
  contexts.push_back(std::move(context));
  loaded.push_back(std::move(certificate));
}

server_context::server_context() : state_{std::make_unique<state>()} {
}
server_context::~server_context() = default;

std::expected<std::shared_ptr<const certificate_table>, std::vector<certificate_fault>> server_context::load(
    const std::vector<host_certificate>& hosts, protocol_version minimum) {
  auto table = std::make_shared<certificate_table>();
  std::vector<certificate_fault> faults;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    add_loaded(*table, hosts[i], i, minimum, faults);
  }
  if (!faults.empty()) {
    return std::unexpected{std::move(faults)};
  }
  return table;
}

server_context::renewed server_context::renew(const std::vector<host_certificate>& hosts, protocol_version minimum,
                                              const certificate_table& running) {
  auto table = std::make_shared<certificate_table>();
  std::vector<certificate_fault> faults;
  for (std::size_t i = 0; i < running.loaded.size(); ++i) {
    const auto& now = running.loaded[i];
    const auto host = std::ranges::find(hosts, now.domain, &host_certificate::domain);
    if (host == hosts.end() ||
        !add_loaded(*table, *host, static_cast<std::size_t>(host - hosts.begin()), minimum, faults)) {
      auto* const kept = running.contexts[i].get();
      SSL_CTX_up_ref(kept);
      table->add(context_ptr{kept}, now);
    }
  }
  return {.table = std::move(table), .faults = std::move(faults)};
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
