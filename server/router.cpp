#include "server/router.hpp"

#include "server/exchange.hpp"

namespace comity::server {

router::router(collaborators with, std::vector<std::string> domains, std::uint32_t resources_per_user)
    : exchange_{std::make_shared<exchange>(std::move(with), std::move(domains), resources_per_user)} {
}

router::~router() = default;

void router::bind(connection::session_ref session, const jid& user, std::string wanted,
                  std::move_only_function<void(std::expected<jid, bind_failure>)> done) {
  exchange_->bind(session, user, std::move(wanted), std::move(done));
}

void router::unbind(connection::session_ref session, const jid& full) {
  exchange_->unbind(session, full);
}

void router::from_client(connection::session_ref session, stanza_ref s) {
  exchange_->from_client(session, std::move(s));
}

void router::from_server(stanza_ref s) {
  exchange_->from_server(s);
}

void router::end_sessions(const jid& user, stream_condition why) {
  exchange_->end_sessions(user, why);
}

void router::configure(std::vector<std::string> domains, std::uint32_t resources_per_user) {
  exchange_->configure(std::move(domains), resources_per_user);
}

bool router::hosts(std::string_view domain) const {
  return exchange_->hosts_anywhere(domain);
}

std::vector<std::pair<std::string, std::size_t>> router::sessions_by_host() const {
  return exchange_->sessions_by_host();
}

}  // namespace comity::server
