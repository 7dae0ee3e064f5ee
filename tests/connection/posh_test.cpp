// POSH documents (RFC 7711): what is believed, and for how long.
#include "connection/s2s/posh.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tls/crypto.hpp"

namespace comity::connection::posh {
namespace {

using namespace std::chrono_literals;

const std::string certificate = "the DER of some certificate";

std::string sha256_of(const std::string& der) {
  return tls::base64_encode(tls::digest(tls::hash::sha256, der));
}
std::string sha512_of(const std::string& der) {
  return tls::base64_encode(tls::digest(tls::hash::sha512, der));
}
std::string announcing(const std::string& descriptors, const std::string& expires = "604800") {
  return R"({"fingerprints":[)" + descriptors + R"(],"expires":)" + expires + "}";
}
std::string hash(const char* name, const std::string& value) {
  return "{\"" + std::string{name} + "\":\"" + value + "\"}";
}

fingerprint of(const std::string& der) {
  return {.sha256 = tls::digest(tls::hash::sha256, der), .sha512 = tls::digest(tls::hash::sha512, der)};
}

fingerprints believed(const std::string& text) {
  const auto read_document = read(text);
  EXPECT_TRUE(read_document) << text << ": " << read_document.error();
  return read_document ? std::get<fingerprints>(*read_document) : fingerprints{};
}

// K05, RFC 7711 §8.
TEST(Posh, IsAtTheWellKnownPlaceOfTheServersService) {
  EXPECT_EQ(url_of("xn--bcher-kva.example"), "https://xn--bcher-kva.example/.well-known/posh/xmpp-server.json");
}

// K05, RFC 7711 §3.3.
TEST(Posh, NamesACertificateByEitherHash) {
  EXPECT_TRUE(names(believed(announcing(hash("sha-256", sha256_of(certificate)))), of(certificate)));
  EXPECT_TRUE(names(believed(announcing(hash("sha-512", sha512_of(certificate)))), of(certificate)));
  EXPECT_FALSE(names(believed(announcing(hash("sha-256", sha256_of("another")))), of(certificate)));
}

TEST(Posh, NamesACertificateByAnyOfItsFingerprints) {
  const auto both = announcing(hash("sha-256", sha256_of("another")) + "," + hash("sha-256", sha256_of(certificate)));
  EXPECT_TRUE(names(believed(both), of(certificate)));
  EXPECT_TRUE(names(believed(both), of("another")));
  EXPECT_FALSE(names(believed(both), of("a third")));
}

// RFC 7711 §10: the weaker hash does not stand in for the stronger one.
TEST(Posh, LooksAtTheStrongestHashOfAFingerprint) {
  const auto torn =
      announcing(R"({"sha-256":")" + sha256_of(certificate) + R"(","sha-512":")" + sha512_of("another") + "\"}");
  EXPECT_FALSE(names(believed(torn), of(certificate)));
  EXPECT_TRUE(names(believed(torn), of("another")));
}

TEST(Posh, TakesHashesWithoutTheirPaddingAsTheRfcWritesThem) {
  auto bare = sha256_of(certificate);
  ASSERT_EQ(bare.back(), '=');
  while (bare.back() == '=') {
    bare.pop_back();
  }
  EXPECT_TRUE(names(believed(announcing(hash("sha-256", bare))), of(certificate)));
}

TEST(Posh, KnowsNoOtherHashes) {
  EXPECT_TRUE(believed(announcing(hash("sha-1", "AAAA") + "," + hash("md5", "AAAA"))).all.empty());
}

// K06, RFC 7711 §3.1, §3.2, §6.
TEST(Posh, IsInvalidWhereItExpiresAtOnce) {
  EXPECT_FALSE(read(announcing(hash("sha-256", sha256_of(certificate)), "0")));
  EXPECT_FALSE(read(R"({"url":"https://b.example/p","expires":0})"));
  EXPECT_EQ(believed(announcing(hash("sha-256", sha256_of(certificate)), "1")).expires, 1s);
}

// K06, RFC 7711 §6: never kept without end.
TEST(Posh, IsKeptForADayAtMost) {
  EXPECT_EQ(believed(announcing(hash("sha-256", sha256_of(certificate)), "86399")).expires, 86399s);
  EXPECT_EQ(believed(announcing(hash("sha-256", sha256_of(certificate)), "86400")).expires, 86400s);
  EXPECT_EQ(believed(announcing(hash("sha-256", sha256_of(certificate)), "86401")).expires, 86400s);
  EXPECT_EQ(believed(announcing(hash("sha-256", sha256_of(certificate)), "18446744073709551615")).expires, 86400s);
}

// RFC 7711 §3.2.
TEST(Posh, MayReferElsewhere) {
  const auto elsewhere = read(R"({"url":"https://b.example/posh.json","expires":600})");
  ASSERT_TRUE(elsewhere);
  EXPECT_EQ(std::get<reference>(*elsewhere).url, "https://b.example/posh.json");
  EXPECT_EQ(std::get<reference>(*elsewhere).expires, 600s);
}

class WorthlessPosh : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Posh, WorthlessPosh,
                         testing::Values("", "{", "[]", "null", "{}", R"({"fingerprints":[]})", R"({"expires":1})",
                                         R"({"fingerprints":[],"expires":1})", R"({"fingerprints":{},"expires":1})",
                                         R"({"fingerprints":[7],"expires":1})",
                                         R"({"fingerprints":[{"sha-256":7}],"expires":1})",
                                         R"({"fingerprints":[{"sha-256":"AAAA"}],"expires":1})",
                                         R"({"fingerprints":[{"sha-256":"!"}],"expires":1})",
                                         R"({"url":7,"expires":1})", R"({"url":"https://b.example/","expires":-1})",
                                         R"({"url":"https://b.example/","expires":1.5})",
                                         R"({"url":"https://b.example/","expires":"1"})",
                                         R"({"url":"https://b.example/","fingerprints":[{}],"expires":1})"));
TEST_P(WorthlessPosh, IsAsIfThereWereNone) {
  const auto result = read(GetParam());
  ASSERT_FALSE(result);
  EXPECT_FALSE(result.error().empty());
}

TEST(Posh, IsBoundedInSizeAndFingerprints) {
  std::string padded = announcing(hash("sha-256", sha256_of(certificate)));
  padded.append(document_bytes - padded.size(), ' ');
  EXPECT_TRUE(read(padded));
  EXPECT_FALSE(read(padded + " "));
  const auto many = [](std::size_t count) {
    std::string all;
    for (std::size_t i = 0; i < count; ++i) {
      all += (i == 0 ? "" : ",") + hash("sha-256", sha256_of(certificate));
    }
    return announcing(all);
  };
  EXPECT_TRUE(read(many(fingerprints_most - 1)));
  EXPECT_TRUE(read(many(fingerprints_most)));
  EXPECT_FALSE(read(many(fingerprints_most + 1)));
  EXPECT_FALSE(read(std::string(document_bytes, '[')));  // deeply nested, and no object
}

}  // namespace
}  // namespace comity::connection::posh
