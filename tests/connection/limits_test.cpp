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
