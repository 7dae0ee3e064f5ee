// server/check/inspection.hpp: one host looked at from outside: asks the DNS what is published, dials what is
// advertised, and judges.
//
// Owned by who wants to know; begun, and destroyed, on the thread of its loop. Bounded in time, in targets, in
// addresses and in connections at once, whatever the zone says.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connection/loop.hpp"
#include "dns/resolver.hpp"
#include "server/check/findings.hpp"
#include "tls/chain.hpp"
#include "tls/client_context.hpp"

namespace comity::check {

struct inspection_limits {
  std::chrono::milliseconds whole{30'000};  // then it is judged by what is known, and said to be unfinished
  std::chrono::milliseconds dial{10'000};   // one connection, from the first SYN to the features after TLS
  std::chrono::milliseconds retry{5'000};   // one that is to find out what else a port may speak
  std::size_t targets = 8;                  // of one SRV set
  std::size_t addresses = 4;                // of one target and family
  std::size_t at_once = 4;                  // connections
};

/// A host, and what it is to be compared with.
struct inspected_host {
  running_host running;
  std::string unicode;                                   // the domain as JIDs have it
  tls::peer_credentials served;                          // what is loaded for it; nothing where nothing is
  std::shared_ptr<const std::vector<own_key>> all_keys;  // of all hosts here
  bool dial = true;                                      // else records alone are looked at
};

/// Gets what is at an https: URL, from these addresses; `done` is called once, on any thread, or is dropped.
using web_fetch = std::function<void(const std::string& url, std::vector<dns::address> at,
                                     std::move_only_function<void(web_answer)> done)>;

class inspection {
public:
  struct collaborators {  // all outlive it
    connection::loop& loop;
    dns::resolver& dns;
    const tls::client_context& tls;
    std::shared_ptr<const tls::trust_store> authorities;
    web_fetch web = {};  // none: the web server of the domain is not asked
  };
  using completion = std::move_only_function<void(std::vector<finding>)>;

  /// Any thread; does nothing yet.
  inspection(collaborators, inspected_host, completion done, const inspection_limits& = {});
  ~inspection();
  inspection(const inspection&) = delete;
  inspection& operator=(const inspection&) = delete;

  /// `done` is called once, never within this, and may not destroy this. On the loop.
  void begin();

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace comity::check
