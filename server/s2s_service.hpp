// server/s2s_service.hpp: the server as streams between servers see it, and the router's way out to other domains.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "connection/s2s/s2s_host.hpp"
#include "server/config/settings.hpp"
#include "server/router.hpp"
#include "tls/secret.hpp"

namespace comity::connection {
class federation;
}

namespace comity::server {

/// What the configuration says of other servers, in the form in which streams use it; immutable.
struct s2s_rules {
  std::string default_domain;  // our first host
  std::shared_ptr<const connection::s2s_settings> streams;
  connection::peer_policy everybody;
  std::map<std::string, connection::peer_policy, std::less<>> peers;  // by enforced domain
  std::shared_ptr<const tls::trust_store> authorities;
};
[[nodiscard]] std::shared_ptr<const s2s_rules> s2s_rules_of(const config::settings&,
                                                            std::shared_ptr<const tls::trust_store> authorities);

/// Any loop. Made before the router and the federation, whom it is told of before a loop runs; both outlive its use.
class s2s_service final : public connection::s2s_host, public remote_route {
public:
  explicit s2s_service(std::shared_ptr<const s2s_rules> rules);

  void attach(server::router& router, connection::federation& federation) noexcept;
  /// After a reload: for streams to come. Any thread.
  void configure(std::shared_ptr<const s2s_rules> rules);
  [[nodiscard]] std::shared_ptr<const s2s_rules> rules() const;

  [[nodiscard]] bool hosts(std::string_view domain) const override;
  [[nodiscard]] std::string default_domain() const override;
  [[nodiscard]] connection::peer_policy policy(std::string_view remote) const override;
  [[nodiscard]] std::shared_ptr<const connection::s2s_settings> settings() const override;
  [[nodiscard]] std::shared_ptr<const tls::trust_store> authorities() const override;
  [[nodiscard]] const tls::secret& dialback_secret() const override { return secret_; }
  void received(stanza_ref) override;
  void undeliverable(stanza_ref error) override;

  void send(stanza_ref) override;

private:
  const tls::secret secret_;  // of this process: no key of an earlier one is worth anything (XEP-0185 §3)
  server::router* router_ = nullptr;
  connection::federation* federation_ = nullptr;
  mutable std::mutex lock_;  // held for the copy of a pointer
  std::shared_ptr<const s2s_rules> rules_;
};

}  // namespace comity::server
