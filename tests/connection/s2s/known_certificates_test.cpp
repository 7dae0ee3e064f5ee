#include "connection/s2s/known_certificates.hpp"

#include <gtest/gtest.h>

namespace comity::connection {
namespace {

using enum direction;

TEST(KnownCertificates, TellsOfAChangeAndOfNothingElse) {  // L11, RFC 7590 §3.6
  known_certificates known;
  EXPECT_EQ(known.seen("far.example", outbound, "a"), std::nullopt);
  EXPECT_EQ(known.seen("far.example", outbound, "a"), std::nullopt);
  EXPECT_EQ(known.seen("far.example", outbound, "b"), "a");
  EXPECT_EQ(known.seen("far.example", outbound, "b"), std::nullopt);
  EXPECT_EQ(known.seen("far.example", inbound, "c"), std::nullopt) << "the other way it may show another";
  EXPECT_EQ(known.seen("other.example", outbound, "c"), std::nullopt);
}

TEST(KnownCertificates, TakesTheMachinesOfOneServiceForOne) {
  known_certificates known;
  (void)known.seen("far.example", outbound, "a");
  EXPECT_EQ(known.seen("far.example", outbound, "b"), "a");
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(known.seen("far.example", outbound, "a"), std::nullopt);
    EXPECT_EQ(known.seen("far.example", outbound, "b"), std::nullopt);
  }
}

TEST(KnownCertificates, RemembersFourOfADomainAndNotFive) {  // L-1, L, L+1
  known_certificates known;
  for (const auto* each : {"a", "b", "c", "d"}) {
    (void)known.seen("far.example", outbound, each);
  }
  EXPECT_EQ(known.seen("far.example", outbound, "a"), std::nullopt);  // now: a d c b
  EXPECT_EQ(known.seen("far.example", outbound, "e"), "a");           // now: e a d c
  EXPECT_EQ(known.seen("far.example", outbound, "b"), "e");
}

TEST(KnownCertificates, RemembersAsManyDomainsAsItsLimit) {
  known_certificates known{2};
  (void)known.seen("a.example", outbound, "1");
  (void)known.seen("b.example", outbound, "1");
  (void)known.seen("a.example", outbound, "1");
  (void)known.seen("c.example", outbound, "1");
  EXPECT_EQ(known.size(), 2U);
  EXPECT_EQ(known.seen("a.example", outbound, "2"), "1") << "seen last but one, so kept";
  EXPECT_EQ(known.seen("b.example", outbound, "2"), std::nullopt) << "forgotten";
}

}  // namespace
}  // namespace comity::connection
