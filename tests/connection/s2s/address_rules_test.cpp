#include "connection/s2s/address_rules.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace comity::connection {
namespace {

std::vector<std::uint8_t> octets(const std::string& text) {
  std::array<std::uint8_t, 16> raw{};
  if (::inet_pton(AF_INET, text.c_str(), raw.data()) == 1) {
    return {raw.begin(), raw.begin() + 4};
  }
  EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), raw.data()), 1) << text;
  return {raw.begin(), raw.end()};
}

struct judged {
  std::string address;
  bool may;
};
void PrintTo(const judged& j, std::ostream* out) {
  *out << j.address;
}

class SpecialAddresses : public testing::TestWithParam<judged> {};

TEST_P(SpecialAddresses, AreJudgedByTheRegistries) {  // THREATS E1: both ends of each range, and beyond them
  EXPECT_EQ(address_rules{}.may_dial(octets(GetParam().address)), GetParam().may);
}

INSTANTIATE_TEST_SUITE_P(
    Ipv4, SpecialAddresses,
    testing::Values(judged{"0.0.0.0", false}, judged{"0.255.255.255", false}, judged{"1.0.0.0", true},
                    judged{"9.255.255.255", true}, judged{"10.0.0.0", false}, judged{"10.255.255.255", false},
                    judged{"11.0.0.0", true}, judged{"100.63.255.255", true}, judged{"100.64.0.0", false},
                    judged{"100.127.255.255", false}, judged{"100.128.0.0", true}, judged{"126.255.255.255", true},
                    judged{"127.0.0.1", false}, judged{"127.255.255.255", false}, judged{"128.0.0.0", true},
                    judged{"169.254.169.254", false}, judged{"169.253.255.255", true}, judged{"169.255.0.0", true},
                    judged{"172.15.255.255", true}, judged{"172.16.0.0", false}, judged{"172.31.255.255", false},
                    judged{"172.32.0.0", true}, judged{"192.0.0.1", false}, judged{"192.0.1.0", true},
                    judged{"192.0.2.1", false}, judged{"192.167.255.255", true}, judged{"192.168.0.0", false},
                    judged{"192.168.255.255", false}, judged{"192.169.0.0", true}, judged{"198.17.255.255", true},
                    judged{"198.18.0.0", false}, judged{"198.19.255.255", false}, judged{"198.20.0.0", true},
                    judged{"223.255.255.255", true}, judged{"224.0.0.1", false}, judged{"239.255.255.255", false},
                    judged{"240.0.0.0", false}, judged{"255.255.255.255", false}));

INSTANTIATE_TEST_SUITE_P(Ipv6, SpecialAddresses,
                         testing::Values(judged{"::", false}, judged{"::1", false}, judged{"::127.0.0.1", false},
                                         judged{"::ffff:127.0.0.1", false}, judged{"::ffff:10.0.0.1", false},
                                         judged{"::ffff:9.9.9.9", true}, judged{"64:ff9b::10.0.0.1", false},
                                         judged{"64:ff9b::9.9.9.9", true}, judged{"64:ff9b:1::9.9.9.9", false},
                                         judged{"2002:7f00:1::", false}, judged{"2002:909:909::1", true},
                                         judged{"100::1", false}, judged{"2000:ffff::", true}, judged{"2001::", false},
                                         judged{"2001:1ff:ffff::", false}, judged{"2001:200::", true},
                                         judged{"2001:db8::1", false}, judged{"2a00:1450::1", true},
                                         judged{"fbff:ffff::", true}, judged{"fc00::", false},
                                         judged{"fdff:ffff::1", false}, judged{"fe7f:ffff::", true},
                                         judged{"fe80::1", false}, judged{"febf::1", false}, judged{"fec0::1", false},
                                         judged{"ff02::1", false}));

TEST(AddressRules, TakeAllowedBlocksOutOfTheForbiddenOnes) {
  const auto rules = address_rules::make({"special", "9.9.9.0/24"}, {"127.0.0.1", "10.1.0.0/16", "fd00:1::/32"});
  ASSERT_TRUE(rules);
  for (const auto& [address, may] :
       {judged{"127.0.0.1", true}, judged{"127.0.0.2", false}, judged{"10.1.255.255", true}, judged{"10.2.0.0", false},
        judged{"fd00:1::7", true}, judged{"fd00:2::7", false}, judged{"9.9.9.9", false}, judged{"9.9.8.9", true},
        judged{"::ffff:127.0.0.1", true}, judged{"::ffff:127.0.0.2", false}, judged{"::ffff:9.9.9.9", false}}) {
    EXPECT_EQ(rules->may_dial(octets(address)), may) << address;
  }
}

TEST(AddressRules, ForbidNothingWhereNothingIsForbidden) {
  const auto rules = address_rules::make({}, {});
  ASSERT_TRUE(rules);
  EXPECT_TRUE(rules->may_dial(octets("127.0.0.1")));
  EXPECT_TRUE(rules->may_dial(octets("::1")));
}

TEST(AddressRules, NameTheTextThatIsNoBlock) {
  for (const auto* text : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.1/8", "10.0.0",
                           "2001:db8::/129", "2001:db8::1/32", "localhost", "private"}) {
    const auto rules = address_rules::make({"special"}, {text});
    ASSERT_FALSE(rules) << text;
    EXPECT_EQ(rules.error(), text);
    EXPECT_FALSE(address_rules::make({text}, {})) << text;
  }
  EXPECT_FALSE(address_rules::make({}, {"special"})) << "would allow everything that was meant to be forbidden";
}

TEST(AddressRules, DialNothingThatIsNoAddress) {
  const auto rules = address_rules::make({}, {"0.0.0.0/0", "::/0"});
  ASSERT_TRUE(rules);
  EXPECT_FALSE(rules->may_dial({}));
  EXPECT_FALSE(rules->may_dial(std::vector<std::uint8_t>(5)));
  EXPECT_TRUE(rules->may_dial(octets("10.0.0.1")));
}

}  // namespace
}  // namespace comity::connection
