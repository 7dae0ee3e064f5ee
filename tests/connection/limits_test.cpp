#include "connection/limits.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <thread>
#include <vector>

#include "connection/transport/ip_endpoint.hpp"

namespace comity::connection {
namespace {

ip_limits::key key(const char* text) {
  sockaddr_storage storage{};
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    std::memcpy(&storage, &v4, sizeof v4);
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
    v6.sin6_family = AF_INET6;
    std::memcpy(&storage, &v6, sizeof v6);
  }
  return ip_limits::key_of(from_system(storage)->ip);
}

TEST(IpLimits, AdmitsAsManyAsTheLimitAndNotOneMore) {  // L07, THREATS G1: L-1, L, L+1
  ip_limits limits{3, 100};
  std::vector<ip_limits::permit> held;
  for (int i = 0; i < 3; ++i) {
    auto p = limits.admit(key("192.0.2.1"));
    ASSERT_TRUE(p) << i;
    held.push_back(std::move(*p));
  }
  EXPECT_FALSE(limits.admit(key("192.0.2.1")));
  EXPECT_TRUE(limits.admit(key("192.0.2.2")));
  held.pop_back();
  EXPECT_TRUE(limits.admit(key("192.0.2.1")));
}

TEST(IpLimits, CountsUnauthenticatedOnesApart) {
  ip_limits limits{10, 2};
  auto first = limits.admit(key("192.0.2.1"));
  auto second = limits.admit(key("192.0.2.1"));
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(limits.admit(key("192.0.2.1")));
  first->authenticated();
  first->authenticated();  // twice is once
  auto third = limits.admit(key("192.0.2.1"));
  EXPECT_TRUE(third);
  EXPECT_FALSE(limits.admit(key("192.0.2.1")));
}

TEST(IpLimits, AdmitsNoMoreInAllThanTheProcessCanHold) {  // THREATS G4: L-1, L, L+1
  ip_limits limits{2, 2, 3};
  std::vector<ip_limits::permit> held;
  for (const auto* address : {"192.0.2.1", "192.0.2.1", "192.0.2.2"}) {
    auto p = limits.admit(key(address));
    ASSERT_TRUE(p) << address;
    p->authenticated();
    held.push_back(std::move(*p));
  }
  EXPECT_EQ(rejection::global_limit, limits.admit(key("192.0.2.3")).error());
  EXPECT_EQ(rejection::per_ip_limit, limits.admit(key("192.0.2.1")).error());  // the nearer reason
  EXPECT_EQ(limits.addresses(), 2U);                                           // who is refused leaves nothing behind
  held.pop_back();
  EXPECT_TRUE(limits.admit(key("192.0.2.3")));
  EXPECT_TRUE(limits.admit(key("192.0.2.4")));  // that one has gone again
}

TEST(IpLimits, AdmitsAsManyInASecondAsMayBeHeld) {  // L07, RFC 6120 §13.12 (2): L-1, L, L+1
  using namespace std::chrono_literals;
  ip_limits limits{200, 200};
  const ip_limits::clock::time_point begin{1000s};
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(limits.admit(key("192.0.2.1"), begin)) << i;  // and gone at once
  }
  EXPECT_EQ(rejection::per_ip_limit, limits.admit(key("192.0.2.1"), begin).error());
  EXPECT_FALSE(limits.admit(key("192.0.2.1"), begin + 5ms - 1ns));  // what is refused costs nothing
  EXPECT_TRUE(limits.admit(key("192.0.2.1"), begin + 5ms));
  EXPECT_FALSE(limits.admit(key("192.0.2.1"), begin + 5ms));
  EXPECT_TRUE(limits.admit(key("192.0.2.2"), begin));
  limits.configure(250, 250);  // a new limit begins anew
  for (int i = 0; i < 250; ++i) {
    ASSERT_TRUE(limits.admit(key("192.0.2.1"), begin + 5ms)) << i;
  }
  EXPECT_FALSE(limits.admit(key("192.0.2.1"), begin + 5ms));
}

TEST(IpLimits, LetsThemComeBackWhoMayHaveFew) {  // L07
  ip_limits limits{1, 1};
  const ip_limits::clock::time_point begin{std::chrono::seconds{1000}};
  for (std::uint32_t i = 0; i < ip_limits::least_attempts; ++i) {
    ASSERT_TRUE(limits.admit(key("192.0.2.1"), begin)) << i;
  }
  EXPECT_FALSE(limits.admit(key("192.0.2.1"), begin));
}

