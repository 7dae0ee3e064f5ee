// server/check/check_run.hpp: hosts looked at one beside the other, each on a loop of the pool, until all are done.
//
// Control thread; the answer comes there too. A run has a resolver of its own, so that it believes nothing that this
// server has remembered of its own records; what a forwarder remembers it is told, until that runs out.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "connection/log.hpp"
#include "dns/resolver.hpp"
#include "server/check/inspection.hpp"
#include "server/loop_pool.hpp"

namespace asio {
class io_context;
}

namespace comity::check {

struct host_findings {
  std::string domain;  // A-labels
  std::vector<finding> findings;
};

class check_run {
public:
  struct collaborators {  // all outlive it
    asio::io_context& control;
    server::loop_pool& loops;
    const tls::client_context& tls;
  };
  struct task {
    std::vector<inspected_host> hosts;
    std::unique_ptr<dns::resolver> dns;
    std::shared_ptr<const tls::trust_store> authorities;
    web_fetch web = {};
    std::size_t at_once = 4;                 // hosts
    std::chrono::seconds begin_within{120};  // one that has not begun by then is said to be unfinished
  };
  using completion = std::move_only_function<void(std::vector<host_findings>)>;

  /// Begins at once; `done` is called once, in the order of the hosts, never within this. It may destroy this.
  check_run(collaborators, task, completion done);
  /// The loops have stopped, or `done` has been called.
  ~check_run();
  check_run(const check_run&) = delete;
  check_run& operator=(const check_run&) = delete;

private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace comity::check
