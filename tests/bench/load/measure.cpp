#include "bench/load/measure.hpp"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <string>

namespace comity::bench {

double cpu_seconds(const std::vector<pid_t>& processes) {
  double sum = 0;
  for (const auto process : processes) {
    clockid_t id{};
    timespec used{};
    if (::clock_getcpuclockid(process, &id) != 0 || ::clock_gettime(id, &used) != 0) {
      throw std::runtime_error{"process " + std::to_string(process) + " is gone"};
    }
    sum += static_cast<double>(used.tv_sec) + (static_cast<double>(used.tv_nsec) * 1e-9);
  }
  return sum;
}

double pss_bytes(const std::vector<pid_t>& processes) {
  double sum = 0;
  for (const auto process : processes) {
    std::ifstream rollup{"/proc/" + std::to_string(process) + "/smaps_rollup"};
    std::string word;
    double kibibytes = -1;
    while (rollup >> word) {
      if (word == "Pss:") {
        rollup >> kibibytes;
        break;
      }
    }
    if (kibibytes < 0) {
      throw std::runtime_error{"the memory of process " + std::to_string(process) + " cannot be read"};
    }
    sum += kibibytes * 1024;
  }
  return sum;
}

double allocations(const std::string& file) {
  if (file.empty()) {
    return 0;
  }
  std::ifstream counted{file, std::ios::binary};
  std::uint64_t number = 0;
  if (!counted.read(reinterpret_cast<char*>(&number), sizeof number)) {
    throw std::runtime_error{file + " cannot be read"};
  }
  return static_cast<double>(number);
}

double latencies::percentile(double part) {
  if (all_.empty()) {
    return 0;
  }
  const auto at = static_cast<std::ptrdiff_t>(static_cast<double>(all_.size() - 1) * part);
  std::nth_element(all_.begin(), all_.begin() + at, all_.end());
  return static_cast<double>(all_[static_cast<std::size_t>(at)]) * 1e-6;
}

}  // namespace comity::bench
