// connection/s2s/dialler_state.hpp: what a dialler is at work on; for its own sources alone.
//
// dialler.cpp finds what there is to dial, and ends; dialler_attempts.cpp does what the schedule says, and hears of the
// streams. All on the loop of the dialler.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "connection/s2s/dial_schedule.hpp"
#include "connection/s2s/dialler.hpp"
#include "connection/s2s/discovery.hpp"
#include "connection/transport/tcp_connect.hpp"

namespace comity::connection {

struct dialler::state final : stream_owner, std::enable_shared_from_this<dialler::state> {
  using clock = dial_schedule::clock;

  struct attempt {
    std::size_t target;
    dns::address address;
    clock::time_point began;
    bool shared = false;               // asked for on a stream that was there
    std::unique_ptr<tcp_connect> tcp;  // until connected
    std::uint64_t stream = 0;          // then
  };

  state(const s2s_collaborators&, wish, endpoint_health&, dial_owner&);
  ~state() override;
  state(const state&) = delete;
  state& operator=(const state&) = delete;

  /// Runs `work` later, where this is still wanted.
  template <typename Work>
  void later(Work work) {
    with.loop.loop().post([weak = weak_from_this(), work = std::move(work)]() mutable {
      if (const auto self = weak.lock(); self && !self->over) {
        work(*self);
      }
    });
  }

  static constexpr std::string_view forbidden = "forbidden by [s2s] forbidden_addresses";
  static method method_of(const dns::target& t) { return t.direct_tls ? method::direct_tls : method::starttls; }
  static route route_by(method m) { return {scope::s2s, direction::outbound, m}; }

  // discovery
  void discover();
  void take_plan(const dns::service_plan& plan);
  static dial_failure in_the_dns(cause why, std::string text);
  /// All that is known of all endpoints is there.
  void discovered();
  void take_endpoint(std::size_t target, const dns::endpoint_addresses& known);

  // attempts
  /// Does what the schedule says; whoever changes it calls this.
  void run();
  void perform(dial_schedule::resolve& c);
  void perform(dial_schedule::start& c);
  void connect(dial_schedule::attempt_id id);
  void tell_trying(dial_schedule::attempt_id id);
  void connected(dial_schedule::attempt_id id, int descriptor);
  void perform(dial_schedule::authenticate& c);
  void perform(dial_schedule::cancel& c);
  /// Of an attempt that has no stream yet.
  [[nodiscard]] attempt_record record_of(dial_schedule::attempt_id id, const attempt& a) const;
  [[nodiscard]] attempt_record record_of(dial_schedule::attempt_id id, const outbound_stream& stream) const;
  void tell_called_off(dial_schedule::attempt_id id, const attempt& a);
  /// An attempt that no stream has told of: it failed before there was one.
  void end_attempt(dial_schedule::attempt_id id, phase where, cause why, std::string text);
  void note(const attempt_record& r);

  // stream_owner
  void verified(outbound_stream& stream) override;
  void authorised(outbound_stream& stream, const action::flow_authorised& a) override;
  void refused(outbound_stream& stream, const action::flow_refused& r) override;
  void answered(outbound_stream& /*stream*/, const key_verdict& v) override { owner.answered(v); }
  void ended(outbound_stream& stream, stream_ending ending) override;

  // time and the end
  void arm();
  /// Of what no stream has a deadline for.
  [[nodiscard]] std::optional<clock::time_point> deadline_of(const attempt& a) const;
  void expired();
  void fail(dial_failure why);
  /// Lets go of everything that is under way.
  void end();
  [[nodiscard]] outbound_stream* stream_of(const attempt& a) const;
  [[nodiscard]] std::optional<dial_schedule::attempt_id> attempt_of(const outbound_stream& stream) const;
  [[nodiscard]] std::string endpoint_name(std::size_t target, const dns::address& address) const;

  s2s_collaborators with;
  wish wanted;
  endpoint_health& health;
  dial_owner& owner;
  std::shared_ptr<const s2s_settings> settings;
  peer_policy policy;
  connection::discovery found;
  struct alarm;
  std::unique_ptr<alarm> timer;  // of the next deadline
  clock::time_point discovery_began;
  std::optional<dial_schedule> schedule;
  std::set<std::size_t> told_of;  // targets of which located() has come
  std::map<dial_schedule::attempt_id, attempt> attempts;
  dial_failure last;
  bool busy = false;   // run() is at work
  bool again = false;  // and has to look once more
  bool over = false;
};

}  // namespace comity::connection
