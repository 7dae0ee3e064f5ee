// RFC 6121 appendix A, cell by cell: the tables are transcribed from the RFC, row by row, in its own words.
#include "server/subscription_state.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <ostream>
#include <string>

namespace comity::server {
namespace {

using enum subscription_state;
using enum subscription_event;

enum class direction : std::uint8_t { outbound, inbound };

constexpr std::array all_states{
    none, none_pending_out, none_pending_in, none_pending_out_in, to, to_pending_in, from, from_pending_out, both};
constexpr std::array<const char*, 9> state_names{"None",
                                                 "None + Pending Out",
                                                 "None + Pending In",
                                                 "None + Pending Out+In",
                                                 "To",
                                                 "To + Pending In",
                                                 "From",
                                                 "From + Pending Out",
                                                 "Both"};
constexpr std::array<const char*, 4> event_names{"subscribe", "unsubscribe", "subscribed", "unsubscribed"};

const char* name(subscription_state s) {
  return state_names.at(static_cast<std::size_t>(s));
}

/// A column "ROUTE?" or "DELIVER?".
enum class word : std::uint8_t { must, should_not, must_not };
using enum word;

/// A cell of "NEW STATE".
struct row {
  subscription_state existing;
  word pass;
  std::optional<subscription_state> next;  // nullopt: "no state change"
};

struct table {
  int number;
  direction way;
  subscription_event event;
  std::array<row, 9> rows;
};

constexpr auto same = std::nullopt;

const std::array<table, 8> tables{{
    {2,
     direction::outbound,
     subscribe,
     {{{none, must, none_pending_out},
       {none_pending_out, must, same},
       {none_pending_in, must, none_pending_out_in},
       {none_pending_out_in, must, same},
       {to, must, same},
       {to_pending_in, must, same},
       {from, must, from_pending_out},
       {from_pending_out, must, same},
       {both, must, same}}}},
    {3,
     direction::outbound,
     unsubscribe,
     {{{none, must, same},
       {none_pending_out, must, none},
       {none_pending_in, must, same},
       {none_pending_out_in, must, none_pending_in},
       {to, must, none},
       {to_pending_in, must, none_pending_in},
       {from, must, same},
       {from_pending_out, must, from},
       {both, must, from}}}},
    {4,  // "pre-approval" is no change among the nine states; see PreApproval below
     direction::outbound,
     subscribed,
     {{{none, must_not, same},
       {none_pending_out, must_not, same},
       {none_pending_in, must, from},
       {none_pending_out_in, must, from_pending_out},
       {to, must_not, same},
       {to_pending_in, must, both},
       {from, must_not, same},
       {from_pending_out, must_not, same},
       {both, must_not, same}}}},
    {5,
     direction::outbound,
     unsubscribed,
     {{{none, should_not, same},
       {none_pending_out, should_not, same},
       {none_pending_in, must, none},
       {none_pending_out_in, must, none_pending_out},
       {to, should_not, same},
       {to_pending_in, must, to},
       {from, must, none},
       {from_pending_out, must, none_pending_out},
       {both, must, to}}}},
    {6,
     direction::inbound,
     subscribe,
     {{{none, must, none_pending_in},
       {none_pending_out, must, none_pending_out_in},
       {none_pending_in, should_not, same},
       {none_pending_out_in, should_not, same},
       {to, must, to_pending_in},
       {to_pending_in, should_not, same},
       {from, should_not, same},
       {from_pending_out, should_not, same},
       {both, should_not, same}}}},
    {7,
     direction::inbound,
     unsubscribe,
     {{{none, should_not, same},
       {none_pending_out, should_not, same},
       {none_pending_in, must, none},
       {none_pending_out_in, must, none_pending_out},
       {to, should_not, same},
       {to_pending_in, must, to},
       {from, must, none},
       {from_pending_out, must, none_pending_out},
       {both, must, to}}}},
    {8,
     direction::inbound,
     subscribed,
     {{{none, should_not, same},
       {none_pending_out, must, to},
       {none_pending_in, should_not, same},
       {none_pending_out_in, must, to_pending_in},
       {to, should_not, same},
       {to_pending_in, should_not, same},
       {from, should_not, same},
       {from_pending_out, must, both},
       {both, should_not, same}}}},
    {9,
     direction::inbound,
     unsubscribed,
     {{{none, should_not, same},
       {none_pending_out, must, none},
       {none_pending_in, should_not, same},
       {none_pending_out_in, must, none_pending_in},
       {to, must, none},
       {to_pending_in, must, none_pending_in},
       {from, should_not, same},
       {from_pending_out, must, from},
       {both, must, from}}}},
}};

subscription_step step_of(direction way, subscription_state s, bool approved, subscription_event e) {
  return way == direction::outbound ? outbound_subscription(s, approved, e) : inbound_subscription(s, approved, e);
}

class AppendixA : public testing::TestWithParam<table> {};

TEST_P(AppendixA, EveryStateGoesWhereTheTableSays) {  // RFC 6121 appendix A.2, A.3
  const auto& t = GetParam();
  for (std::size_t i = 0; i < t.rows.size(); ++i) {
    const auto& r = t.rows.at(i);
    SCOPED_TRACE(name(r.existing));
    ASSERT_EQ(r.existing, all_states.at(i)) << "a row of the table is missing";
    const auto s = step_of(t.way, r.existing, false, t.event);
    EXPECT_EQ(s.pass, r.pass == must);
    EXPECT_STREQ(name(s.next), name(r.next.value_or(r.existing)));
  }
}

TEST_P(AppendixA, StoresExactlyWhatChanged) {
  const auto& t = GetParam();
  for (const auto s : all_states) {
    for (const bool approved : {false, true}) {
      const auto step = step_of(t.way, s, approved, t.event);
      EXPECT_EQ(step.changed, step.next != s || step.approved != approved) << name(s);
    }
  }
}

TEST_P(AppendixA, PushesExactlyWhatClientsSee) {  // RFC 6121 §2.6.3: no push for what the roster does not show
  const auto& t = GetParam();
  for (const auto s : all_states) {
    for (const bool approved : {false, true}) {
      const auto step = step_of(t.way, s, approved, t.event);
      storage::roster_item before;
      storage::roster_item after;
      put_state(before, s);
      put_state(after, step.next);
      const bool seen = before.subscription != after.subscription || before.pending_out != after.pending_out ||
                        approved != step.approved;
      EXPECT_EQ(step.push, seen) << name(s);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Rfc6121, AppendixA, testing::ValuesIn(tables), [](const auto& info) {
  return std::string{"Table"} + std::to_string(info.param.number) +
         (info.param.way == direction::outbound ? "Outbound_" : "Inbound_") +
         event_names.at(static_cast<std::size_t>(info.param.event));
});

TEST(SubscriptionState, AnswersForTheUserWhereTheNotesSaySo) {  // RFC 6121 A.3.1 note 2, A.3.2 note 1
  for (const auto s : all_states) {
    SCOPED_TRACE(name(s));
    const bool already = s == from || s == from_pending_out || s == both;
    const bool waits = s == none_pending_in || s == none_pending_out_in || s == to_pending_in;
    EXPECT_EQ(inbound_subscription(s, false, subscribe).answer,
              already ? subscription_step::reply::subscribed : subscription_step::reply::none);
    EXPECT_EQ(inbound_subscription(s, false, unsubscribe).answer,
              already || waits ? subscription_step::reply::unsubscribed : subscription_step::reply::none);
    EXPECT_EQ(inbound_subscription(s, false, subscribed).answer, subscription_step::reply::none);
    EXPECT_EQ(inbound_subscription(s, false, unsubscribed).answer, subscription_step::reply::none);
    for (const auto e : {subscribe, unsubscribe, subscribed, unsubscribed}) {
      EXPECT_EQ(outbound_subscription(s, false, e).answer, subscription_step::reply::none);
    }
  }
}

TEST(SubscriptionState, PreApprovalIsNotedOnlyForThoseWhoHaveNotAskedAndAreNotSubscribed) {  // RFC 6121 §3.4.2
  for (const auto s : all_states) {
    SCOPED_TRACE(name(s));
    const bool noted = s == none || s == none_pending_out || s == to;
    EXPECT_EQ(outbound_subscription(s, false, subscribed).approved, noted);
    EXPECT_TRUE(outbound_subscription(s, true, subscribed).approved) << "kept until taken back";
  }
}

TEST(SubscriptionState, UnsubscribedTakesThePreApprovalBackInEveryState) {  // RFC 6121 §3.2.2 rule 2, §3.4
  for (const auto s : all_states) {
    EXPECT_FALSE(outbound_subscription(s, true, unsubscribed).approved) << name(s);
  }
}

TEST(SubscriptionState, InboundStanzasNeverTouchThePreApproval) {  // RFC 6121 §4.3.2 rule 1
  for (const auto s : all_states) {
    for (const auto e : {subscribe, unsubscribe, subscribed, unsubscribed}) {
      EXPECT_TRUE(inbound_subscription(s, true, e).approved) << name(s);
      EXPECT_FALSE(inbound_subscription(s, false, e).approved) << name(s);
    }
  }
}

TEST(SubscriptionState, PreApprovedRequestIsGrantedWithoutTheUserSeeingIt) {  // RFC 6121 §3.4.2, A.3.1 note 1
  const std::array<std::pair<subscription_state, subscription_state>, 3> granted{
      {{none, from}, {none_pending_out, from_pending_out}, {to, both}}};
  for (const auto& [before, after] : granted) {
    const auto s = inbound_subscription(before, true, subscribe);
    EXPECT_STREQ(name(s.next), name(after));
    EXPECT_FALSE(s.pass);
    EXPECT_TRUE(s.push);
    EXPECT_EQ(s.answer, subscription_step::reply::subscribed);
  }
}

TEST(SubscriptionState, EveryStateSurvivesStorage) {
  for (const auto s : all_states) {
    storage::roster_item item;
    put_state(item, s);
    EXPECT_STREQ(name(state_of(item)), name(s));
  }
}

TEST(SubscriptionState, ImpossibleStoredCombinationsCountAsAnswered) {
  storage::roster_item item;
  item.subscription = storage::subscription::both;
  item.pending_in = item.pending_out = true;
  EXPECT_STREQ(name(state_of(item)), name(both));
  item.subscription = storage::subscription::from;
  EXPECT_STREQ(name(state_of(item)), name(from_pending_out));
  item.subscription = storage::subscription::to;
  EXPECT_STREQ(name(state_of(item)), name(to_pending_in));
}

TEST(SubscriptionState, AnsweredRequestIsForgotten) {
  storage::roster_item item;
  item.pending_in = true;
  item.request = "<presence/>";
  put_state(item, from);
  EXPECT_EQ(item.request, "");
}

}  // namespace
}  // namespace comity::server
