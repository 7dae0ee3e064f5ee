// Tables whose keys strangers choose (THREATS G9).
#include "connection/keyed_hash.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace comity::connection {
namespace {

// The words of the bytes 0, 1, … 15.
constexpr sip_key counting{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

TEST(KeyedHash, IsSipHash) {  // by OpenSSL's, with c-rounds 1 and d-rounds 3
  const std::string bytes{"\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16", 15};
  const auto of = [&](std::size_t size) { return sip_hash_1_3(counting, std::string_view{bytes}.substr(0, size)); };
  EXPECT_EQ(0xabac0158050fc4dcULL, of(0));
  EXPECT_EQ(0xc9f49bf37d57ca93ULL, of(1));
  EXPECT_EQ(0xd3927d989bb11140ULL, of(7));
  EXPECT_EQ(0x369095118d299a8eULL, of(8));
  EXPECT_EQ(0xd320d86d2a519956ULL, of(15));
  EXPECT_EQ(0x46d5fd4faa67e605ULL, sip_hash_1_3(counting, "juliet@example.com"));
}

TEST(KeyedHash, EachKeyMakesAnother) {
  EXPECT_NE(sip_hash_1_3({0, 0}, "a"), sip_hash_1_3({1, 0}, "a"));
  EXPECT_NE(sip_hash_1_3({0, 0}, "a"), sip_hash_1_3({0, 1}, "a"));
}

/// The block of eight bytes that libstdc++'s hash, MurmurHash2, takes for the same but for the highest bit of its
/// state, whatever that is. Two such blocks in a row cancel out.
std::string twin_of(const std::string& block) {
  constexpr std::uint64_t by = 0xc6a4a7935bd1e995ULL;
  constexpr auto inverse = [] {
    std::uint64_t x = 1;
    for (int i = 0; i < 6; ++i) {
      x *= 2 - (by * x);
    }
    return x;
  }();
  static_assert(by * inverse == 1);
  std::uint64_t k = 0;
  std::memcpy(&k, block.data(), sizeof k);
  k *= by;
  k = (k ^ (k >> 47U)) * by;
  k = (k ^ (1ULL << 63U)) * inverse;
  k = (k ^ (k >> 47U)) * inverse;
  std::string twin(sizeof k, '\0');
  std::memcpy(twin.data(), &k, sizeof k);
  return twin;
}

/// 2^n names that std::hash takes for one.
std::vector<std::string> one_to_std_hash(unsigned n) {
  const std::string one = "attack01attack02";
  const auto other = twin_of(one.substr(0, 8)) + twin_of(one.substr(8));
  std::vector<std::string> all{""};
  for (; n > 0; --n) {
    std::vector<std::string> longer;
    for (const auto& begun : all) {
      longer.push_back(begun + one);
      longer.push_back(begun + other);
    }
    all = std::move(longer);
  }
  return all;
}

template <typename Hash>
std::size_t longest_bucket(const std::vector<std::string>& names) {
  std::unordered_map<std::string, int, Hash> table;
  for (const auto& name : names) {
    table.emplace(name, 0);
  }
  std::size_t longest = 0;
  for (std::size_t i = 0; i < table.bucket_count(); ++i) {
    longest = std::max(longest, table.bucket_size(i));
  }
  EXPECT_EQ(names.size(), table.size());
  return longest;
}

TEST(KeyedHash, SpreadsNamesThatWereMadeToCollide) {  // THREATS G9
  const auto names = one_to_std_hash(11);
  // The attack is one: all 2,048 in one bucket of the table as it would be without a key.
  ASSERT_EQ(names.size(), longest_bucket<std::hash<std::string>>(names));
  // Of 2,048 thrown at random, 16 fall together once in more than 10^12 times.
  EXPECT_LT(longest_bucket<keyed_hash>(names), 16U);
}

}  // namespace
}  // namespace comity::connection
