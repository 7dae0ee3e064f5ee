#include "connection/s2s/dialler.hpp"

#include <algorithm>
#include <asio/steady_timer.hpp>
#include <utility>

#include "connection/s2s/dialler_state.hpp"

namespace comity::connection {

namespace {

using clock = dial_schedule::clock;

/// THREATS E2: one search takes no longer than this, unless the operator gives a single address more.
constexpr std::chrono::seconds search_time{30};
/// How long a stream that is there may take to say that it takes another flow.
constexpr std::chrono::seconds sharing_time{5};

}  // namespace

struct dialler::state::alarm {
  asio::steady_timer at;
};

dialler::state::state(const s2s_collaborators& w, wish what, endpoint_health& h, dial_owner& o)
    : with{w},
      wanted{std::move(what)},
      health{h},
      owner{o},
      settings{w.host.settings()},
      found{w},
      timer{new alarm{asio::steady_timer{w.loop.loop().context()}}} {
}

dialler::state::~state() = default;

// --- discovery -------------------------------------------------------------------------------------------------------

void dialler::state::discover() {
  policy = with.host.policy(wanted.flow.target);
  if (!policy.allow) {
    return fail(in_the_dns(cause::policy, "not allowed"));
  }
  if (wanted.only) {
    found.only(*wanted.only);
  }
  if (wanted.answered) {
    found.watch(wanted.answered);
  }
  discovery_began = clock::now();
  found.find(wanted.flow.target, policy.endpoint, [this](const dns::service_plan& plan) { take_plan(plan); });
}

void dialler::state::take_plan(const dns::service_plan& plan) {
  const auto self = shared_from_this();
  const auto any = found.targets().empty() ? method::starttls : method_of(found.targets().front());
  with.loop.metrics().phase_took(route_by(any), phase::dns, clock::now() - discovery_began);
  owner.planned(plan);
  if (plan.fault != dns::lookup_fault::none) {
    with.loop.metrics().failed(route_by(any), phase::dns, cause_of(plan.fault));
    attempt_record r;
    r.took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - discovery_began);
    r.began = std::chrono::system_clock::now() - r.took;
    r.target = wanted.flow.target;
    r.method = any;
    r.phase = phase::dns;
    r.cause = cause_of(plan.fault);
    r.detail = plan.why;
    owner.tried(r);
    return fail(in_the_dns(cause_of(plan.fault), plan.why));
  }
  if (wanted.discover_only) {
    return found.find_endpoints([this] { discovered(); });
  }
  // RFC 6120 §3.2.1: what is known when nothing at all can be tried.
  last = {.cause = cause::no_address, .phase = phase::dns, .text = {}, .bounce = {}};
  schedule.emplace(
      dial_schedule::rules{.attempt_delay = settings->attempt_delay,
                           .total = std::max<std::chrono::milliseconds>(search_time, settings->connect_timeout)},
      found.groups(),
      [this](std::size_t target, const dns::address& address) {
        return health.healthy(endpoint_name(target, address), clock::now());
      },
      clock::now());
  run();
}

dial_failure dialler::state::in_the_dns(cause why, std::string text) {
  return {.cause = why, .phase = phase::dns, .text = std::move(text), .bounce = {}};
}

/// All that is known of all endpoints is there.
void dialler::state::discovered() {
  const auto self = shared_from_this();
  dial_failure none = in_the_dns(cause::no_address, {});
  bool any = false;
  for (std::size_t i = 0; i < found.targets().size(); ++i) {
    const auto& known = *found.known(i);
    owner.located(found.targets()[i], known);
    const auto may = [this](const dns::address& a) { return settings->addresses.may_dial(a.bytes()); };
    if (known.fault != dns::lookup_fault::none) {
      none = in_the_dns(cause_of(known.fault), known.why);
    } else if (std::ranges::any_of(known.v4, may) || std::ranges::any_of(known.v6, may)) {
      any = true;
    } else if (!known.v4.empty() || !known.v6.empty()) {
      none = {.cause = cause::address_forbidden, .phase = phase::tcp, .text = std::string{forbidden}, .bounce = {}};
    }
  }
  if (!any) {
    return fail(none);
  }
  end();
  owner.discovered();
}

