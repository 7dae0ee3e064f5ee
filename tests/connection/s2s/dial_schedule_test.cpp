#include "connection/s2s/dial_schedule.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

namespace comity::connection {
namespace {

using namespace std::chrono_literals;
using ids = std::vector<std::string>;

dns::address ip(const std::string& text) {
  return *dns::address::parse(text);
}

dns::endpoint_addresses addresses(const std::vector<std::string>& texts) {
  dns::endpoint_addresses known;
  for (const auto& text : texts) {
    (text.contains(':') ? known.v6 : known.v4).push_back(ip(text));
  }
  return known;
}

dns::endpoint_addresses fault() {
  dns::endpoint_addresses known;
  known.fault = dns::lookup_fault::bogus;
  return known;
}

/// A schedule under a clock that moves when told, and what it says to do, in words.
class DialSchedule : public testing::Test {
protected:
  void dial(const std::vector<std::size_t>& groups, dial_schedule::rules rules = {}) {
    schedule.emplace(
        rules, groups, [this](std::size_t, const dns::address& a) { return !ill.contains(a.text()); }, start);
  }

  ids due() {
    ids said;
    for (const auto& c : schedule->due(start + at)) {
      if (const auto* r = std::get_if<dial_schedule::resolve>(&c)) {
        said.push_back("resolve " + std::to_string(r->target));
      } else if (const auto* s = std::get_if<dial_schedule::start>(&c)) {
        names[s->attempt] = s->address.text();
        attempts[s->address.text()] = s->attempt;
        said.push_back("start " + s->address.text());
      } else if (const auto* a = std::get_if<dial_schedule::authenticate>(&c)) {
        said.push_back("authenticate " + names[a->attempt]);
      } else {
        said.push_back("cancel " + names[std::get<dial_schedule::cancel>(c).attempt]);
      }
    }
    return said;
  }
  ids due_at(std::chrono::milliseconds when) {
    at = when;
    return due();
  }
  void resolved(std::size_t target, const std::vector<std::string>& texts) {
    schedule->resolved(target, addresses(texts), start + at);
  }
  void verified(const std::string& address) { schedule->verified(attempts.at(address)); }
  void failed(const std::string& address) { schedule->failed(attempts.at(address), start + at); }
  std::optional<std::chrono::milliseconds> wake() const {
    if (!schedule->wake()) {
      return std::nullopt;
    }
    return std::chrono::duration_cast<std::chrono::milliseconds>(*schedule->wake() - start);
  }

