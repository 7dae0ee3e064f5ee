// server/check/record_findings.hpp: the part of judge() that is about records. Private to server/check.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "server/check/findings.hpp"

namespace comity::check {

/// std::ranges::contains, which the standard library at hand has not got.
template <typename Range, typename T, typename Projection = std::identity>
[[nodiscard]] bool holds(const Range& range, const T& value, Projection projection = {}) {
  return std::ranges::find(range, value, projection) != std::ranges::end(range);
}

/// Findings in the order in which they are made, none twice: one host may be the target of many records.
class finding_list {
public:
  void add(severity s, finding_kind kind, std::string text) {
    finding f{.severity = s, .kind = kind, .text = std::move(text)};
    if (!holds(all_, f)) {
      all_.push_back(std::move(f));
    }
  }
  void fail(finding_kind kind, std::string text) { add(severity::error, kind, std::move(text)); }
  void warn(finding_kind kind, std::string text) { add(severity::warning, kind, std::move(text)); }
  [[nodiscard]] std::vector<finding> take() { return std::move(all_); }

private:
  std::vector<finding> all_;
};

void judge_records(finding_list&, const running_host&, const published&, std::span<const probe>);

}  // namespace comity::check
