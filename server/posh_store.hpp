// server/posh_store.hpp: fetches what domains say of their certificates by POSH, and keeps it as long as they allow
// (RFC 7711; RFC 7712 §5).
//
// A domain's HTTPS server is found by our own resolver, and only addresses that may be dialled at all are asked
// (THREATS E1). Its state belongs to the fetcher's thread. One fetch at a time for a domain, however many ask. Made and
// destroyed by the daemon; resolver and fetcher outlive it, and the fetcher's thread has ended or is idle when it goes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "connection/log.hpp"
#include "connection/s2s/s2s_host.hpp"
#include "dns/resolver.hpp"
#include "server/http/fetcher.hpp"

namespace comity::server {

class posh_store final : public connection::posh_source {
public:
  static constexpr std::size_t domains_kept = 1000;
  static constexpr unsigned redirects_followed = 3;  // RFC 7711 §10
  /// A domain without a document is not asked again for so long.
  static constexpr std::chrono::seconds absence_kept{300};

  struct collaborators {
    dns::resolver& resolver;
    http::fetcher& fetcher;
    log::sink& log;
    std::function<bool(const dns::address&)> may_dial;  // on the fetcher's thread
    std::function<std::chrono::steady_clock::time_point()> now = [] { return std::chrono::steady_clock::now(); };
  };
  explicit posh_store(collaborators);
  ~posh_store() override;
  posh_store(const posh_store&) = delete;
  posh_store& operator=(const posh_store&) = delete;

  void check(std::string domain, tls::peer_credentials,
             std::move_only_function<void(connection::posh_answer)> done) override;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace comity::server
