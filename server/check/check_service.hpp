// server/check/check_service.hpp: looks at our own hosts from outside, when the operator asks, and at their records by
// itself now and then.
//
// Control thread. Goes once the loops have stopped.
#pragma once

#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connection/log.hpp"
#include "dns/resolver.hpp"
#include "dns/settings.hpp"
#include "server/check/check_run.hpp"
#include "server/check/running.hpp"
#include "tls/context.hpp"

namespace asio {
class io_context;
}
namespace prometheus {
class Collectable;
}

namespace comity::check {

/// Whether strangers could resolve a domain by these settings: names that are nobody's in the DNS (RFC 6761) are looked
/// up only where [dns] leads somewhere for them.
[[nodiscard]] bool resolvable(std::string_view domain, const config::dns_settings&);

/// Starts a resolver that has nothing in its cache, so that each check sees the DNS as it is. The error is a sentence.
using resolver_starter =
    std::function<std::expected<std::unique_ptr<dns::resolver>, std::string>(const dns::settings&)>;

class check_service {
public:
  struct collaborators {  // all outlive it
    asio::io_context& control;
    server::loop_pool& loops;
    const tls::server_context& tls;
    log::sink& log;
    const config::settings& settings;  // in force
    std::function<std::vector<config::listen_settings>()> ports;
    resolver_starter start_resolver;
  };
  /// After `first`, and every hour from then on, it looks at the records of all hosts.
  explicit check_service(collaborators, std::chrono::seconds first = std::chrono::minutes{1});
  ~check_service();
  check_service(const check_service&) = delete;
  check_service& operator=(const check_service&) = delete;

  using completion = std::move_only_function<void(std::vector<host_findings>)>;
  /// One host (A-labels), or all for "". The error is one line: no such host, a file of [dns] or [tls] that cannot be
  /// read, too much at once. `done` is not called within this.
  [[nodiscard]] std::expected<void, std::string> check(const std::string& domain, completion done);

  /// comity_own_records_*
  [[nodiscard]] std::shared_ptr<prometheus::Collectable> collectable() const;

private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace comity::check
