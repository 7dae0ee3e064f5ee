// Connections by number, against a map that does the same.
#include "connection/id_table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace comity::connection {
namespace {

TEST(IdTable, FindsWhatIsThereAndNothingElse) {
  id_table<int> t;
  EXPECT_TRUE(t.empty());
  EXPECT_EQ(t.find(1), nullptr);
  EXPECT_EQ(t.take(1), nullptr);
  t.put(1, std::make_unique<int>(10));
  t.put(17, std::make_unique<int>(170));  // whose place is that of 1
  t.put(2, std::make_unique<int>(20));    // whose place is taken by now
  EXPECT_EQ(*t.find(1), 10);
  EXPECT_EQ(*t.find(17), 170);
  EXPECT_EQ(*t.find(2), 20);
  EXPECT_EQ(t.find(33), nullptr);
  EXPECT_EQ(*t.take(1), 10);
  EXPECT_EQ(t.find(1), nullptr);
  EXPECT_EQ(*t.find(17), 170);
  EXPECT_EQ(*t.find(2), 20);
  EXPECT_EQ(t.size(), 2U);
}

TEST(IdTable, ClosesGapsOverItsEnd) {
  id_table<int> t;
  for (const std::uint64_t id : {15U, 31U, 47U, 16U}) {  // the last place, and what did not fit there
    t.put(id, std::make_unique<int>(static_cast<int>(id)));
  }
  EXPECT_EQ(*t.take(15), 15);
  for (const std::uint64_t id : {31U, 47U, 16U}) {
    ASSERT_NE(t.find(id), nullptr) << id;
    EXPECT_EQ(*t.find(id), static_cast<int>(id));
  }
}

TEST(IdTable, DoesAsAMapDoesWhateverComesAndGoes) {
  std::mt19937_64 random{6};
  id_table<std::uint64_t> t;
  std::map<std::uint64_t, std::uint64_t> reference;
  std::uint64_t last = 0;
  for (unsigned turn = 0; turn < 20'000; ++turn) {
    // It grows to thousands, shrinks to almost nothing, and grows again.
    const bool growing = (turn / 5'000) % 2 == 0;
    if (random() % 10 < (growing ? 8U : 2U)) {
      last += 1 + (random() % 40);  // a loop has some of the process's numbers
      t.put(last, std::make_unique<std::uint64_t>(turn));
      reference.emplace(last, turn);
    } else if (!reference.empty()) {
      auto at = reference.lower_bound(random() % (last + 1));
      at = at == reference.end() ? reference.begin() : at;
      ASSERT_EQ(*t.take(at->first), at->second);
      reference.erase(at);
    }
    ASSERT_EQ(t.size(), reference.size());
    const auto asked = random() % (last + 2);
    const auto expected = reference.find(asked);
    const auto* found = t.find(asked);
    ASSERT_EQ(found != nullptr, expected != reference.end());
    ASSERT_TRUE(found == nullptr || *found == expected->second);
  }
  auto ids = t.ids();
  std::ranges::sort(ids);
  ASSERT_EQ(ids.size(), reference.size());
  EXPECT_TRUE(std::ranges::equal(ids, reference, {}, {}, &std::pair<const std::uint64_t, std::uint64_t>::first));
}

}  // namespace
}  // namespace comity::connection
