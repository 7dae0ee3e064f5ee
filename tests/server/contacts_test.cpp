// The roster as held in memory: counts, and what changed since a version (RFC 6121 §2.6).
#include "server/contacts.hpp"

#include <gtest/gtest.h>

namespace comity::server {
namespace {

jid contact(std::string_view name) {
  return jid::parse(std::string{name} + "@example.com").value();
}

storage::roster_item item(std::string_view name, std::uint64_t version, bool shown = true) {
  storage::roster_item i;
  i.contact = contact(name);
  i.version = version;
  i.in_roster = shown;
  i.pending_in = !shown;
  return i;
}

storage::roster stored(std::uint64_t version, std::vector<storage::roster_item> items) {
  storage::roster r;
  r.version = version;
  r.items = std::move(items);
  return r;
}

TEST(Contacts, CountsWhatIsShownAndWhatIsHidden) {
  contacts c{stored(2, {item("a", 1), item("b", 2, false)})};
  EXPECT_EQ(c.visible(), 1U);
  EXPECT_EQ(c.hidden(), 1U);
  c.put(item("b", 0), 3);
  EXPECT_EQ(c.visible(), 2U);
  EXPECT_EQ(c.hidden(), 0U);
  c.put(item("b", 0, false), 4);
  c.put(item("c", 0), 5);
  EXPECT_EQ(c.visible(), 2U);
  EXPECT_EQ(c.hidden(), 1U);
  c.removed(contact("a"), 6);
  c.removed(contact("b"), 7);
  c.removed(contact("nobody"), 8);
  EXPECT_EQ(c.visible(), 1U);
  EXPECT_EQ(c.hidden(), 0U);
  EXPECT_EQ(c.version(), 8U);
}

TEST(Contacts, SubscribersAreThoseWhoShareInTheOrderOfTheirAddresses) {
  const auto sharing = [](std::string_view name, storage::subscription subscription) {
    auto i = item(name, 1);
    i.subscription = subscription;
    return i;
  };
  const auto told = [](const contacts& c) {
    std::string all;
    for (const auto& each : c.subscribers()) {
      all += each->address.localpart();
      EXPECT_TRUE(c.shares_with(each->address.text()));
    }
    return all;
  };
  using enum storage::subscription;
  contacts c{stored(4, {sharing("d", from), sharing("b", both), sharing("a", to), item("c", 1)})};
  EXPECT_EQ(told(c), "bd");
  c.put(sharing("c", from), 5);
  c.put(sharing("b", both), 6);  // as it was
  EXPECT_EQ(told(c), "bcd");
  c.put(sharing("d", to), 7);
  c.put(sharing("a", both), 8);
  EXPECT_EQ(told(c), "abc");
  c.removed(contact("b"), 9);
  c.removed(contact("nobody"), 10);
  EXPECT_EQ(told(c), "ac");
  c.put(item("a", 0, false), 11);
  EXPECT_EQ(told(c), "c");
}

TEST(Contacts, RemovalThatAStoreRemembersOfAContactWhoIsBackIsNoChange) {
  auto r = stored(5, {item("a", 5), item("b", 1)});
  r.removed.emplace_back(contact("a"), 4);
  const contacts c{std::move(r)};
  const auto changes = c.since(3);
  ASSERT_TRUE(changes.has_value());
  ASSERT_EQ(changes->size(), 1U);
  EXPECT_NE(changes->front().item, nullptr);
}

TEST(Contacts, HiddenRequestOfARemovedContactLeavesTheRemovalToTell) {
  auto r = stored(5, {item("a", 5, false), item("b", 1)});
  r.removed.emplace_back(contact("a"), 4);
  const contacts c{std::move(r)};
  const auto changes = c.since(3);
  ASSERT_TRUE(changes.has_value());
  ASSERT_EQ(changes->size(), 1U);
  EXPECT_EQ(changes->front().item, nullptr);
}

TEST(Contacts, VersionsFromBeforeTheStoresMemoryAreNotAnswered) {  // L-1, L, L+1
  auto r = stored(9, {item("a", 9), item("b", 1)});
  r.complete_since = 5;
  const contacts c{std::move(r)};
  EXPECT_FALSE(c.since(4).has_value());
  EXPECT_TRUE(c.since(5).has_value());
  EXPECT_TRUE(c.since(9).has_value());
  EXPECT_FALSE(c.since(10).has_value());
}

TEST(Contacts, RemembersAThousandRemovals) {  // L-1, L, L+1
  std::vector<storage::roster_item> items;
  for (int i = 0; i < 3000; ++i) {
    items.push_back(item("c" + std::to_string(i), 1));
  }
  contacts c{stored(1, std::move(items))};
  for (std::uint64_t i = 0; i < 999; ++i) {
    c.removed(contact("c" + std::to_string(i)), 2 + i);
  }
  EXPECT_TRUE(c.since(1).has_value());
  c.removed(contact("c999"), 1001);
  EXPECT_EQ(c.since(1)->size(), 1000U);
  c.removed(contact("c1000"), 1002);
  EXPECT_FALSE(c.since(1).has_value()) << "answered with the whole roster from now on";
  EXPECT_EQ(c.since(1002)->size(), 0U);
}

TEST(Contacts, StrangersShareNothing) {
  const contacts c{stored(1, {})};
  EXPECT_EQ(c.find("x@example.com"), nullptr);
  EXPECT_EQ(c.state("x@example.com"), subscription_state::none);
  EXPECT_FALSE(c.shares_with("x@example.com"));
}

}  // namespace
}  // namespace comity::server
