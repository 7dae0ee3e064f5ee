// server/certificates/settling.hpp: when to read files that somebody is writing, and which faults are worth a line.
//
// Pure, time is told to it. A certificate and its key are two files, and whoever renews them writes one after the
// other: between the two they do not fit. So a change is left to settle for a moment before it is looked at, and what
// is wrong then is only said if it still is after a while; the same is never said twice in a row.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace comity::server {

class settling {
public:
  using clock = std::chrono::steady_clock;
  struct pace {
    std::chrono::milliseconds quiet{150};    // without a change, before it is looked at
    std::chrono::milliseconds longest{500};  // with changes all the while
    std::chrono::milliseconds doubt{2000};   // with a fault, before it is said
  };
  explicit settling(const pace& p) noexcept : pace_{p} {}

  /// Something has changed.
  void changed(clock::time_point now);
  /// When to look next; nullopt: when something has changed.
  [[nodiscard]] std::optional<clock::time_point> due() const noexcept;
  /// Somebody has looked, and found these faults. What of it is to be said now.
  [[nodiscard]] std::vector<std::string> looked(clock::time_point now, std::vector<std::string> faults);
  /// All of it was read for another reason, and said to be good.
  void all_good() noexcept;

private:
  pace pace_;
  std::optional<clock::time_point> first_, last_;  // of the changes since it was looked at
  std::optional<clock::time_point> doubtful_;      // since when there are faults that were not said
  std::vector<std::string> said_;
};

}  // namespace comity::server
