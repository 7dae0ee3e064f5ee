#include "dns/srv_order.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>

namespace comity::dns {
namespace {

/// The index in `left` of the entry to be tried next. Those of weight 0 come first in it.
std::size_t next_of(const std::vector<srv_entry>& left, const random_draw& draw) {
  // A sum of 16-bit weights: 65,537 records of the greatest, more than a message of 64 KiB holds, still fit.
  const auto sum = std::accumulate(left.begin(), left.end(), std::uint32_t{0},
                                   [](std::uint32_t total, const srv_entry& e) { return total + e.record.weight; });
  // RFC 2782: "a uniform random number between 0 and the sum computed (inclusive)"
  const std::uint32_t drawn = draw(sum);
  if (drawn == 0) {
    // It takes the first. RFC 2782: "arrange all SRV RRs … in any order, except that all those with weight 0 are placed
    // at the beginning": the order is by lot, or all the load of records of weight 0 would be on one.
    const auto zeros = static_cast<std::size_t>(
        std::ranges::find_if(left, [](const srv_entry& e) { return e.record.weight != 0; }) - left.begin());
    return draw(static_cast<std::uint32_t>((zeros == 0 ? left.size() : zeros) - 1));
  }
  // RFC 2782: "the RR whose running sum value is the first … greater than or equal to the random number"
  std::uint32_t running = 0;
  const auto chosen = std::ranges::find_if(left, [&](const srv_entry& e) {
    running += e.record.weight;
    return running >= drawn;
  });
  return static_cast<std::size_t>(chosen - left.begin());
}

}  // namespace

std::vector<std::vector<srv_entry>> srv_order(std::vector<srv_entry> entries, const random_draw& draw,
                                              std::size_t limit) {
  // RFC 2782: the lowest priority first, and within one priority "all those with weight 0 are placed at the beginning".
  std::ranges::sort(entries, {}, [](const srv_entry& e) { return std::pair{e.record.priority, e.record.weight}; });
  std::vector<std::vector<srv_entry>> groups;
  std::size_t drawn = 0;
  for (auto begin = entries.begin(); begin != entries.end() && drawn < limit;) {
    const auto end = std::ranges::upper_bound(begin, entries.end(), begin->record.priority, {},
                                              [](const srv_entry& e) { return e.record.priority; });
    std::vector<srv_entry> left{std::move_iterator{begin}, std::move_iterator{end}};
    auto& group = groups.emplace_back();
    for (; !left.empty() && drawn < limit; ++drawn) {
      const auto chosen = left.begin() + static_cast<std::ptrdiff_t>(left.size() == 1 ? 0 : next_of(left, draw));
      group.push_back(std::move(*chosen));
      left.erase(chosen);
    }
    begin = end;
  }
  return groups;
}

}  // namespace comity::dns