void dialler::state::take_endpoint(std::size_t target, const dns::endpoint_addresses& known) {
  if (told_of.insert(target).second || known.fault != dns::lookup_fault::none) {
    owner.located(found.targets()[target], known);
  }
  if (known.fault != dns::lookup_fault::none) {
    attempt_record r;
    r.began = std::chrono::system_clock::now();
    r.target = found.targets()[target].host;
    r.method = method_of(found.targets()[target]);
    r.phase = phase::dns;
    r.cause = cause_of(known.fault);
    r.detail = known.why;
    with.loop.metrics().failed(route_by(r.method), phase::dns, *r.cause);
    note(r);
  }
  schedule->resolved(target, known, clock::now());
  run();
}

// --- time and the end ------------------------------------------------------------------------------------------------

void dialler::state::arm() {
  auto next = schedule->wake();
  for (const auto& [id, a] : attempts) {
    if (const auto by = deadline_of(a)) {
      next = next ? std::min(*next, *by) : by;
    }
  }
  if (!next) {
    timer->at.cancel();
    return;
  }
  timer->at.expires_at(*next);
  timer->at.async_wait([weak = weak_from_this()](std::error_code aborted) {
    if (const auto self = weak.lock(); self && !aborted && !self->over) {
      self->expired();
    }
  });
}

/// Of what no stream has a deadline for.
std::optional<clock::time_point> dialler::state::deadline_of(const attempt& a) const {
  if (a.tcp) {
    return a.began + settings->connect_timeout;
  }
  return a.shared ? std::optional{a.began + std::min<clock::duration>(sharing_time, settings->connect_timeout)}
                  : std::nullopt;
}

void dialler::state::expired() {
  const auto now = clock::now();
  std::vector<dial_schedule::attempt_id> late;
  for (const auto& [id, a] : attempts) {
    if (const auto by = deadline_of(a); by && *by <= now) {
      late.push_back(id);
    }
  }
  for (const auto id : late) {
    if (over || !attempts.contains(id)) {
      continue;
    }
    attempts.at(id).shared ? connect(id) : end_attempt(id, phase::tcp, cause::tcp_timeout, "no answer");
  }
  if (!over) {
    run();
  }
}

void dialler::state::fail(dial_failure why) {
  const auto self = shared_from_this();
  end();
  owner.failed(why);
}

/// Lets go of everything that is under way.
void dialler::state::end() {
  over = true;
  timer->at.cancel();
  for (const auto& [id, a] : std::exchange(attempts, {})) {
    if (auto* stream = stream_of(a)) {
      stream->abandon();
    }
  }
}

outbound_stream* dialler::state::stream_of(const attempt& a) const {
  return a.stream == 0 ? nullptr : static_cast<outbound_stream*>(with.loop.find(a.stream));
}

std::optional<dial_schedule::attempt_id> dialler::state::attempt_of(const outbound_stream& stream) const {
  for (const auto& [id, a] : attempts) {
    if (a.stream == stream.id()) {
      return id;
    }
  }
  return std::nullopt;
}

std::string dialler::state::endpoint_name(std::size_t target, const dns::address& address) const {
  return endpoint_text(address, found.targets()[target].port);
}

dialler::dialler(const s2s_collaborators& with, wish what, endpoint_health& health, dial_owner& owner)
    : state_{std::make_shared<state>(with, std::move(what), health, owner)} {
}

dialler::~dialler() {
  state_->end();
}

void dialler::begin() {
  state_->later([](state& s) { s.discover(); });
}

void dialler::not_shared() {
  state_->later([](state& s) {
    const auto asked = std::ranges::find_if(s.attempts, [](const auto& a) { return a.second.shared; });
    if (asked != s.attempts.end()) {
      s.connect(asked->first);
      s.run();
    }
  });
}

}  // namespace comity::connection
