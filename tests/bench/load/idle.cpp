// Sessions that are there and say nothing.
#include <stdexcept>

#include "bench/load/crowd.hpp"
#include "bench/load/measure.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

findings idle(const surroundings& around, const idle_load& load) {
  poller p;
  crowd clients{p, around.progress};
  const auto before = pss_bytes(around.processes);
  findings found{{"pss_mib_before", before / (1024.0 * 1024)}};
  std::size_t step = 0;
  for (const auto sessions : load.sessions) {
    const auto there = clients.all().size();
    if (sessions <= there) {
      throw std::runtime_error{"the numbers of sessions do not rise"};
    }
    const auto cpu = cpu_seconds(around.processes);
    clients.gather(around.where, there, sessions - there, load.parallel, {});
    const auto joined = cpu_seconds(around.processes);
    clients.run_until([] { return false; }, load.settle);
    const auto settled = cpu_seconds(around.processes);
    const auto held = pss_bytes(around.processes);
    for (const auto& each : clients.all()) {
      if (each->at() != client::stage::online) {
        throw std::runtime_error{each->user() + " has not stayed: " + each->why()};
      }
    }
    const auto name = [number = std::to_string(++step)](const char* what) { return what + number; };
    found.insert(found.end(),
                 {{name("sessions_"), static_cast<double>(sessions)},
                  {name("pss_kib_each_"), (held - before) / static_cast<double>(sessions) / 1024},
                  {name("server_cpu_ms_to_join_each_"), (joined - cpu) / static_cast<double>(sessions - there) * 1e3},
                  {name("server_cpu_ms_a_second_idle_"),
                   (settled - joined) / std::chrono::duration<double>{load.settle}.count() * 1e3}});
  }
  for (const auto& each : clients.all()) {
    each->close();
  }
  return found;
}

}  // namespace comity::bench
