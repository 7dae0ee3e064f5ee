// dns/service_resolver.hpp: finds one domain's endpoints by the rules of service_lookup and endpoint_lookup, over a
// resolver.
//
// One object a discovery, owned by who connects; one thread, that of `run_on`. Destroying it calls off all that is
// outstanding, and no callback comes any more; that may be done within a callback.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dns/endpoint_lookup.hpp"
#include "dns/resolver.hpp"
#include "dns/service_lookup.hpp"

namespace comity::dns {

/// One question of a discovery and what came back, for the operator (`s2s explain`).
struct traced_query {
  query asked;
  answer got;
  std::chrono::steady_clock::duration took{};
};

class service_resolver {
public:
  using plan_ready = std::move_only_function<void(const service_plan&)>;
  using endpoint_known = std::move_only_function<void(const endpoint_addresses&)>;

  /// `asked` outlives this.
  service_resolver(resolver& asked, executor run_on, random_draw draw);
  ~service_resolver();
  service_resolver(const service_resolver&) = delete;
  service_resolver& operator=(const service_resolver&) = delete;

  /// Asks for both SRV sets of `domain` (A-label form, or an address) and tells the plan, once, never within this call.
  void find(std::string domain, service, plan_ready done);
  /// Asks for the addresses and TLSA records of one target of a plan. `known` is called, never within this call, as
  /// soon as it can be connected to, and again when the answer for the other address family has come later; the last
  /// time is with complete() or a fault.
  void find_endpoint(target, endpoint_known known);

  /// Each question is told once it is answered, before anything is made of the answer; `answered` must not end this.
  void watch(std::function<void(const traced_query&)> answered);

private:
  struct state;
  std::shared_ptr<state> state_;  // no other owner: posted work looks whether it still is
};

}  // namespace comity::dns
