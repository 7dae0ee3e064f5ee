#include "dns/service_resolver.hpp"

#include <optional>
#include <utility>

namespace comity::dns {

/// What a callback needs once it runs is held by the callback itself: it may end the service_resolver, and this with
/// it.
struct service_resolver::state {
  struct plan_search {
    std::string domain;
    service wanted;
    plan_ready done;
    std::optional<answer> xmpp;
    std::optional<answer> xmpps;
  };
  struct endpoint_search {
    endpoint_lookup rules;
    endpoint_known known;
  };
  using answered_query = std::move_only_function<void(const answer&)>;

  void ask(query q, answered_query then);
  void ask_endpoint(query q, const std::shared_ptr<endpoint_search>& search);
  void on_srv(const std::shared_ptr<plan_search>& search);

  resolver& asked;
  executor run_on;
  random_draw draw;
  std::function<void(const traced_query&)> watcher;
  // Last, so that nothing is called back while the rest goes. Those that are done are kept: they are few (E2).
  std::vector<ticket> tickets;
};

void service_resolver::state::ask(query q, answered_query then) {
  const auto begun = std::chrono::steady_clock::now();
  auto done = [this, q, begun, then = std::move(then)](const answer& got) mutable {
    if (watcher) {
      watcher({.asked = std::move(q), .got = got, .took = std::chrono::steady_clock::now() - begun});
    }
    then(got);
  };
  tickets.push_back(asked.lookup(q.name, q.type, run_on, std::move(done)));
}

void service_resolver::state::on_srv(const std::shared_ptr<plan_search>& search) {
  if (search->xmpp && search->xmpps) {
    search->done(plan_of(search->domain, *search->xmpp, *search->xmpps, draw, search->wanted));
  }
}

void service_resolver::state::ask_endpoint(query q, const std::shared_ptr<endpoint_search>& search) {
  ask(std::move(q), [this, search](const answer& got) {
    if (auto next = search->rules.on(got)) {
      ask_endpoint(*std::move(next), search);
    }
    if (const auto* known = search->rules.known()) {
      search->known(*known);
    }
  });
}

service_resolver::service_resolver(resolver& asked, executor run_on, random_draw draw)
    : state_{std::make_shared<state>(asked, std::move(run_on), std::move(draw))} {
}

service_resolver::~service_resolver() = default;

void service_resolver::find(std::string domain, service wanted, plan_ready done) {
  if (auto plan = plan_of_literal(domain, wanted)) {
    state_->run_on([alive = std::weak_ptr{state_}, plan = *std::move(plan), done = std::move(done)]() mutable {
      if (!alive.expired()) {
        done(plan);
      }
    });
    return;
  }
  auto queries = queries_for(domain, wanted);
  const auto search = std::make_shared<state::plan_search>(std::move(domain), wanted, std::move(done));
  state_->ask(std::move(queries.xmpp), [s = state_.get(), search](const answer& got) {
    search->xmpp = got;
    s->on_srv(search);
  });
  state_->ask(std::move(queries.xmpps), [s = state_.get(), search](const answer& got) {
    search->xmpps = got;
    s->on_srv(search);
  });
}

void service_resolver::find_endpoint(target t, endpoint_known known) {
  const auto search = std::make_shared<state::endpoint_search>(endpoint_lookup{std::move(t)}, std::move(known));
  auto queries = search->rules.start();
  if (queries.empty()) {
    state_->run_on([alive = std::weak_ptr{state_}, search] {
      if (!alive.expired()) {
        search->known(*search->rules.known());
      }
    });
  }
  for (auto& q : queries) {
    state_->ask_endpoint(std::move(q), search);
  }
}

void service_resolver::watch(std::function<void(const traced_query&)> answered) {
  state_->watcher = std::move(answered);
}

}  // namespace comity::dns
