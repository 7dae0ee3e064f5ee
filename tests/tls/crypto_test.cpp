#include "tls/crypto.hpp"

#include <gtest/gtest.h>

#include "tls/ticket_keys.hpp"

namespace comity::tls {
namespace {

TEST(Crypto, MacIsThatOfTheStandard) {  // RFC 4231 §4.3
  EXPECT_EQ("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            hex(hmac(hash::sha256, "Jefe", "what do ya want for nothing?")));
}

TEST(Crypto, DerivedKeyIsThatOfTheStandard) {  // RFC 6070 §2
  EXPECT_EQ("0c60c80f961f0e71f3a9b524af6012062fe037a6", hex(pbkdf2(hash::sha1, "password", "salt", 1)));
  EXPECT_EQ("4b007901b765489abead49d926f721d065a429c1", hex(pbkdf2(hash::sha1, "password", "salt", 4096)));
}

TEST(Crypto, Base64IsStrict) {  // RFC 4648 §3.5, §10
  EXPECT_EQ("Zm9vYg==", base64_encode("foob"));
  EXPECT_EQ("foob", base64_decode("Zm9vYg=="));
  EXPECT_EQ("", base64_decode(""));
  for (const auto* bad : {"Zm9vYh==", "Zm9vYg", "Zm9v\n", "Zm9vYg==Zm9v", "====", "Zm-v", "Z==="}) {
    EXPECT_FALSE(base64_decode(bad)) << bad;
  }
}

TEST(TicketKeys, OneOldKeyStillOpensThenIsGone) {  // F06
  ticket_keys::clock::time_point now{};
  ticket_keys keys{std::chrono::seconds{10}, [&] { return now; }};
  const auto first = keys.current();
  now += std::chrono::seconds{9};
  EXPECT_EQ(first.name, keys.current().name);
  now += std::chrono::seconds{1};
  EXPECT_NE(first.name, keys.current().name);
  ASSERT_TRUE(keys.named(first.name.data()));
  EXPECT_TRUE(keys.named(first.name.data())->renew);
  now += std::chrono::seconds{10};
  EXPECT_FALSE(keys.named(first.name.data()));
}

}  // namespace
}  // namespace comity::tls
