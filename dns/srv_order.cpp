#include "dns/srv_order.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace comity::dns {
namespace {

/// Moves the next entry to be tried out of `left`, which is not empty. Those of weight 0 come first in it.
srv_entry take_next(std::vector<srv_entry>& left, const random_draw& draw) {
  // RFC 2782: a sum of 16-bit weights; 65,537 records of the greatest weight, more than a message of 64 KiB holds,
  // still fit.
  const auto sum = std::accumulate(left.begin(), left.end(), std::uint32_t{0},
                                   [](std::uint32_t total, const srv_entry& e) { return total + e.record.weight; });
  // RFC 2782: "a uniform random number between 0 and the sum computed (inclusive)"
  const std::uint32_t drawn = std::min(draw(sum), sum);
  std::uint32_t running = 0;
  // RFC 2782: "the RR whose running sum value is the first … greater than or equal to the random number"
  const auto chosen = std::ranges::find_if(left, [&](const srv_entry& e) {
    running += e.record.weight;
    return running >= drawn;
  });
  srv_entry taken = std::move(*chosen);
  left.erase(chosen);
  return taken;
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
      group.push_back(take_next(left, draw));
    }
    begin = end;
  }
  return groups;
}

}  // namespace comity::dns
