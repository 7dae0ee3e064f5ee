#include "connection/s2s/dialler.hpp"

#include <algorithm>
#include <asio.hpp>
#include <map>
#include <set>
#include <utility>

#include "connection/s2s/dial_schedule.hpp"
#include "connection/s2s/discovery.hpp"
#include "connection/transport/tcp_connect.hpp"

namespace comity::connection {

namespace {

using clock = dial_schedule::clock;

/// THREATS E2: one search takes no longer than this, unless the operator gives a single address more.
constexpr std::chrono::seconds search_time{30};
/// How long a stream that is there may take to say that it takes another flow.
constexpr std::chrono::seconds sharing_time{5};

method method_of(const dns::target& t) {
  return t.direct_tls ? method::direct_tls : method::starttls;
}

constexpr std::string_view forbidden = "forbidden by [s2s] forbidden_addresses";

/// An address is remembered to be ill for what it does to everybody, not for what it is to one domain.
bool blames_endpoint(cause c) {
  return c == cause::tcp_refused || c == cause::tcp_unreachable || c == cause::tcp_timeout || c == cause::tls_timeout ||
         c == cause::stream_timeout;
}

}  // namespace

struct dialler::state final : stream_owner, std::enable_shared_from_this<dialler::state> {
  struct attempt {
    std::size_t target;
    dns::address address;
    clock::time_point began;
    bool shared = false;               // asked for on a stream that was there
    std::unique_ptr<tcp_connect> tcp;  // until connected
    std::uint64_t stream = 0;          // then
  };

  state(const s2s_collaborators& w, wish what, endpoint_health& h, dial_owner& o)
      : with{w},
        wanted{std::move(what)},
        health{h},
        owner{o},
        settings{w.host.settings()},
        found{w},
        timer{w.loop.loop().context()} {}

  /// Runs `work` later, where this is still wanted.
  template <typename Work>
  void later(Work work) {
    with.loop.loop().post([weak = weak_from_this(), work = std::move(work)]() mutable {
      if (const auto self = weak.lock(); self && !self->over) {
        work(*self);
      }
    });
  }

  // --- discovery -----------------------------------------------------------------------------------------------------

