#include "dns/rdata.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

namespace comity::dns {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::span<const std::uint8_t> bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// Labels with their lengths before them, and the root.
std::string wire(const std::vector<std::string>& labels) {
  std::string out;
  for (const auto& label : labels) {
    out += static_cast<char>(label.size());
    out += label;
  }
  return out + '\0';
}

TEST(RdataName, ReadsHostNamesInLowerCase) {
  EXPECT_EQ(read_name(bytes(wire({"XMPP", "Example", "org"}))), "xmpp.example.org");
  EXPECT_EQ(read_name(bytes(wire({"_5269", "_tcp", "a-1"}))), "_5269._tcp.a-1");
  EXPECT_EQ(read_name(bytes(wire({}))), "");
}

TEST(RdataName, RefusesLabelsOverTheLimit) {  // L-1, L, L+1
  for (const std::size_t size : {62U, 63U, 64U}) {
    EXPECT_EQ(read_name(bytes(wire({std::string(size, 'a')}))).has_value(), size <= 63) << size;
  }
}

TEST(RdataName, RefusesNamesOverTheLimit) {  // 254, 255 and 256 bytes on the wire
  for (const std::size_t last : {60U, 61U, 62U}) {
    const auto name = wire({std::string(63, 'a'), std::string(63, 'b'), std::string(63, 'c'), std::string(last, 'd')});
    EXPECT_EQ(read_name(bytes(name)).has_value(), name.size() <= 255) << name.size();
  }
}

TEST(RdataName, RefusesWhatIsNotWholeOrNotAHostName) {
  const auto good = wire({"a", "example"});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(read_name(bytes(std::string_view{good}.substr(0, size)))) << size;
  }
  EXPECT_FALSE(read_name(bytes(good + "x")));
  EXPECT_FALSE(read_name(bytes(good + '\0')));
  EXPECT_FALSE(read_name(bytes("\1a\xc0\x0c"sv)));  // compressed
  EXPECT_FALSE(read_name(bytes("\xc0\x0c"sv)));
  EXPECT_FALSE(
      read_name(bytes("\x41"
                      "a"sv)));  // a label type that was given up
  for (int c = 0; c < 256; ++c) {
    const bool good_character = c < 128 && (std::isalnum(c) != 0 || c == '-' || c == '_');
    EXPECT_EQ(read_name(bytes(wire({std::string(1, static_cast<char>(c))}))).has_value(), good_character) << c;
  }
}

TEST(RdataSrv, ReadsItsNumbersAndTarget) {  // RFC 2782
  EXPECT_EQ(read_srv(bytes(std::string{"\x00\x05\x01\x00\xff\xff"sv} + wire({"T", "example"}))),
            (srv_record{5, 256, 65535, "t.example"}));
  EXPECT_EQ(read_srv(bytes("\0\0\0\0\0\0\0"sv)), (srv_record{0, 0, 0, ""}));
}

TEST(RdataSrv, RefusesEveryOtherLength) {
  const auto good = std::string{"\0\1\0\2\0\3"sv} + wire({"t", "example"});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(read_srv(bytes(std::string_view{good}.substr(0, size)))) << size;
  }
  EXPECT_FALSE(read_srv(bytes(good + "x")));
}

TEST(RdataTlsa, ReadsItsNumbersAndAllTheRest) {  // RFC 6698 §2.1
  EXPECT_EQ(read_tlsa(bytes("\3\1\1\0\xff"sv)), (tlsa_record{3, 1, 1, std::string{"\0\xff"sv}}));
  EXPECT_EQ(read_tlsa(bytes("\xff\xfe\xfd"sv)), (tlsa_record{255, 254, 253, ""}));  // unusable, but a record
  EXPECT_FALSE(read_tlsa(bytes("\3\1"sv)));
  EXPECT_FALSE(read_tlsa({}));
}

TEST(RdataRecord, IsAddedToItsAnswerOrCounted) {
  for (const auto type : {record_type::a, record_type::aaaa}) {
    answer a;
    a.type = type;
    for (std::size_t size = 0; size <= 17; ++size) {
      add_record(a, bytes(std::string(size, 'v')));
    }
    ASSERT_EQ(a.addresses.size(), 1U);
    EXPECT_EQ(a.addresses[0].v4(), type == record_type::a);
    EXPECT_EQ(a.malformed, 17U);
  }
  answer srv;
  srv.type = record_type::srv;
  add_record(srv, bytes("\0\0\0\0\0\0\0"sv));
  add_record(srv, bytes("\0\0\0\0\0\0"sv));
  EXPECT_EQ(srv.srv.size(), 1U);
  EXPECT_EQ(srv.malformed, 1U);
  answer tlsa;
  tlsa.type = record_type::tlsa;
  add_record(tlsa, bytes("\3\1\1k"sv));
  add_record(tlsa, bytes("\3"sv));
  EXPECT_EQ(tlsa.tlsa.size(), 1U);
  EXPECT_EQ(tlsa.malformed, 1U);
}

TEST(FoldedName, IsInLowerCaseWithoutTheLastDot) {
  EXPECT_EQ(folded_name("_XMPP-Server._tcp.Example.ORG."), "_xmpp-server._tcp.example.org");
  EXPECT_EQ(folded_name("localhost"), "localhost");
}

TEST(FoldedName, IsNoneForWhatTheDnsCannotHold) {
  for (const auto& wrong : {""s, "."s, ".a"s, "a..b"s, "a.."s, "a b"s,
                            "b\xc3\xbc"
                            "cher.example"s,
                            "a\\.b"s, "a\0b"s, "[2001:db8::1]"s, "a/b"s}) {
    EXPECT_FALSE(folded_name(wrong)) << wrong;
  }
  for (const std::size_t size : {62U, 63U, 64U}) {
    EXPECT_EQ(folded_name(std::string(size, 'a') + ".example").has_value(), size <= 63) << size;
  }
  const auto most = [](std::size_t last) {  // 3 labels of 63 and one more
    return std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." +
           std::string(last, 'd');
  };
  for (const std::size_t size : {252U, 253U, 254U}) {
    const auto name = most(size - 192);
    ASSERT_EQ(name.size(), size);
    EXPECT_EQ(folded_name(name).has_value(), size <= 253) << size;
    EXPECT_EQ(folded_name(name + ".").has_value(), size <= 253) << size;
  }
}

}  // namespace
}  // namespace comity::dns
