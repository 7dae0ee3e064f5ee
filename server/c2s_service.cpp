#include "server/c2s_service.hpp"

#include <utility>

namespace comity::server {

c2s_service::c2s_service(loop_pool& loops, server::router& router, auth::authenticator& authenticator,
                         std::string default_domain)
    : loops_{loops}, router_{router}, authenticator_{authenticator}, default_domain_{std::move(default_domain)} {
}

void c2s_service::default_domain(std::string domain) {
  const std::lock_guard lock{lock_};
  default_domain_ = std::move(domain);
}

bool c2s_service::hosts(std::string_view domain) const {
  return router_.hosts(domain);
}

std::string c2s_service::default_domain() const {
  const std::lock_guard lock{lock_};
  return default_domain_;
}

connection::loop_connections* c2s_service::home(const jid& user) {
  return &loops_.home(user);
}

void c2s_service::ask(connection::find_keys q, std::move_only_function<void(connection::keys_answer)> done) {
  authenticator_.keys(q.user, q.hash, std::move(done));
}

void c2s_service::ask(connection::check_password q, std::move_only_function<void(connection::password_answer)> done) {
  authenticator_.check_password(q.user, std::move(q.password), std::move(done));
}

void c2s_service::bind(connection::session_ref session, connection::bind_resource q,
                       std::move_only_function<void(connection::bind_answer)> done) {
  router_.bind(
      session, q.user, std::move(q.wanted), [done = std::move(done)](std::expected<jid, bind_failure> bound) mutable {
        if (bound) {
          return done(std::move(*bound));
        }
        auto& why = bound.error();
        done(std::unexpected{connection::bind_refusal{why.condition, std::move(why.type), why.resource_limit}});
      });
}

void c2s_service::received(connection::session_ref session, stanza_ref stanza) {
  router_.from_client(session, std::move(stanza));
}

void c2s_service::unbind(connection::session_ref session, const jid& full, bool broken) {
  router_.unbind(session, full, broken);
}

void c2s_service::resume(connection::session_ref session, connection::resume_session q,
                         std::move_only_function<void(connection::resume_answer)> done) {
  router_.resume(session, std::move(q), std::move(done));
}

void c2s_service::resumed(connection::session_ref session, const jid& full) {
  router_.resumed(session, full);
}

void c2s_service::enable(connection::session_ref session, const jid& full, connection::management::enable wanted) {
  router_.manage(session, full, wanted);
}

void c2s_service::indicated(connection::session_ref session, const jid& full, connection::client_state state) {
  router_.indicated(session, full, state);
}

void c2s_service::acknowledge(connection::session_ref session, const jid& full) {
  router_.acknowledge(session, full);
}

void c2s_service::acknowledged(connection::session_ref session, const jid& full, std::uint32_t handled) {
  router_.acknowledged(session, full, handled);
}

void c2s_service::answered(connection::session_ref session, const jid& full, stanza_ref reply) {
  router_.answered(session, full, reply);
}

}  // namespace comity::server
