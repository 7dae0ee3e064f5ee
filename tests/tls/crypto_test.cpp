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
  // RFC 7677 §3's password, salt and rounds
  EXPECT_EQ("c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d",
            hex(pbkdf2(hash::sha256, "pencil", base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==").value(), 4096)));
}

TEST(Crypto, DerivedKeyIsRightForPasswordsAroundABlockOfTheHash) {  // RFC 2104 §2; digits of another implementation's
  struct row {
    hash kind;
    std::size_t length;
    std::string_view begins;
  };
  for (const auto& [kind, length, begins] : std::initializer_list<row>{
           {hash::sha1, 63, "6a7c951b239b31e65982462c26f18a700e3ccece"},
           {hash::sha1, 64, "2423bc5fc81b71e1b30555ff16b12c8cda1a2d72"},
           {hash::sha1, 65, "62df75a9bde9b7fc1fbc7f4a453ce8669674edcf"},
           {hash::sha256, 63, "a7160a65d926af05d4097cb9f1b1352397d3e130"},
           {hash::sha256, 64, "59e38449e5b5499366e8ef715d2cb11880bafafa"},
           {hash::sha256, 65, "37681f3749277f6b4ddde0ffeb99b3fcf332f61b"},
           {hash::sha512, 127, "741e05fd03c0654b7ff08cecf7239c777aaafa0c"},
           {hash::sha512, 128, "abdcbe5c83ebca2ad4616dffff43e3080f93d57e"},
           {hash::sha512, 129, "e1ef2201eada65739fddeefdbaee39063df583be"},
       }) {
    const auto key = pbkdf2(kind, std::string(length, 'k'), "salt", 3);
    EXPECT_EQ(digest_size(kind), key.size());
    EXPECT_TRUE(hex(key).starts_with(begins)) << length << ' ' << hex(key);
  }
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
