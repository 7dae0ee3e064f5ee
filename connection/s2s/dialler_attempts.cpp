#include <algorithm>
#include <utility>

#include "connection/s2s/dialler_state.hpp"

namespace comity::connection {

namespace {

using clock = dial_schedule::clock;

/// An address is remembered to be ill for what it does to everybody, not for what it is to one domain.
bool blames_endpoint(cause c) {
  return c == cause::tcp_refused || c == cause::tcp_unreachable || c == cause::tcp_timeout || c == cause::tls_timeout ||
         c == cause::stream_timeout;
}

}  // namespace

// --- attempts --------------------------------------------------------------------------------------------------------

/// Does what the schedule says; whoever changes it calls this.
void dialler::state::run() {
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

void dialler::state::perform(dial_schedule::resolve& c) {
  found.find_endpoint(c.target, [this, target = c.target](const dns::endpoint_addresses& known) {
    const auto self = shared_from_this();
    if (!over) {
      take_endpoint(target, known);
    }
  });
}

void dialler::state::perform(dial_schedule::start& c) {
  const auto& target = found.targets()[c.target];
  attempts.emplace(c.attempt, attempt{.target = c.target, .address = c.address, .began = clock::now(), .tcp = nullptr});
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

void dialler::state::connect(dial_schedule::attempt_id id) {
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

void dialler::state::tell_trying(dial_schedule::attempt_id id) {
  const auto& a = attempts.at(id);
  const auto& target = found.targets()[a.target];
  owner.trying({.number = id + 1,
                .target = target.host,
                .address = endpoint_text(a.address, target.port),
                .method = method_of(target),
                .failed_lately = !health.healthy(endpoint_name(a.target, a.address), clock::now())});
}

void dialler::state::connected(dial_schedule::attempt_id id, int descriptor) {
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
  with.loop.start(std::move(made));
}

void dialler::state::perform(dial_schedule::authenticate& c) {
  if (auto* stream = stream_of(attempts.at(c.attempt))) {
    owner.reached(*stream);
  }
}

void dialler::state::perform(dial_schedule::cancel& c) {
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
attempt_record dialler::state::record_of(dial_schedule::attempt_id id, const attempt& a) const {
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

attempt_record dialler::state::record_of(dial_schedule::attempt_id id, const outbound_stream& stream) const {
  auto r = stream.record();
  r.number = id + 1;
  return r;
}

void dialler::state::tell_called_off(dial_schedule::attempt_id id, const attempt& a) {
  if (const auto* stream = stream_of(a)) {
    owner.called_off(record_of(id, *stream));
  } else if (a.tcp) {
    owner.called_off(record_of(id, a));
  }
}

/// An attempt that no stream has told of: it failed before there was one.
void dialler::state::end_attempt(dial_schedule::attempt_id id, phase where, cause why, std::string text) {
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

void dialler::state::note(const attempt_record& r) {
  last = {.cause = *r.cause, .phase = r.phase, .text = r.detail, .bounce = {}};
  owner.tried(r);
}

// --- stream_owner ----------------------------------------------------------------------------------------------------

void dialler::state::verified(outbound_stream& stream) {
  if (const auto id = attempt_of(stream)) {
    schedule->verified(*id);
    run();
  }
}

void dialler::state::authorised(outbound_stream& stream, const action::flow_authorised& a) {
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

void dialler::state::refused(outbound_stream& stream, const action::flow_refused& r) {
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

void dialler::state::ended(outbound_stream& stream, stream_ending ending) {
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

}  // namespace comity::connection
