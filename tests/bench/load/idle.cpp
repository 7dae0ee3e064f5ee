// Sessions that are there and say nothing.
#include "bench/load/crowd.hpp"
#include "bench/load/measure.hpp"
#include "bench/load/scenarios.hpp"

namespace comity::bench {

findings idle(const surroundings& around, const idle_load& load) {
  poller p;
  crowd clients{p, around.progress};
  const auto before = pss_bytes(around.processes);
  const auto cpu = cpu_seconds(around.processes);
  clients.gather(around.where, 0, load.sessions, load.parallel, {});
  const auto joined = cpu_seconds(around.processes);
  clients.run_until([] { return false; }, load.settle);
  const auto settled = cpu_seconds(around.processes);
  const auto held = pss_bytes(around.processes);
  for (const auto& each : clients.all()) {
    if (each->at() != client::stage::online) {
      throw std::runtime_error{each->user() + " has not stayed: " + each->why()};
    }
  }
  const auto count = static_cast<double>(load.sessions);
  findings found{
      {"pss_kib_each", (held - before) / count / 1024},
      {"pss_mib_before", before / (1024.0 * 1024)},
      {"server_cpu_ms_to_join_each", (joined - cpu) / count * 1e3},
      {"server_cpu_ms_a_second_idle", (settled - joined) / std::chrono::duration<double>{load.settle}.count() * 1e3}};
  for (const auto& each : clients.all()) {
    each->close();
  }
  return found;
}

}  // namespace comity::bench
