#include "dns/answer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace comity::dns {
namespace {

TEST(DnsAddress, IsMadeOfFourOrSixteenBytesOnly) {
  const std::vector<std::uint8_t> bytes(20, 1);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    const auto made = address::from_bytes(std::span{bytes}.first(size));
    EXPECT_EQ(made.has_value(), size == 4 || size == 16) << size;
    if (made) {
      EXPECT_EQ(made->v4(), size == 4);
      EXPECT_EQ(made->bytes().size(), size);
    }
  }
}

TEST(DnsAddress, IsWrittenAsItIsRead) {
  for (const char* text : {"192.0.2.1", "0.0.0.0", "2001:db8::1", "::", "::ffff:192.0.2.1"}) {
    const auto made = address::parse(text);
    ASSERT_TRUE(made) << text;
    EXPECT_EQ(made->text(), text);
    EXPECT_EQ(address::from_bytes(made->bytes()), made);
  }
}

TEST(DnsAddress, IsNotReadFromAnythingElse) {
  for (const std::string text : {"", "example.org", "192.0.2", "192.0.2.1.", "[2001:db8::1]", "fe80::1%eth0", "1",
                                 "0x7f.0.0.1", "192.0.2.01", "2001:db8::1/64"}) {
    EXPECT_FALSE(address::parse(text)) << text;
  }
  EXPECT_FALSE(address::parse(std::string_view{"192.0.2.1\0.example", 18}));
  EXPECT_FALSE(address::parse(std::string(1000, ':')));
}

TEST(DnsAddress, SortsVersionFourFirst) {
  EXPECT_LT(*address::parse("255.255.255.255"), *address::parse("::"));
  EXPECT_LT(*address::parse("192.0.2.1"), *address::parse("192.0.2.2"));
}

TEST(DnsAnswer, TellsAnswersFromFailures) {  // A11, RFC 7673 §3.1
  EXPECT_TRUE(answered(outcome::records));
  EXPECT_TRUE(answered(outcome::nodata));
  EXPECT_TRUE(answered(outcome::nxdomain));
  EXPECT_FALSE(answered(outcome::servfail));
  EXPECT_FALSE(answered(outcome::bogus));
  EXPECT_FALSE(answered(outcome::timeout));
  EXPECT_FALSE(answered(outcome::cancelled));
}

TEST(DnsAnswer, NamesEveryMemberOnce) {
  const auto names = []<class E>(E, std::size_t count) {
    std::vector<std::string_view> all;
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(to_string(static_cast<E>(i)));
    }
    return all;
  };
  EXPECT_EQ(names(record_type::a, record_type_count), (std::vector<std::string_view>{"A", "AAAA", "SRV", "TLSA"}));
  EXPECT_EQ(names(security::none, security_count),
            (std::vector<std::string_view>{"secure", "insecure", "bogus", "none"}));
  EXPECT_EQ(
      names(outcome::records, outcome_count),
      (std::vector<std::string_view>{"records", "nodata", "nxdomain", "servfail", "bogus", "timeout", "cancelled"}));
}

}  // namespace
}  // namespace comity::dns
