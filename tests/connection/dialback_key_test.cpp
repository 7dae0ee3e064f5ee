// Dialback keys: the vectors of the specifications, and what must not be taken for one (J02, J04; THREATS D2).
#include "connection/negotiation/dialback_key.hpp"

#include <gtest/gtest.h>

#include <set>

namespace comity::connection {
namespace {

constexpr auto capulet_key = "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3";
const domain_flow capulet_to_montague{.sender = "capulet.example", .target = "montague.example"};

TEST(DialbackKey, IsThatOfTheSpecifications) {  // J02, XEP-0185 §2, XEP-0220 §2.1.1, §2.2.2
  EXPECT_EQ(dialback_key("s3cr3tf0rd14lb4ck", capulet_to_montague, "D60000229F"), capulet_key);
  EXPECT_EQ(dialback_key("d14lb4ck43v3r", reversed(capulet_to_montague), "417GAF25"),
            "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d");
  EXPECT_EQ(dialback_key("s3cr3tf0rd14lb4ck", {.sender = "example.org", .target = "xmpp.example.com"}, "D60000229F"),
            "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643");
}

TEST(DialbackKey, IsRecognisedWithTheWhiteSpaceThatPeersIndentBy) {
  EXPECT_TRUE(is_dialback_key(capulet_key, "s3cr3tf0rd14lb4ck", capulet_to_montague, "D60000229F"));
  EXPECT_TRUE(is_dialback_key(std::string{"\n\t  "} + capulet_key + "\r\n ", "s3cr3tf0rd14lb4ck", capulet_to_montague,
                              "D60000229F"));
}

TEST(DialbackKey, IsNoneForAnyOtherFlowStreamOrSecret) {  // J04; THREATS D2
  const std::string secret = "s3cr3tf0rd14lb4ck";
  EXPECT_FALSE(is_dialback_key(capulet_key, secret, reversed(capulet_to_montague), "D60000229F"));
  EXPECT_FALSE(is_dialback_key(capulet_key, secret, capulet_to_montague, "D60000229E"));
  EXPECT_FALSE(is_dialback_key(capulet_key, secret, capulet_to_montague, ""));
  EXPECT_FALSE(is_dialback_key(capulet_key, "another", capulet_to_montague, "D60000229F"));
  EXPECT_FALSE(is_dialback_key("", secret, capulet_to_montague, "D60000229F"));
  EXPECT_FALSE(is_dialback_key(" \n", secret, capulet_to_montague, "D60000229F"));
  const std::string key = capulet_key;
  EXPECT_FALSE(is_dialback_key(key.substr(1), secret, capulet_to_montague, "D60000229F"));
  EXPECT_FALSE(is_dialback_key(key + "0", secret, capulet_to_montague, "D60000229F"));
  for (std::size_t i = 0; i < key.size(); ++i) {
    auto other = key;
    other[i] = other[i] == '0' ? '1' : '0';
    EXPECT_FALSE(is_dialback_key(other, secret, capulet_to_montague, "D60000229F")) << i;
  }
}

TEST(DialbackKey, TellsFieldsApartWhateverTheStreamIdHolds) {  // THREATS D2: CVE-2016-0756, fields run together
  std::set<std::string> keys;
  keys.insert(dialback_key("s", {.sender = "b.example", .target = "a.example"}, "c x"));
  keys.insert(dialback_key("s", {.sender = "b.example", .target = "a.example"}, "x"));
  keys.insert(dialback_key("s", {.sender = "a.example", .target = "b.example"}, "x"));
  keys.insert(dialback_key("s", {.sender = "rm.example.org", .target = "example.info"}, "x"));
  keys.insert(dialback_key("s", {.sender = "form.example.org", .target = "example.in"}, "x"));
  keys.insert(dialback_key("s", {.sender = "x", .target = "a.example"}, "b.example"));
  EXPECT_EQ(keys.size(), 6U);
}

TEST(DialbackKey, ComesFromASecretOf256RandomBits) {  // THREATS D2: CVE-2016-1232
  std::set<std::string> secrets;
  for (int i = 0; i < 100; ++i) {
    secrets.emplace(new_dialback_secret().reveal());
    EXPECT_EQ(secrets.begin()->size(), 32U);
  }
  EXPECT_EQ(secrets.size(), 100U);
}

}  // namespace
}  // namespace comity::connection
