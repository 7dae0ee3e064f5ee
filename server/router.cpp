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

void router::unbind(connection::session_ref session, const jid& full, bool broken) {
  exchange_->unbind(session, full, broken);
}

std::vector<std::string> router::suspended() const {
  return exchange_->suspended();
}

void router::restore(const std::vector<std::string>& kept) {
  exchange_->restore(kept);
}

void router::manage(connection::session_ref session, const jid& full, connection::management::enable wanted) {
  exchange_->manage(session, full, wanted);
}

void router::resume(connection::session_ref session, connection::resume_session wanted,
                    std::move_only_function<void(connection::resume_answer)> done) {
  exchange_->resume(session, std::move(wanted), std::move(done));
}

void router::resumed(connection::session_ref session, const jid& full) {
  exchange_->resumed(session, full);
}

void router::acknowledge(connection::session_ref session, const jid& full) {
  exchange_->acknowledge(session, full);
}

void router::acknowledged(connection::session_ref session, const jid& full, std::uint32_t handled) {
  exchange_->acknowledged(session, full, handled);
}

void router::answered(connection::session_ref session, const jid& full, const stanza_ref& reply) {
  exchange_->answered(session, full, reply);
}

void router::indicated(connection::session_ref session, const jid& full, connection::client_state state) {
  exchange_->indicated(session, full, state);
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

void router::configure(std::vector<std::string> domains, std::uint32_t resources_per_user, managed_limits managed) {
  exchange_->configure(std::move(domains), resources_per_user, managed);
}

bool router::hosts(std::string_view domain) const {
  return exchange_->hosts_anywhere(domain);
}

std::vector<std::pair<std::string, std::size_t>> router::sessions_by_host() const {
  return exchange_->sessions_by_host();
}

}  // namespace comity::server
