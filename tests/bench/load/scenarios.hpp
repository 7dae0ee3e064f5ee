// tests/bench/load/scenarios.hpp: the loads that servers are compared by. Each runs one and returns what was measured.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/client.hpp"

namespace comity::bench {

/// What a scenario found, in the order of telling: name with its unit, number.
using findings = std::vector<std::pair<std::string, double>>;

struct surroundings {
  std::vector<pid_t> processes;  // whose processor time and memory is the server's
  target where;
  target peers;             // where those who receive are, on another server or the same
  std::string allocations;  // where comity-bench-allocations counts, or ""
  bool progress = false;
};

struct login_load {
  std::size_t count = 1000;
  std::size_t parallel = 16;
  std::size_t users = 100;
};
/// Whole logins: connect, TLS, authentication, bind, close.
[[nodiscard]] findings logins(const surroundings&, const login_load&);

struct handshake_load {
  std::size_t count = 1000;
  std::size_t parallel = 16;
  bool resume = false;
};
/// TLS alone: connect, handshake, the server's ticket, close.
[[nodiscard]] findings handshakes(const surroundings&, const handshake_load&);

struct idle_load {
  std::vector<std::size_t> sessions = {1000};  // rising: how many are held when memory is looked at
  std::size_t parallel = 64;
  std::chrono::milliseconds settle{2000};
};
/// Sessions that are bound and say nothing: what each takes of the server's memory, at every number of them that is
/// asked for.
[[nodiscard]] findings idle(const surroundings&, const idle_load&);

struct herd_load {
  std::size_t sessions = 1000;
  std::size_t parallel = 64;                 // at first
  std::chrono::milliseconds back_off{1000};  // from an end to the next attempt
};
/// Sessions that say nothing until the server ends all of them at once; each comes back until it is online again. Says
/// "ready" on standard output once they are there.
[[nodiscard]] findings herd(const surroundings&, const herd_load&);

struct message_load {
  std::size_t pairs = 50;
  std::size_t window = 1;  // messages of each sender that are under way; at a fixed rate without meaning
  double rate = 0;         // messages a second, all together; 0 is as many as go
  bool shed = false;       // at that rate: a message that its sender's connection does not take at once is not sent
  std::chrono::milliseconds warm_up{500};
  std::chrono::milliseconds time{5000};
  std::size_t body = 100;  // bytes
  std::size_t first = 0;   // the number of the first client
  /// XEP-0198: every client asks for an acknowledgement of each so many of its messages, and gives those that it is
  /// asked for at once; 0: none is spoken.
  std::size_t acknowledged = 0;
  /// Says "ready" on standard output once all are online, and goes on when a line comes by standard input: so several
  /// generators begin together.
  bool wait = false;
};
/// One-to-one messages in both directions of each pair. On different servers where `peers` says so.
[[nodiscard]] findings messages(const surroundings&, const message_load&);

struct fan_out_load {
  std::size_t contacts = 1000;
  std::size_t rounds = 20;
};
/// One user's presence to the sessions of many online contacts.
[[nodiscard]] findings fan_out(const surroundings&, const fan_out_load&);

struct domain_load {
  std::size_t count = 50;
  std::size_t first = 0;
  std::size_t parallel = 1;
};
/// The first stanza to each of the domains d0, d1, … below that of `peers`, and the time until its answer.
[[nodiscard]] findings domains(const surroundings&, const domain_load&);

}  // namespace comity::bench