  const dial_schedule::clock::time_point start{1000h};
  std::chrono::milliseconds at{0};
  std::optional<dial_schedule> schedule;
  std::map<dial_schedule::attempt_id, std::string> names;
  std::map<std::string, dial_schedule::attempt_id> attempts;
  std::set<std::string> ill;  // addresses that failed lately
};

TEST_F(DialSchedule, TakesFamiliesInTurnIpv6First) {  // C02, RFC 8305 §4
  dial({1});
  EXPECT_EQ(due(), ids{"resolve 0"});
  resolved(0, {"2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2"});
  EXPECT_EQ(due(), ids{"start 2001:db8::1"});
  EXPECT_EQ(due_at(250ms), ids{"start 192.0.2.1"});
  EXPECT_EQ(due_at(500ms), ids{"start 2001:db8::2"});
  EXPECT_EQ(due_at(750ms), ids{"start 192.0.2.2"});
}

TEST_F(DialSchedule, StartsAttemptsADelayApart) {  // C02: 250 ms, at L-1 and L
  dial({1});
  (void)due();
  resolved(0, {"192.0.2.1", "192.0.2.2"});
  EXPECT_EQ(due(), ids{"start 192.0.2.1"});
  EXPECT_EQ(wake(), 250ms);
  EXPECT_EQ(due_at(249ms), ids{});
  EXPECT_EQ(due_at(250ms), ids{"start 192.0.2.2"});
}

TEST_F(DialSchedule, NeverWaitsLessThanTenMilliseconds) {  // C02, RFC 8305 §5: MUST NOT be below
  dial({1}, {.attempt_delay = 1ms});
  (void)due();
  resolved(0, {"192.0.2.1", "192.0.2.2"});
  EXPECT_EQ(due(), ids{"start 192.0.2.1"});
  EXPECT_EQ(due_at(9ms), ids{});
  EXPECT_EQ(due_at(10ms), ids{"start 192.0.2.2"});
}

TEST_F(DialSchedule, GoesOnAtOnceWhereAnAttemptFails) {  // A12
  dial({2});
  EXPECT_EQ(due(), (ids{"resolve 0", "resolve 1"}));
  resolved(0, {"192.0.2.1", "192.0.2.2"});
  resolved(1, {"192.0.2.3"});
  EXPECT_EQ(due(), ids{"start 192.0.2.1"});
  failed("192.0.2.1");
  EXPECT_EQ(due(), ids{"start 192.0.2.2"});  // every address of a target, then the next target
  failed("192.0.2.2");
  EXPECT_EQ(due(), ids{"start 192.0.2.3"});
  EXPECT_FALSE(schedule->exhausted());
  failed("192.0.2.3");
  EXPECT_EQ(due(), ids{});
  EXPECT_TRUE(schedule->exhausted());
  EXPECT_FALSE(schedule->out_of_time());
}

TEST_F(DialSchedule, WaitsALittleForIpv6WhereIpv4IsKnownFirst) {  // C01, RFC 8305 §3
  dial({1});
  (void)due();
  auto known = addresses({"192.0.2.1"});
  known.awaiting_v6 = true;
  schedule->resolved(0, known, start);
  EXPECT_EQ(due(), ids{});
  EXPECT_EQ(wake(), 50ms);
  EXPECT_EQ(due_at(49ms), ids{});
  schedule->resolved(0, addresses({"192.0.2.1", "2001:db8::1"}), start + 49ms);
  EXPECT_EQ(due(), ids{"start 2001:db8::1"});
  EXPECT_EQ(due_at(299ms), ids{"start 192.0.2.1"});
}

TEST_F(DialSchedule, GoesWithoutIpv6WhenThatTakesTooLong) {  // C01
  dial({1});
  (void)due();
  auto known = addresses({"192.0.2.1"});
  known.awaiting_v6 = true;
  schedule->resolved(0, known, start);
  EXPECT_EQ(due(), ids{});
  EXPECT_EQ(due_at(50ms), ids{"start 192.0.2.1"});
  schedule->resolved(0, addresses({"192.0.2.1", "2001:db8::1"}), start + 60ms);
  EXPECT_EQ(due_at(299ms), ids{});
  EXPECT_EQ(due_at(300ms), ids{"start 2001:db8::1"}) << "the late one takes its turn";
}

TEST_F(DialSchedule, StartsIpv6WithoutWaitingForIpv4) {  // C01
  dial({1});
  (void)due();
  auto known = addresses({"2001:db8::1"});
  known.awaiting_v4 = true;
  schedule->resolved(0, known, start);
  EXPECT_EQ(due(), ids{"start 2001:db8::1"});
  failed("2001:db8::1");
  EXPECT_EQ(due(), ids{});
  EXPECT_FALSE(schedule->exhausted()) << "IPv4 may still come";
  resolved(0, {"2001:db8::1"});
  EXPECT_EQ(due(), ids{});
  EXPECT_TRUE(schedule->exhausted());
}

TEST_F(DialSchedule, TheFirstVerifiedStreamWinsAndTheOthersAreClosed) {  // C03, C05
  dial({1});
  (void)due();
  resolved(0, {"192.0.2.1", "192.0.2.2", "192.0.2.3"});
  (void)due();
  (void)due_at(250ms);
  (void)due_at(500ms);
  verified("192.0.2.2");
  EXPECT_EQ(due(), (ids{"cancel 192.0.2.1", "cancel 192.0.2.3", "authenticate 192.0.2.2"}));
  verified("192.0.2.2");
  EXPECT_EQ(due(), ids{}) << "there is one winner, once";
  EXPECT_EQ(wake(), std::nullopt);
  EXPECT_EQ(due_at(1h), ids{}) << "no more attempts while the winner is at it";
}

TEST_F(DialSchedule, TriesTheOthersAgainWhereTheWinnerFailsToAuthenticate) {
  dial({1, 1});
  (void)due();
  resolved(0, {"192.0.2.1", "192.0.2.2", "192.0.2.3"});
  (void)due();
  (void)due_at(250ms);
  verified("192.0.2.2");
  EXPECT_EQ(due(), (ids{"cancel 192.0.2.1", "authenticate 192.0.2.2"}));
  failed("192.0.2.2");
  EXPECT_EQ(due(), ids{"start 192.0.2.1"}) << "it had not failed";
  failed("192.0.2.1");
  EXPECT_EQ(due(), ids{"start 192.0.2.3"});
  failed("192.0.2.3");
  EXPECT_EQ(due(), ids{"resolve 1"});
}

TEST_F(DialSchedule, TakesALaterPriorityWhenTheEarlierIsExhausted) {  // C04, A03, XEP-0495
  dial({1, 1});
  EXPECT_EQ(due(), ids{"resolve 0"});
  resolved(0, {"192.0.2.1"});
  EXPECT_EQ(due(), ids{"start 192.0.2.1"});
  EXPECT_EQ(due_at(10s), ids{}) << "still running";
  failed("192.0.2.1");
  EXPECT_EQ(due(), ids{"resolve 1"});
  resolved(1, {"192.0.2.2"});
  EXPECT_EQ(due(), ids{"start 192.0.2.2"});
}

TEST_F(DialSchedule, GoesPastATargetThatCannotBeResolved) {  // B06, B09
  dial({2});
  (void)due();
  resolved(1, {"192.0.2.2"});
  EXPECT_EQ(due(), ids{}) << "the first one drawn has its turn first";
  EXPECT_EQ(wake(), 250ms);
  schedule->resolved(0, fault(), start);
  EXPECT_EQ(due(), ids{"start 192.0.2.2"});
}

TEST_F(DialSchedule, DoesNotWaitForASlowTargetLongerThanForAnAttempt) {
  dial({2});
  (void)due();
  resolved(1, {"192.0.2.2"});
  EXPECT_EQ(due_at(249ms), ids{});
  EXPECT_EQ(due_at(250ms), ids{"start 192.0.2.2"});
  failed("192.0.2.2");
  EXPECT_EQ(due(), ids{});
  EXPECT_FALSE(schedule->exhausted()) << "target 0 may still come";
  resolved(0, {"192.0.2.1"});
  EXPECT_EQ(due(), ids{"start 192.0.2.1"});
}

TEST_F(DialSchedule, StopsWhatHasBegunWhereALaterAnswerIsBad) {  // B06: A was well, AAAA is bogus
  dial({2});
  (void)due();
  auto known = addresses({"2001:db8::1"});
  known.awaiting_v4 = true;
  schedule->resolved(0, known, start);
  resolved(1, {"192.0.2.2"});
  EXPECT_EQ(due(), ids{"start 2001:db8::1"});
  schedule->resolved(0, fault(), start + 1ms);
  EXPECT_EQ(due_at(1ms), (ids{"cancel 2001:db8::1", "start 192.0.2.2"}));
}

TEST_F(DialSchedule, IsExhaustedWithoutTargetsOrAddresses) {
  dial({});
  EXPECT_EQ(due(), ids{});
  EXPECT_TRUE(schedule->exhausted());
  dial({1});
  (void)due();
  resolved(0, {});
  EXPECT_EQ(due(), ids{});
  EXPECT_TRUE(schedule->exhausted());
}

TEST_F(DialSchedule, TriesWhatFailedLatelyLastOfAll) {  // L06: health is remembered per endpoint
  ill = {"192.0.2.1", "192.0.2.3"};
  dial({1, 1});
  (void)due();
  resolved(0, {"192.0.2.1", "192.0.2.2"});
  EXPECT_EQ(due(), ids{"start 192.0.2.2"});
  failed("192.0.2.2");
  EXPECT_EQ(due(), ids{"resolve 1"});
  resolved(1, {"192.0.2.3"});
  EXPECT_EQ(due(), ids{"start 192.0.2.1"}) << "everything that is well has been tried";
  failed("192.0.2.1");
  EXPECT_EQ(due(), ids{"start 192.0.2.3"});
  failed("192.0.2.3");
  (void)due();
  EXPECT_TRUE(schedule->exhausted());
}

TEST_F(DialSchedule, TriesSixteenAddressesAndNotOneMore) {  // THREATS E2: L-1, L, L+1
  for (const auto& [count, starts] : {std::pair{15, 15}, {16, 16}, {17, 16}, {64, 16}}) {
    at = 0ms;
    dial({1});
    (void)due();
    std::vector<std::string> texts;
    for (int i = 1; i <= count; ++i) {
      texts.push_back("192.0.2." + std::to_string(i));
    }
    resolved(0, texts);
    int begun = 0;
    while (!schedule->exhausted()) {
      for (const auto& said : due()) {
        ++begun;
        failed(said.substr(said.find(' ') + 1));
      }
    }
    EXPECT_EQ(begun, starts);
  }
}

TEST_F(DialSchedule, GivesUpAfterThirtySeconds) {  // THREATS E2
  dial({1});
  (void)due();
  resolved(0, {"192.0.2.1", "192.0.2.2"});
  EXPECT_EQ(due(), ids{"start 192.0.2.1"});
  EXPECT_EQ(due_at(29'999ms), ids{"start 192.0.2.2"});
  EXPECT_EQ(wake(), 30s);
  EXPECT_EQ(due_at(30s), (ids{"cancel 192.0.2.1", "cancel 192.0.2.2"}));
  EXPECT_TRUE(schedule->exhausted());
  EXPECT_TRUE(schedule->out_of_time());
}

TEST_F(DialSchedule, HearsNothingOfAttemptsThatAreOver) {
  dial({1});
  (void)due();
  resolved(0, {"192.0.2.1", "192.0.2.2"});
  (void)due();
  (void)due_at(250ms);
  verified("192.0.2.1");
  (void)due();
  failed("192.0.2.2");  // it was cancelled already
  verified("192.0.2.2");
  EXPECT_EQ(due(), ids{});
  failed("192.0.2.1");
  EXPECT_EQ(due(), ids{"start 192.0.2.2"});
}

TEST_F(DialSchedule, EndsWhateverHappens) {
  std::mt19937 random{7};
  for (int round = 0; round < 500; ++round) {
    at = 0ms;
    attempts.clear();
    const std::vector<std::size_t> groups(random() % 3 + 1, random() % 3);
    dial(groups);
    std::set<std::string> live;
    std::optional<std::string> winner;
    std::size_t begun = 0;
    int steps = 0;
    while (!schedule->exhausted() && !winner && ++steps < 10'000) {
      at += std::chrono::milliseconds{random() % 300};
      for (const auto& said : due()) {
        const auto what = said.substr(said.find(' ') + 1);
        if (said.starts_with("resolve")) {
          const auto target = static_cast<std::size_t>(std::stoul(what));
          random() % 4 == 0 ? schedule->resolved(target, fault(), start + at)
                            : resolved(target, {"192.0.2." + std::to_string(target * 2 + 1),
                                                "2001:db8::" + std::to_string(target * 2 + 1)});
        } else if (said.starts_with("start")) {
          EXPECT_TRUE(live.insert(what).second) << "two attempts at one address";
          ++begun;
        } else {
          EXPECT_EQ(live.erase(what), said.starts_with("cancel") ? 1U : 0U);
        }
      }
      if (!live.empty() && random() % 3 == 0) {
        const auto one = *live.begin();
        live.erase(one);
        failed(one);
      } else if (!live.empty() && random() % 50 == 0) {
        winner = *live.begin();
        verified(*winner);
      }
    }
    EXPECT_LT(steps, 10'000);
    EXPECT_LE(begun, 16U);
    EXPECT_TRUE(winner || live.empty());
  }
}

}  // namespace
}  // namespace comity::connection
