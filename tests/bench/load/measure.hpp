// tests/bench/load/measure.hpp: what a run is measured by: the servers' processor time and memory, and latencies.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace comity::bench {

using clock = std::chrono::steady_clock;

/// Processor time, user and system, that these processes have used, in seconds; to the nanosecond.
[[nodiscard]] double cpu_seconds(const std::vector<pid_t>& processes);
/// Their proportional set size together, in bytes.
[[nodiscard]] double pss_bytes(const std::vector<pid_t>& processes);

/// How often a process has allocated, from the file that comity-bench-allocations counts in; 0 for "".
[[nodiscard]] double allocations(const std::string& file);

class latencies {
public:
  void add(std::chrono::nanoseconds each) { all_.push_back(each.count()); }
  [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
  /// In milliseconds; `part` from 0 to 1. Sorts.
  [[nodiscard]] double percentile(double part);

private:
  std::vector<std::int64_t> all_;
};

}  // namespace comity::bench
