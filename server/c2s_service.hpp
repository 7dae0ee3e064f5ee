// server/c2s_service.hpp: the server as client streams see it: hosts, passwords, binding, routing.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "connection/c2s/c2s_host.hpp"
#include "server/auth/authenticator.hpp"
#include "server/loop_pool.hpp"
#include "server/router.hpp"

namespace comity::server {

/// Any loop. Its collaborators outlive it.
class c2s_service final : public connection::c2s_host {
public:
  c2s_service(loop_pool& loops, server::router& router, auth::authenticator& authenticator, std::string default_domain);

  /// After a reload. Any thread.
  void default_domain(std::string);

  [[nodiscard]] bool hosts(std::string_view domain) const override;
  [[nodiscard]] std::string default_domain() const override;
  [[nodiscard]] connection::loop_connections* home(const jid& user) override;
  void ask(connection::find_keys, std::move_only_function<void(connection::keys_answer)>) override;
  void ask(connection::check_password, std::move_only_function<void(connection::password_answer)>) override;
  void bind(connection::session_ref, connection::bind_resource,
            std::move_only_function<void(connection::bind_answer)>) override;
  void received(connection::session_ref, stanza_ref) override;
  void unbind(connection::session_ref, const jid& full, bool broken) override;
  void resume(connection::session_ref, connection::resume_session,
              std::move_only_function<void(connection::resume_answer)>) override;
  void resumed(connection::session_ref, const jid& full) override;
  void enable(connection::session_ref, const jid& full, connection::management::enable) override;
  void acknowledge(connection::session_ref, const jid& full) override;
  void indicated(connection::session_ref, const jid& full, connection::client_state) override;
  void acknowledged(connection::session_ref, const jid& full, std::uint32_t handled) override;
  void answered(connection::session_ref, const jid& full, stanza_ref reply) override;

private:
  loop_pool& loops_;
  server::router& router_;
  auth::authenticator& authenticator_;
  mutable std::mutex lock_;
  std::string default_domain_;
};

}  // namespace comity::server
