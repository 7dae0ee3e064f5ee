#include "dns/srv_order.hpp"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace comity::dns {
namespace {

srv_entry entry(std::uint16_t priority, std::uint16_t weight, std::string target, bool direct_tls = false) {
  return {.record = {priority, weight, 5269, std::move(target)}, .direct_tls = direct_tls, .security = security::none};
}

random_draw seeded(std::uint64_t seed) {
  return [engine = std::mt19937_64{seed}](std::uint32_t greatest) mutable {
    return std::uniform_int_distribution<std::uint32_t>{0, greatest}(engine);
  };
}

/// What it would take to draw `numbers`, one after the other; fails the test where more are asked for, or a number is
/// not one that may be drawn.
random_draw scripted(std::vector<std::pair<std::uint32_t, std::uint32_t>> greatest_and_drawn) {
  return [script = std::move(greatest_and_drawn), at = std::size_t{0}](std::uint32_t greatest) mutable {
    EXPECT_LT(at, script.size());
    if (at >= script.size()) {
      return std::uint32_t{0};
    }
    EXPECT_EQ(script[at].first, greatest) << "draw " << at;
    return script[at++].second;
  };
}

std::vector<std::string> targets(const std::vector<srv_entry>& group) {
  std::vector<std::string> names;
  for (const auto& e : group) {
    names.push_back(e.record.target);
  }
  return names;
}

using names = std::vector<std::string>;

TEST(SrvOrder, PutsTheLowestPriorityFirstAndKeepsPrioritiesApart) {  // A03, C04
  const auto groups =
      srv_order({entry(20, 0, "c"), entry(5, 0, "a"), entry(65535, 9, "d"), entry(10, 7, "b")}, seeded(1));
  ASSERT_EQ(groups.size(), 4U);
  EXPECT_EQ(targets(groups[0]), names{"a"});
  EXPECT_EQ(targets(groups[1]), names{"b"});
  EXPECT_EQ(targets(groups[2]), names{"c"});
  EXPECT_EQ(targets(groups[3]), names{"d"});
}

TEST(SrvOrder, MixesBothServicesInOneDraw) {  // A02, XEP-0368 §2 rule 1
  // Sum 100: 61 to 100 is the second's.
  auto groups = srv_order({entry(1, 60, "starttls"), entry(1, 40, "direct", true)}, scripted({{100, 40}}));
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(targets(groups[0]), (names{"direct", "starttls"}));
  groups = srv_order({entry(1, 60, "starttls"), entry(1, 40, "direct", true)}, scripted({{100, 41}}));
  EXPECT_EQ(targets(groups[0]), (names{"starttls", "direct"}));
}

TEST(SrvOrder, TakesTheFirstRunningSumThatReachesTheNumberDrawn) {  // A04, RFC 2782
  const std::vector<srv_entry> three{entry(1, 10, "a"), entry(1, 20, "b"), entry(1, 30, "c")};
  const std::vector<std::pair<std::uint32_t, names>> table{
      {1, {"a", "b", "c"}},  {10, {"a", "b", "c"}}, {11, {"b", "a", "c"}},
      {30, {"b", "a", "c"}}, {31, {"c", "a", "b"}}, {60, {"c", "a", "b"}},
  };
  for (const auto& [drawn, order] : table) {
    std::uint32_t calls = 0;
    const auto groups = srv_order(three, [&](std::uint32_t greatest) {
      EXPECT_LE(calls, 1U);
      EXPECT_EQ(greatest, calls == 0 ? 60U : 60U - three[order[0] == "a" ? 0 : order[0] == "b" ? 1 : 2].record.weight);
      return calls++ == 0 ? drawn : 1U;
    });
    EXPECT_EQ(targets(groups.at(0)), order) << drawn;
  }
}

TEST(SrvOrder, PutsRecordsOfNoWeightAtTheBeginningOfTheDraw) {  // A04
  // 0 of 100 is the weightless one's alone, by lot among two.
  const std::vector<srv_entry> four{entry(1, 100, "heavy"), entry(1, 0, "light"), entry(1, 0, "lighter")};
  EXPECT_EQ(targets(srv_order(four, scripted({{100, 0}, {1, 0}, {100, 1}}))[0]), (names{"light", "heavy", "lighter"}));
  EXPECT_EQ(targets(srv_order(four, scripted({{100, 0}, {1, 1}, {100, 0}, {0, 0}}))[0]),
            (names{"lighter", "light", "heavy"}));
  EXPECT_EQ(targets(srv_order(four, scripted({{100, 1}, {0, 0}, {1, 1}}))[0]), (names{"heavy", "lighter", "light"}));
}

TEST(SrvOrder, HoldsAllEntriesWhateverIsDrawn) {
  std::vector<srv_entry> entries;
  for (int i = 0; i < 1000; ++i) {
    entries.push_back(entry(static_cast<std::uint16_t>(i % 3), i % 2 == 0 ? 65535 : 0, std::to_string(i), i % 5 == 0));
  }
  std::size_t count = 0;
  std::map<std::string, int> seen;
  for (const auto& group : srv_order(entries, seeded(7))) {
    for (const auto& e : group) {
      ++count;
      ++seen[e.record.target];
      EXPECT_EQ(e.direct_tls, std::stoi(e.record.target) % 5 == 0);
    }
  }
  EXPECT_EQ(count, 1000U);
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(SrvOrder, StopsDrawingAtTheLimit) {  // THREATS E2
  std::vector<srv_entry> entries;
  for (int i = 0; i < 3000; ++i) {
    entries.push_back(entry(0, static_cast<std::uint16_t>(i), std::to_string(i)));
  }
  std::size_t draws = 0;
  auto counted = [&draws, draw = seeded(3)](std::uint32_t greatest) {
    ++draws;
    return draw(greatest);
  };
  const auto groups = srv_order(entries, counted, 8);
  ASSERT_EQ(groups.size(), 1U);
  EXPECT_EQ(groups[0].size(), 8U);
  EXPECT_LE(draws, 16U);
  for (const std::size_t limit : {2U, 3U, 4U}) {  // over a border of priorities: L-1, L, L+1
    const auto some =
        srv_order({entry(1, 1, "a"), entry(1, 1, "b"), entry(2, 1, "c"), entry(3, 1, "d")}, seeded(1), limit);
    std::size_t all = 0;
    for (const auto& group : some) {
      all += group.size();
      EXPECT_FALSE(group.empty());
    }
    EXPECT_EQ(all, limit);
  }
  EXPECT_TRUE(srv_order(entries, seeded(1), 0).empty());
}

TEST(SrvOrder, IsEmptyForNoEntries) {
  EXPECT_TRUE(srv_order({}, seeded(1)).empty());
}

struct weights_case {
  std::vector<std::uint16_t> weights;
};
std::ostream& operator<<(std::ostream& out, const weights_case& c) {
  for (const auto w : c.weights) {
    out << '_' << w;
  }
  return out;
}

class SrvDraw : public testing::TestWithParam<weights_case> {};
class SrvDrawOfMany : public SrvDraw {};

/// What RFC 2782's algorithm gives each record with the others arranged by lot, to come first.
std::vector<double> expected_first(const std::vector<std::uint16_t>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const auto zeros = std::count(weights.begin(), weights.end(), 0);
  std::vector<double> result;
  for (const auto w : weights) {
    const bool may_take_zero = zeros == 0 || w == 0;
    const double share_of_zero = 1.0 / static_cast<double>(zeros == 0 ? std::ssize(weights) : zeros);
    result.push_back((w + (may_take_zero ? share_of_zero : 0.0)) / (sum + 1));
  }
  return result;
}

/// Chi-square against `expected`, whose greatest acceptable value at 1 in 10,000 is that of the table.
void expect_fit(const std::vector<std::uint64_t>& counted, const std::vector<double>& expected, double draws) {
  static constexpr double critical[] = {0, 15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88, 31.83};
  double chi = 0;
  for (std::size_t i = 0; i < counted.size(); ++i) {
    const double e = expected[i] * draws;
    chi += (static_cast<double>(counted[i]) - e) * (static_cast<double>(counted[i]) - e) / e;
  }
  EXPECT_LT(chi, critical[counted.size() - 1]);
}

TEST_P(SrvDraw, ChoosesTheFirstAsOftenAsItsWeightSays) {  // A04, THREATS E2: chi-square over 1e5 draws
  constexpr int draws = 100'000;
  const auto& weights = GetParam().weights;
  const auto draw = seeded(20261);
  std::vector<srv_entry> entries;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    entries.push_back(entry(1, weights[i], std::to_string(i), i % 2 == 1));
  }
  std::vector<std::uint64_t> first(weights.size());
  for (int i = 0; i < draws; ++i) {
    ++first[std::stoul(srv_order(entries, draw)[0][0].record.target)];
  }
  expect_fit(first, expected_first(weights), draws);
}

TEST_P(SrvDrawOfMany,
       ChoosesTheSecondAmongTheRestAsOftenAsItsWeightSays) {  // A04: "Remove this SRV RR … and apply again"
  constexpr int draws = 100'000;
  const auto& weights = GetParam().weights;
  const auto draw = seeded(20262);
  std::vector<srv_entry> entries;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    entries.push_back(entry(1, weights[i], std::to_string(i)));
  }
  const std::size_t removed = weights.size() - 1;  // looked at where the last of the list came first
  std::vector<std::uint64_t> second(weights.size() - 1);
  double counted = 0;
  for (int i = 0; i < draws; ++i) {
    const auto group = srv_order(entries, draw)[0];
    if (group[0].record.target == std::to_string(removed)) {
      ++second[std::stoul(group[1].record.target)];
      ++counted;
    }
  }
  ASSERT_GT(counted, 10'000) << "too few for a test";
  expect_fit(second, expected_first({weights.begin(), weights.end() - 1}), counted);
}

const auto of_many =
    testing::Values(weights_case{{0, 0, 0, 0}}, weights_case{{1, 1, 1}}, weights_case{{0, 5, 10, 20, 65}},
                    weights_case{{65535, 65535, 65535}}, weights_case{{0, 0, 3, 7, 10}});
INSTANTIATE_TEST_SUITE_P(OfTwo, SrvDraw,
                         testing::Values(weights_case{{0, 0}}, weights_case{{0, 100}}, weights_case{{60, 40}}),
                         testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(OfMany, SrvDraw, of_many, testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(OfMany, SrvDrawOfMany, of_many, testing::PrintToStringParamName());

}  // namespace
}  // namespace comity::dns