TEST(IpLimits, KeepsWhoGuessesPasswordsWaiting) {  // THREATS C8: L-1, L, L+1
  using namespace std::chrono_literals;
  constexpr auto cost = ip_limits::guess_costs;
  const ip_limits::clock::time_point begin{1000s};
  ip_limits limits{10 * cost, 10 * cost};
  const auto admitted = [&](const char* address, ip_limits::clock::time_point now) {
    return limits.admit(key(address), now).has_value();
  };
  auto guesser = limits.admit(key("192.0.2.1"), begin);
  ASSERT_TRUE(guesser);
  for (int i = 0; i < 9; ++i) {
    guesser->guessed(begin);
  }
  for (std::uint32_t left = cost - 1; left > 0; --left) {  // the guesser's own connection was one
    ASSERT_TRUE(admitted("192.0.2.1", begin)) << left;
  }
  EXPECT_FALSE(admitted("192.0.2.1", begin));
  guesser->guessed(begin);  // what it did not have is a debt
  EXPECT_FALSE(admitted("192.0.2.1", begin + 101ms - 1ns));
  EXPECT_TRUE(admitted("192.0.2.1", begin + 101ms));
  for (int i = 0; i < 600; ++i) {  // on many connections at once
    guesser->guessed(begin + 1s);
  }
  EXPECT_FALSE(admitted("192.0.2.1", begin + 60s));
  EXPECT_TRUE(admitted("192.0.2.1", begin + 61s));
  EXPECT_TRUE(admitted("192.0.2.2", begin));  // nobody else pays
  auto handed_on = std::move(*guesser);
  guesser->guessed(begin + 61s);  // a permit that has been handed on is nobody's
  EXPECT_TRUE(admitted("192.0.2.1", begin + 61s));
}

TEST(IpLimits, AGuessCostsLeastWhoMayHaveFewAsMuchAsASecond) {  // THREATS C8
  using namespace std::chrono_literals;
  const ip_limits::clock::time_point begin{1000s};
  ip_limits limits{1, 1};
  {
    auto guesser = limits.admit(key("192.0.2.1"), begin);
    ASSERT_TRUE(guesser);
    guesser->guessed(begin);
  }
  EXPECT_FALSE(limits.admit(key("192.0.2.1"), begin + 20ms - 1ns));
  EXPECT_TRUE(limits.admit(key("192.0.2.1"), begin + 20ms));
}

TEST(IpLimits, RemembersTheAttemptsOfASecondOnly) {  // THREATS G1, G9
  ip_limits limits{100, 100};
  ip_limits::clock::time_point now{std::chrono::seconds{1000}};
  for (ip_limits::key k = 0; k < 100'000; ++k) {
    ASSERT_TRUE(limits.admit(k, now));
    now += std::chrono::milliseconds{1};  // a thousand addresses a second, each once, that give a hundredth of theirs
    ASSERT_LE(limits.addresses_remembered(), 1100U);
  }
}

TEST(IpLimits, TellsAddressesApartAsTheirOwnersAre) {
  EXPECT_EQ(key("::ffff:192.0.2.1"), key("192.0.2.1"));
  EXPECT_NE(key("192.0.2.1"), key("192.0.2.2"));
  EXPECT_EQ(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::1"));  // one /64, one customer
  EXPECT_NE(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
  EXPECT_NE(key("::1"), key("127.0.0.1"));
}

TEST(IpLimits, ForgetsAddressesThatHaveGone) {
  ip_limits limits{10, 10};
  {
    auto a = limits.admit(key("192.0.2.1"));
    auto moved = std::move(*a);
    EXPECT_EQ(limits.addresses(), 1U);
  }
  EXPECT_EQ(limits.addresses(), 0U);
}

TEST(IpLimits, HoldsFromManyThreads) {
  ip_limits limits{1'000'000, 1'000'000};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        auto p = limits.admit(static_cast<ip_limits::key>(i % 7));
        if (i % 2 == 0) {
          p->authenticated();
        }
      }
    });
  }
  for (auto& t : threads) {
    t.join();
  }
  EXPECT_EQ(limits.addresses(), 0U);
}

}  // namespace
}  // namespace comity::connection