  void discover() {
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

  void take_plan(const dns::service_plan& plan) {
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

  static dial_failure in_the_dns(cause why, std::string text) {
    return {.cause = why, .phase = phase::dns, .text = std::move(text), .bounce = {}};
  }

  /// All that is known of all endpoints is there.
  void discovered() {
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

  void take_endpoint(std::size_t target, const dns::endpoint_addresses& known) {
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

  // --- attempts ------------------------------------------------------------------------------------------------------

  /// Does what the schedule says; whoever changes it calls this.
  void run() {
    if (std::exchange(busy, true)) {
      again = true;
      return;
    }
    const auto self = shared_from_this();
    do {
      again = false;
      for (auto& c : schedule->due(clock::now())) {
        std::visit([this](auto& command) { perform(command); }, c);
        if (over) {
          return;
        }
      }
    } while (again);
    busy = false;
    if (schedule->exhausted()) {
      if (schedule->out_of_time()) {
        last.text = "out of time";
      }
      return fail(last);
    }
    arm();
  }

  void perform(dial_schedule::resolve& c) {
    found.find_endpoint(c.target, [this, target = c.target](const dns::endpoint_addresses& known) {
      const auto self = shared_from_this();
      if (!over) {
        take_endpoint(target, known);
      }
    });
  }

  void perform(dial_schedule::start& c) {
    const auto& target = found.targets()[c.target];
    attempts.emplace(c.attempt,
                     attempt{.target = c.target, .address = c.address, .began = clock::now(), .tcp = nullptr});
    // THREATS E1: judged is the address that is about to be connected to, whatever names led to it.
    if (!settings->addresses.may_dial(c.address.bytes())) {
      tell_trying(c.attempt);
      return end_attempt(c.attempt, phase::tcp, cause::address_forbidden, std::string{forbidden});
    }
    // RFC 7712 §4.4.2, XEP-0220 §2.6.2: what leads to the same server may go the same way (J10, K02).
    attempts.at(c.attempt).shared = true;
    if (!owner.shares(target, c.address, found.facts(c.target))) {
      connect(c.attempt);
    }
  }

  void connect(dial_schedule::attempt_id id) {
    auto& made = attempts.at(id);
    made.shared = false;
    made.began = clock::now();
    const auto& target = found.targets()[made.target];
    tell_trying(id);
    if (wanted.budget && !wanted.budget->take()) {
      return end_attempt(id, phase::tcp, cause::limit, "too many connections for one peer's questions");
    }
    with.loop.metrics().attempted(route_by(method_of(target)));
    if (with.log.enabled(log::level::debug)) {
      with.log.write(log::level::debug, "s2s.attempt",
                     {{"peer", wanted.flow.target},
                      {"local", wanted.flow.sender},
                      {"address", endpoint_text(made.address, target.port)},
                      {"target", target.host},
                      {"method", to_string(method_of(target))},
                      {"source", to_string(target.source)}});
    }
    made.tcp = std::make_unique<tcp_connect>(
        with.loop.loop(), made.address, target.port, [this, id](std::expected<int, tcp_connect::failure> got) {
          const auto self = shared_from_this();
          got ? connected(id, *got) : end_attempt(id, phase::tcp, got.error().cause, got.error().text);
        });
  }

  void tell_trying(dial_schedule::attempt_id id) {
    const auto& a = attempts.at(id);
    const auto& target = found.targets()[a.target];
    owner.trying({.number = id + 1,
                  .target = target.host,
                  .address = endpoint_text(a.address, target.port),
                  .method = method_of(target),
                  .failed_lately = !health.healthy(endpoint_name(a.target, a.address), clock::now())});
  }

  void connected(dial_schedule::attempt_id id, int descriptor) {
    auto& a = attempts.at(id);
    const auto& target = found.targets()[a.target];
    with.loop.metrics().phase_took(route_by(method_of(target)), phase::tcp, clock::now() - a.began);
    auto made = std::make_unique<outbound_stream>(with, settings,
                                                  outbound_stream::call{.flow = wanted.flow,
                                                                        .trust = policy.trust,
                                                                        .target = target,
                                                                        .endpoint = found.facts(a.target),
                                                                        .address = a.address,
                                                                        .began = a.began},
                                                  descriptor, this);
    const auto finished = std::move(a.tcp);  // it is calling
    a.stream = made->id();
    with.loop.add(a.stream, std::move(made));
    with.loop.on(a.stream, [](live_connection& c) { static_cast<outbound_stream&>(c).begin(); });
  }

  void perform(dial_schedule::authenticate& c) {
    if (auto* stream = stream_of(attempts.at(c.attempt))) {
      owner.reached(*stream);
    }
  }

  void perform(dial_schedule::cancel& c) {
    const auto called_off = attempts.find(c.attempt);
    if (called_off == attempts.end()) {
      return;
    }
    const auto& target = found.targets()[called_off->second.target];
    auto* stream = stream_of(called_off->second);
    if (called_off->second.tcp) {  // nobody else will count it
      with.loop.metrics().failed(route_by(method_of(target)), phase::tcp,
                                 schedule->out_of_time() ? cause::tcp_timeout : cause::shutdown);
    }
    tell_called_off(called_off->first, called_off->second);
    attempts.erase(called_off);
    if (stream != nullptr) {
      stream->abandon();
    }
  }

  /// Of an attempt that has no stream yet.
  [[nodiscard]] attempt_record record_of(dial_schedule::attempt_id id, const attempt& a) const {
    const auto& target = found.targets()[a.target];
    attempt_record r;
    r.number = id + 1;
    r.took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - a.began);
    r.began = std::chrono::system_clock::now() - r.took;
    r.target = target.host;
    r.address = endpoint_text(a.address, target.port);
    r.method = method_of(target);
    return r;
  }

  [[nodiscard]] attempt_record record_of(dial_schedule::attempt_id id, const outbound_stream& stream) const {
    auto r = stream.record();
    r.number = id + 1;
    return r;
  }

  void tell_called_off(dial_schedule::attempt_id id, const attempt& a) {
    if (const auto* stream = stream_of(a)) {
      owner.called_off(record_of(id, *stream));
    } else if (a.tcp) {
      owner.called_off(record_of(id, a));
    }
  }

  /// An attempt that no stream has told of: it failed before there was one.
  void end_attempt(dial_schedule::attempt_id id, phase where, cause why, std::string text) {
    const auto a = std::move(attempts.at(id));
    attempts.erase(id);
    auto r = record_of(id, a);
    r.phase = where;
    r.cause = why;
    r.detail = std::move(text);
    with.loop.metrics().failed(route_by(r.method), where, why);
    with.log.write(log::level::info, "s2s.failed",
                   {{"peer", wanted.flow.target},
                    {"direction", to_string(direction::outbound)},
                    {"address", r.address},
                    {"method", to_string(r.method)},
                    {"phase", to_string(where)},
                    {"cause", to_string(why)},
                    {"detail", r.detail}});
    note(r);
    if (blames_endpoint(why)) {
      health.failed(endpoint_name(a.target, a.address), clock::now(), settings->back_off, with.random);
    }
    schedule->failed(id, clock::now());
    run();
  }

  void note(const attempt_record& r) {
    last = {.cause = *r.cause, .phase = r.phase, .text = r.detail, .bounce = {}};
    owner.tried(r);
  }

  // --- stream_owner --------------------------------------------------------------------------------------------------

  void verified(outbound_stream& stream) override {
    if (const auto id = attempt_of(stream)) {
      schedule->verified(*id);
      run();
    }
  }

  void authorised(outbound_stream& stream, const action::flow_authorised& a) override {
    const auto id = attempt_of(stream);
    if (!id || a.flow != wanted.flow) {
      return;
    }
    const auto& won = attempts.at(*id);
    health.succeeded(endpoint_name(won.target, won.address));
    attempts.erase(*id);  // it is the owner's
    const auto self = shared_from_this();
    for (const auto& [other, slower] : attempts) {
      tell_called_off(other, slower);
    }
    end();
    owner.tried(record_of(*id, stream));
    owner.connected(stream);
  }

  void refused(outbound_stream& stream, const action::flow_refused& r) override {
    const auto id = attempt_of(stream);
    if (!id || r.flow != wanted.flow) {
      return;
    }
    const auto self = shared_from_this();
    auto record = record_of(*id, stream);
    record.cause = r.cause;
    record.phase = phase::authentication;
    record.detail = r.text;
    attempts.erase(*id);
    stream.abandon();
    note(record);
    last.bounce = r.bounce;
    schedule->failed(*id, clock::now());
    run();
  }

  void answered(outbound_stream& /*stream*/, const key_verdict& v) override { owner.answered(v); }

  void ended(outbound_stream& stream, stream_ending ending) override {
    const auto id = attempt_of(stream);
    if (!id || over) {
      return;
    }
    const auto self = shared_from_this();
    const auto a = std::move(attempts.at(*id));
    attempts.erase(*id);
    note(record_of(*id, stream));
    if (blames_endpoint(ending.cause)) {
      health.failed(endpoint_name(a.target, a.address), clock::now(), settings->back_off, with.random);
    }
    schedule->failed(*id, clock::now());
    run();
  }

  // --- time and the end ----------------------------------------------------------------------------------------------

  void arm() {
    auto next = schedule->wake();
    for (const auto& [id, a] : attempts) {
      if (const auto by = deadline_of(a)) {
        next = next ? std::min(*next, *by) : by;
      }
    }
    if (!next) {
      timer.cancel();
      return;
    }
    timer.expires_at(*next);
    timer.async_wait([weak = weak_from_this()](std::error_code aborted) {
      if (const auto self = weak.lock(); self && !aborted && !self->over) {
        self->expired();
      }
    });
  }

  /// Of what no stream has a deadline for.
  [[nodiscard]] std::optional<clock::time_point> deadline_of(const attempt& a) const {
    if (a.tcp) {
      return a.began + settings->connect_timeout;
    }
    return a.shared ? std::optional{a.began + std::min<clock::duration>(sharing_time, settings->connect_timeout)}
                    : std::nullopt;
  }

  void expired() {
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

  void fail(dial_failure why) {
    const auto self = shared_from_this();
    end();
    owner.failed(why);
  }

  /// Lets go of everything that is under way.
  void end() {
    over = true;
    timer.cancel();
    for (const auto& [id, a] : std::exchange(attempts, {})) {
      if (auto* stream = stream_of(a)) {
        stream->abandon();
      }
    }
  }

  [[nodiscard]] outbound_stream* stream_of(const attempt& a) const {
    return a.stream == 0 ? nullptr : static_cast<outbound_stream*>(with.loop.find(a.stream));
  }
  [[nodiscard]] std::optional<dial_schedule::attempt_id> attempt_of(const outbound_stream& stream) const {
    for (const auto& [id, a] : attempts) {
      if (a.stream == stream.id()) {
        return id;
      }
    }
    return std::nullopt;
  }
  [[nodiscard]] std::string endpoint_name(std::size_t target, const dns::address& address) const {
    return endpoint_text(address, found.targets()[target].port);
  }
  static route route_by(method m) { return {scope::s2s, direction::outbound, m}; }

  s2s_collaborators with;
  wish wanted;
  endpoint_health& health;
  dial_owner& owner;
  std::shared_ptr<const s2s_settings> settings;
  peer_policy policy;
  connection::discovery found;
  asio::steady_timer timer;
  clock::time_point discovery_began;
  std::optional<dial_schedule> schedule;
  std::set<std::size_t> told_of;  // targets of which located() has come
  std::map<dial_schedule::attempt_id, attempt> attempts;
  dial_failure last;
  bool busy = false;   // run() is at work
  bool again = false;  // and has to look once more
  bool over = false;
};

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
