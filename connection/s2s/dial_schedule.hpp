// connection/s2s/dial_schedule.hpp: which address of a remote domain is tried when, and which attempt wins (RFC 8305,
// XEP-0495, RFC 6120 §3.2.1). Pure: time is the caller's, and so is everything that takes any.
//
// Within one SRV priority group the attempts race: over targets in their drawn order (A12), over the families of each
// target in turn, one started `attempt_delay` after the other or as soon as one fails. The winner is the first verified
// stream (C05): the others are called off and it goes on to authenticate. Should it fail at that, those called off are
// tried again, and all that follow. A later group comes when the earlier one is exhausted (C04). Addresses that failed
// lately come last of all. What a peer's zone can make us do is bounded (THREATS E2).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <variant>
#include <vector>

#include "dns/answer.hpp"
#include "dns/endpoint_lookup.hpp"

namespace comity::connection {

class dial_schedule {
public:
  using clock = std::chrono::steady_clock;
  using attempt_id = std::uint32_t;

  struct rules {
    std::chrono::milliseconds attempt_delay{250};    // RFC 8305 §5; below 10 ms it is 10 ms
    std::chrono::milliseconds resolution_delay{50};  // RFC 8305 §3
    std::chrono::milliseconds total{std::chrono::seconds{30}};
    std::size_t attempts = dns::addresses_limit;
  };

  // What is to be done, in order.
  struct resolve {  // ask for the addresses of that target, and tell by resolved()
    std::size_t target;
  };
  struct start {
    attempt_id attempt;
    std::size_t target;
    dns::address address;
  };
  struct authenticate {  // the winner may go on
    attempt_id attempt;
  };
  struct cancel {  // close it; nothing more is to be told of it
    attempt_id attempt;
  };
  using command = std::variant<resolve, start, authenticate, cancel>;

  /// Whether nothing speaks against trying that address of that target now.
  using health = std::function<bool(std::size_t target, const dns::address&)>;

  /// `groups`: how many targets each priority group has; targets are numbered through all of them.
  dial_schedule(rules, const std::vector<std::size_t>& groups, health healthy, clock::time_point now);

  /// What is known of a target; may be told again with more, or with a fault, which calls off what has begun there.
  void resolved(std::size_t target, const dns::endpoint_addresses&, clock::time_point now);
  /// The peer has proven itself as far as TLS and its stream go; it waits for authenticate or cancel.
  void verified(attempt_id);
  void failed(attempt_id, clock::time_point now);

  /// What is to be done now.
  [[nodiscard]] std::vector<command> due(clock::time_point now);
  /// due() has something at that time, unless something else is told before.
  [[nodiscard]] std::optional<clock::time_point> wake() const noexcept { return wake_; }
  /// Nothing runs, nothing is left to try, and nothing is awaited.
  [[nodiscard]] bool exhausted() const noexcept { return exhausted_; }
  /// The time for all of it was over before everything had been tried.
  [[nodiscard]] bool out_of_time() const noexcept { return out_of_time_; }

private:
  struct target_state {
    bool known = false;
    bool awaiting_v4 = true;
    bool awaiting_v6 = true;
    bool v6_was_last = false;
    std::deque<dns::address> v6, v4;        // left to try
    std::vector<dns::address> seen;         // everything ever told
    std::vector<dns::address> failed_late;  // set aside until nothing else is left
    std::optional<clock::time_point> v4_from;
  };
  struct running {
    std::size_t target;
    dns::address address;
  };

  void learn(target_state&, std::size_t target, const std::vector<dns::address>&);
  void call_off(attempt_id);
  void give_up();
  void begin_group(clock::time_point now);
  [[nodiscard]] bool to_next_group(clock::time_point now);
  [[nodiscard]] std::optional<running> pick(clock::time_point now);
  [[nodiscard]] bool awaiting_answers() const;
  void wake_by(clock::time_point);

  rules rules_;
  health healthy_;
  clock::time_point deadline_, group_began_, next_start_;
  std::vector<target_state> targets_;
  std::vector<std::vector<std::size_t>> groups_;
  std::size_t group_ = 0;
  bool group_open_ = false;
  bool last_resort_ = false;  // the addresses that failed lately are at work
  std::map<attempt_id, running> running_;
  std::optional<attempt_id> winner_;
  attempt_id started_ = 0;
  std::vector<command> commands_;
  std::optional<clock::time_point> wake_;
  bool exhausted_ = false;
  bool out_of_time_ = false;
};

}  // namespace comity::connection
