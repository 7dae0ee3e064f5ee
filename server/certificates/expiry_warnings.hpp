// server/certificates/expiry_warnings.hpp: which certificates are about to expire, said once at each of 30, 7 and 1
// days and when it has come.
//
// Pure, time is told to it. A certificate that never had so many days is not warned about for having fewer: one that is
// made for six days is renewed within them.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tls/context.hpp"

namespace comity::server {

class expiry_warnings {
public:
  using time_point = std::chrono::system_clock::time_point;
  static constexpr std::array<int, 4> at_days{30, 7, 1, 0};

  struct warning {
    std::string domain;
    time_point not_after;
    int days = 0;  // that are left, rounded down; 0 on the last day and after
    bool expired = false;
  };
  /// What is to be said now of those in force; of each that has come to several at once, the last.
  [[nodiscard]] std::vector<warning> due(const std::vector<tls::loaded_certificate>&, time_point now);
  /// How long until something may be due, at most `most`.
  [[nodiscard]] std::chrono::seconds next(const std::vector<tls::loaded_certificate>&, time_point now,
                                          std::chrono::seconds most) const;

private:
  [[nodiscard]] int said(const tls::loaded_certificate&) const;
  std::map<std::string, std::pair<std::string, int>> said_;  // by domain: of which certificate, for how many days
};

}  // namespace comity::server
