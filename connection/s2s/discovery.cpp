#include "connection/s2s/discovery.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "connection/jid.hpp"

namespace comity::connection {

discovery::discovery(const s2s_collaborators& with)
    : random_{with.random},
      resolver_{with.dns,
                [&loop = with.loop.loop()](std::move_only_function<void()> work) { loop.post(std::move(work)); },
                [this](std::uint32_t greatest) { return static_cast<std::uint32_t>(random_(greatest)); }} {
}

void discovery::find(std::string_view domain, const std::optional<fixed_endpoint>& fixed,
                     std::move_only_function<void(const dns::service_plan&)> done) {
  if (fixed) {
    return done(
        take(dns::plan_of_override(to_a_labels(fixed->host), fixed->port, fixed->method == method::direct_tls)));
  }
  resolver_.find(to_a_labels(domain), dns::service::server,
                 [this, done = std::move(done)](const dns::service_plan& found) mutable {
                   const auto plan = take(found);
                   auto then = std::move(done);  // it may destroy this, and what calls it
                   then(plan);
                 });
}

dns::service_plan discovery::take(dns::service_plan plan) {
  if (only_) {
    plan = dns::only(std::move(plan), *only_ == method::direct_tls);
  }
  for (const auto& group : plan.groups) {
    groups_.push_back(group.size());
    std::ranges::copy(group, std::back_inserter(targets_));
  }
  endpoints_.resize(targets_.size());
  return plan;
}

void discovery::find_endpoint(std::size_t target, std::move_only_function<void(const dns::endpoint_addresses&)> known) {
  resolver_.find_endpoint(targets_[target],
                          [this, target, known = std::move(known)](const dns::endpoint_addresses& what) mutable {
                            endpoints_[target] = what;
                            known(what);
                          });
}

void discovery::find_endpoints(std::move_only_function<void()> done) {
  if (targets_.empty()) {
    return done();
  }
  all_found_ = std::move(done);
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    find_endpoint(i, [this](const dns::endpoint_addresses&) {
      const bool all = std::ranges::all_of(
          endpoints_, [](const auto& e) { return e && (e->complete() || e->fault != dns::lookup_fault::none); });
      if (all && all_found_) {
        std::exchange(all_found_, nullptr)();
      }
    });
  }
}

endpoint_facts discovery::facts(std::size_t target) const {
  return endpoints_[target] ? facts_of(targets_[target], *endpoints_[target]) : endpoint_facts{};
}

}  // namespace comity::connection
