// connection/s2s/discovery.hpp: where a remote domain's service is, and by what its endpoints can be proven: once for
// whoever wants to know, the dialler to go there, the prover to compare who comes from there.
//
// Owned by who asks; its loop's thread. Destroying it calls off what is outstanding, also within a callback, and none
// comes afterwards.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "connection/s2s/peer_evidence.hpp"
#include "connection/s2s/s2s_collaborators.hpp"
#include "dns/service_resolver.hpp"

namespace comity::connection {

class discovery {
public:
  explicit discovery(const s2s_collaborators&);

  /// Each question is told once it is answered (dns::service_resolver).
  void watch(std::function<void(const dns::traced_query&)> answered) { resolver_.watch(std::move(answered)); }
  /// From now on, targets of the other method are dropped from what is found.
  void only(method m) noexcept { only_ = m; }

  /// Finds the domain's (enforced) targets, or takes the one that the operator has fixed (A13, RFC 6120 §3.2.3). `done`
  /// is called once, in the latter case within this.
  void find(std::string_view domain, const std::optional<fixed_endpoint>& fixed,
            std::move_only_function<void(const dns::service_plan&)> done);
  /// How many targets each priority group has; targets are numbered through all of them.
  [[nodiscard]] const std::vector<std::size_t>& groups() const noexcept { return groups_; }
  [[nodiscard]] const std::vector<dns::target>& targets() const noexcept { return targets_; }

  /// Finds the addresses and TLSA records of one target. `known` is called as soon as it can be connected to, and again
  /// when more is known.
  void find_endpoint(std::size_t target, std::move_only_function<void(const dns::endpoint_addresses&)> known);
  /// Finds those of all of them; `done` is called once, within this where there are no targets.
  void find_endpoints(std::move_only_function<void()> done);
  /// nullptr while nothing is.
  [[nodiscard]] const dns::endpoint_addresses* known(std::size_t target) const noexcept {
    return endpoints_[target] ? &*endpoints_[target] : nullptr;
  }
  /// What is known of a target's endpoint.
  [[nodiscard]] endpoint_facts facts(std::size_t target) const;

private:
  [[nodiscard]] dns::service_plan take(dns::service_plan);

  random_below random_;
  dns::service_resolver resolver_;
  std::optional<method> only_;
  std::vector<std::size_t> groups_;
  std::vector<dns::target> targets_;
  std::vector<std::optional<dns::endpoint_addresses>> endpoints_;
  std::move_only_function<void()> all_found_;
};

}  // namespace comity::connection
