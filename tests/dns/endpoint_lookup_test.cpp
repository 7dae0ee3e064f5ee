#include "dns/endpoint_lookup.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "dns/answers.hpp"

namespace comity::dns {
namespace {

target behind_srv(security delegation) {
  return {.host = "xmpp.example",
          .port = 5270,
          .direct_tls = true,
          .source = endpoint_source::srv_xmpps,
          .delegation = delegation};
}
target at_domain() {
  return {.host = "example.org", .port = 5269, .source = endpoint_source::fallback};
}

const answer v4 = address_answer(record_type::a, {"192.0.2.1", "192.0.2.2"}, security::secure, "xmpp.example");
const answer v6 = address_answer(record_type::aaaa, {"2001:db8::1"}, security::secure, "xmpp.example");
const answer no_v4 = answer_of(record_type::a, outcome::nodata);
const answer no_v6 = answer_of(record_type::aaaa, outcome::nodata);
const tlsa_record pinned{3, 1, 1, std::string(32, 'k')};
const query tlsa_here{"_5270._tcp.xmpp.example", record_type::tlsa};

std::vector<std::string> texts(const std::vector<address>& addresses) {
  std::vector<std::string> all;
  for (const auto& a : addresses) {
    all.push_back(a.text());
  }
  return all;
}

TEST(EndpointLookup, AsksForBothFamiliesAtOnce) {  // C01, A12
  endpoint_lookup lookup{behind_srv(security::insecure)};
  EXPECT_EQ(lookup.start(),
            (std::vector<query>{{"xmpp.example", record_type::aaaa}, {"xmpp.example", record_type::a}}));
  EXPECT_EQ(lookup.known(), nullptr);
  EXPECT_FALSE(lookup.finished());
}

TEST(EndpointLookup, GivesEachAddressOfBothFamilies) {  // A12
  endpoint_lookup lookup{behind_srv(security::insecure)};
  (void)lookup.start();
  EXPECT_EQ(lookup.on(v6), std::nullopt);
  EXPECT_EQ(lookup.on(v4), std::nullopt);
  ASSERT_NE(lookup.known(), nullptr);
  EXPECT_TRUE(lookup.finished());
  EXPECT_TRUE(lookup.known()->complete());
  EXPECT_EQ(texts(lookup.known()->v4), (std::vector<std::string>{"192.0.2.1", "192.0.2.2"}));
  EXPECT_EQ(texts(lookup.known()->v6), std::vector<std::string>{"2001:db8::1"});
}

TEST(EndpointLookup, SaysWhichFamilyIsStillToCome) {  // C01, RFC 8305 §3
  endpoint_lookup lookup{behind_srv(security::insecure)};
  (void)lookup.start();
  (void)lookup.on(v4);
  ASSERT_NE(lookup.known(), nullptr);
  EXPECT_TRUE(lookup.known()->awaiting_v6);
  EXPECT_FALSE(lookup.known()->awaiting_v4);
  EXPECT_FALSE(lookup.known()->complete());
  (void)lookup.on(v6);
  EXPECT_TRUE(lookup.known()->complete());
  EXPECT_EQ(lookup.known()->v6.size(), 1U);
}

TEST(EndpointLookup, AsksForTlsaWhereTheDelegationAndTheAddressesAreSecure) {  // B04, B07, RFC 7673 §3.2, §3.3
  for (const auto& [first, second] : {std::pair{v4, v6}, std::pair{v6, v4}}) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    EXPECT_EQ(lookup.on(first), tlsa_here);
    EXPECT_EQ(lookup.known(), nullptr);
    EXPECT_EQ(lookup.on(second), std::nullopt);  // once
    EXPECT_EQ(lookup.known(), nullptr);
    EXPECT_EQ(lookup.on(tlsa_answer({pinned})), std::nullopt);
    ASSERT_NE(lookup.known(), nullptr);
    EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::secure);
    EXPECT_EQ(lookup.known()->tlsa, std::vector{pinned});
    EXPECT_EQ(lookup.known()->tlsa_base, "xmpp.example");
    EXPECT_EQ(lookup.known()->security, security::secure);
    EXPECT_TRUE(lookup.finished());
  }
}

TEST(EndpointLookup, AsksForTlsaWithAnyOneFamily) {  // B04: "if a returned RRset is secure"
  endpoint_lookup lookup{behind_srv(security::secure)};
  (void)lookup.start();
  EXPECT_EQ(lookup.on(no_v4), std::nullopt);
  EXPECT_EQ(lookup.on(v6), tlsa_here);
  (void)lookup.on(tlsa_answer({pinned}));
  EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::secure);
}

TEST(EndpointLookup, IsKnownBySecureRecordsBeforeTheOtherFamilyComes) {  // C01, B04
  endpoint_lookup lookup{behind_srv(security::secure)};
  (void)lookup.start();
  (void)lookup.on(v4);
  (void)lookup.on(tlsa_answer({pinned}));
  ASSERT_NE(lookup.known(), nullptr);
  EXPECT_TRUE(lookup.known()->awaiting_v6);
  EXPECT_FALSE(lookup.finished());
  (void)lookup.on(v6);
  EXPECT_EQ(lookup.known()->v6.size(), 1U);
  EXPECT_EQ(lookup.known()->tlsa, std::vector{pinned});
  EXPECT_TRUE(lookup.finished());
}

TEST(EndpointLookup, AsksForNoTlsaBehindAnSrvRecordThatIsNotSecure) {  // B03, THREATS E5
  for (const auto delegation : {security::insecure, security::none}) {
    endpoint_lookup lookup{behind_srv(delegation)};
    (void)lookup.start();
    EXPECT_EQ(lookup.on(v4), std::nullopt);
    EXPECT_EQ(lookup.on(v6), std::nullopt);
    ASSERT_NE(lookup.known(), nullptr);
    EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::none);
    EXPECT_EQ(lookup.known()->fault, lookup_fault::none);
  }
}

TEST(EndpointLookup, AsksForNoTlsaWhereNoAddressIsSecure) {  // B05
  for (const auto s : {security::insecure, security::none}) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    EXPECT_EQ(lookup.on(address_answer(record_type::a, {"192.0.2.1"}, s, "xmpp.example")), std::nullopt);
    // Not before the other family has come: its answer may be the secure one.
    EXPECT_EQ(lookup.known(), nullptr);
    EXPECT_EQ(lookup.on(no_v6), std::nullopt);
    ASSERT_NE(lookup.known(), nullptr);
    EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::none);
    EXPECT_EQ(lookup.known()->security, s);
  }
}

TEST(EndpointLookup, AsksForTlsaWhereOnlyTheSecondFamilyIsSecure) {  // B04
  endpoint_lookup lookup{behind_srv(security::secure)};
  (void)lookup.start();
  (void)lookup.on(address_answer(record_type::aaaa, {"2001:db8::1"}, security::insecure, "xmpp.example"));
  EXPECT_EQ(lookup.on(v4), tlsa_here);
  EXPECT_EQ(lookup.known(), nullptr);
  (void)lookup.on(tlsa_answer({pinned}));
  EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::secure);
  EXPECT_EQ(lookup.known()->security, security::secure);
}

TEST(EndpointLookup, IsAsSecureAsTheBetterFamily) {  // B04
  for (const auto second : {security::insecure, security::secure}) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    EXPECT_EQ(lookup.on(v4), tlsa_here);
    EXPECT_EQ(lookup.on(address_answer(record_type::aaaa, {"2001:db8::1"}, second, "xmpp.example")), std::nullopt);
    (void)lookup.on(tlsa_answer({pinned}));
    EXPECT_EQ(lookup.known()->security, security::secure);
    EXPECT_EQ(lookup.known()->tlsa, std::vector{pinned});
  }
}

TEST(EndpointLookup, DoesNotConnectToABogusAddress) {  // B06, E4
  for (const auto type : {record_type::a, record_type::aaaa}) {
    const auto bogus = answer_of(type, outcome::bogus);
    const auto& good = type == record_type::a ? v6 : v4;
    for (const bool bogus_first : {true, false}) {
      endpoint_lookup lookup{behind_srv(security::secure)};
      (void)lookup.start();
      (void)lookup.on(bogus_first ? bogus : good);
      (void)lookup.on(bogus_first ? good : bogus);
      ASSERT_NE(lookup.known(), nullptr);
      EXPECT_EQ(lookup.known()->fault, lookup_fault::bogus);
      EXPECT_EQ(lookup.known()->why, bogus.why);
      EXPECT_TRUE(lookup.known()->v4.empty());
      EXPECT_TRUE(lookup.known()->v6.empty());
      EXPECT_TRUE(lookup.finished());
      EXPECT_EQ(lookup.on(tlsa_answer({pinned})), std::nullopt);  // late: changes nothing
      EXPECT_EQ(lookup.known()->fault, lookup_fault::bogus);
      EXPECT_TRUE(lookup.known()->tlsa.empty());
    }
  }
}

TEST(EndpointLookup, TakesBackWhatItKnewWhenTheOtherFamilyProvesBogus) {  // B06, E4
  endpoint_lookup lookup{behind_srv(security::insecure)};
  (void)lookup.start();
  (void)lookup.on(v4);
  ASSERT_EQ(lookup.known()->fault, lookup_fault::none);
  (void)lookup.on(answer_of(record_type::aaaa, outcome::bogus));
  EXPECT_EQ(lookup.known()->fault, lookup_fault::bogus);
  EXPECT_TRUE(lookup.known()->v4.empty());
}

TEST(EndpointLookup, UsesOneFamilyWhereTheOtherIsNotAnswered) {  // B06 and C01: a server that drops AAAA
  for (const auto failure : {outcome::servfail, outcome::timeout}) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    EXPECT_EQ(lookup.on(v4), tlsa_here);
    (void)lookup.on(tlsa_answer({pinned}));
    (void)lookup.on(answer_of(record_type::aaaa, failure));
    ASSERT_NE(lookup.known(), nullptr);
    EXPECT_EQ(lookup.known()->fault, lookup_fault::none);
    EXPECT_EQ(lookup.known()->v4.size(), 2U);
    EXPECT_EQ(lookup.known()->tlsa, std::vector{pinned});
    EXPECT_TRUE(lookup.finished());
  }
}

TEST(EndpointLookup, SaysWhyThereIsNoAddress) {  // B06, E3
  const auto failing = [](outcome a, outcome aaaa) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    EXPECT_EQ(lookup.on(answer_of(record_type::a, a)), std::nullopt);
    EXPECT_EQ(lookup.on(answer_of(record_type::aaaa, aaaa)), std::nullopt);
    EXPECT_TRUE(lookup.finished());
    EXPECT_FALSE(lookup.known()->why.empty());
    return lookup.known()->fault;
  };
  EXPECT_EQ(failing(outcome::nodata, outcome::nodata), lookup_fault::no_address);
  EXPECT_EQ(failing(outcome::nxdomain, outcome::nxdomain), lookup_fault::nxdomain);
  EXPECT_EQ(failing(outcome::nodata, outcome::timeout), lookup_fault::timeout);
  EXPECT_EQ(failing(outcome::servfail, outcome::nxdomain), lookup_fault::servfail);
  EXPECT_EQ(failing(outcome::servfail, outcome::servfail), lookup_fault::servfail);
  EXPECT_EQ(failing(outcome::cancelled, outcome::cancelled), lookup_fault::cancelled);
}

TEST(EndpointLookup, DoesNotConnectWhereTlsaIsNotAnswered) {  // B09, RFC 7673 §3.4, THREATS E5
  for (const auto failure : {outcome::bogus, outcome::servfail, outcome::timeout, outcome::cancelled}) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    (void)lookup.on(v4);
    (void)lookup.on(no_v6);
    EXPECT_EQ(lookup.on(answer_of(record_type::tlsa, failure)), std::nullopt);
    ASSERT_NE(lookup.known(), nullptr);
    EXPECT_EQ(lookup.known()->fault, fault_of(failure));
    EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::failed);
    EXPECT_TRUE(lookup.known()->v4.empty());
    EXPECT_FALSE(lookup.known()->why.empty());
  }
}

TEST(EndpointLookup, GoesOnWithoutTlsaWhereThereIsNoneOrItIsInsecure) {  // B10
  struct row {
    answer given;
    tlsa_outcome expected;
  };
  for (const auto& [given, expected] :
       {row{answer_of(record_type::tlsa, outcome::nodata), tlsa_outcome::none},
        row{answer_of(record_type::tlsa, outcome::nxdomain), tlsa_outcome::none},
        row{answer_of(record_type::tlsa, outcome::nodata, security::insecure), tlsa_outcome::none},
        row{tlsa_answer({pinned}, security::insecure), tlsa_outcome::insecure},
        row{tlsa_answer({pinned}, security::none), tlsa_outcome::insecure}}) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    (void)lookup.on(v4);
    (void)lookup.on(no_v6);
    EXPECT_EQ(lookup.on(given), std::nullopt);
    ASSERT_NE(lookup.known(), nullptr);
    EXPECT_EQ(lookup.known()->fault, lookup_fault::none);
    EXPECT_EQ(lookup.known()->tlsa_outcome, expected);
    EXPECT_TRUE(lookup.known()->tlsa.empty());
    EXPECT_EQ(texts(lookup.known()->v4).size(), 2U);
  }
}

TEST(EndpointLookup, FindsTlsaWhereTheAliasesEnd) {  // B19, RFC 7671 §7
  endpoint_lookup lookup{behind_srv(security::secure)};
  (void)lookup.start();
  EXPECT_EQ(lookup.on(address_answer(record_type::a, {"192.0.2.1"}, security::secure, "host.provider.example")),
            (query{"_5270._tcp.host.provider.example", record_type::tlsa}));
  (void)lookup.on(no_v6);
  EXPECT_EQ(lookup.on(tlsa_answer({pinned})), std::nullopt);
  EXPECT_EQ(lookup.known()->tlsa_base, "host.provider.example");
  EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::secure);
}

TEST(EndpointLookup, FindsTlsaAtItsOwnNameWhereTheAliasesEndInNone) {  // B19, RFC 7671 §7
  for (const auto& at_alias : {answer_of(record_type::tlsa, outcome::nxdomain),
                               answer_of(record_type::tlsa, outcome::nodata, security::insecure),
                               tlsa_answer({{3, 1, 1, "other"}}, security::insecure)}) {
    endpoint_lookup lookup{behind_srv(security::secure)};
    (void)lookup.start();
    (void)lookup.on(address_answer(record_type::a, {"192.0.2.1"}, security::secure, "host.provider.example"));
    (void)lookup.on(no_v6);
    EXPECT_EQ(lookup.on(at_alias), tlsa_here);
    EXPECT_EQ(lookup.known(), nullptr);
    (void)lookup.on(tlsa_answer({pinned}));
    ASSERT_NE(lookup.known(), nullptr);
    EXPECT_EQ(lookup.known()->tlsa_base, "xmpp.example");
    EXPECT_EQ(lookup.known()->tlsa, std::vector{pinned});
    EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::secure);
  }
}

TEST(EndpointLookup, RemembersInsecureRecordsOfAnAlias) {  // B10, B19
  endpoint_lookup lookup{behind_srv(security::secure)};
  (void)lookup.start();
  (void)lookup.on(address_answer(record_type::a, {"192.0.2.1"}, security::secure, "host.provider.example"));
  (void)lookup.on(no_v6);
  (void)lookup.on(tlsa_answer({pinned}, security::insecure));
  (void)lookup.on(answer_of(record_type::tlsa, outcome::nodata));
  EXPECT_EQ(lookup.known()->tlsa_outcome, tlsa_outcome::insecure);
  EXPECT_EQ(lookup.known()->tlsa_base, "xmpp.example");
}

TEST(EndpointLookup, DoesNotLookElsewhereWhereTlsaOfTheAliasIsNotAnswered) {  // B09, B19: a downgrade otherwise
  endpoint_lookup lookup{behind_srv(security::secure)};
  (void)lookup.start();
  (void)lookup.on(address_answer(record_type::a, {"192.0.2.1"}, security::secure, "host.provider.example"));
  (void)lookup.on(no_v6);
  EXPECT_EQ(lookup.on(answer_of(record_type::tlsa, outcome::servfail)), std::nullopt);
  EXPECT_EQ(lookup.known()->fault, lookup_fault::servfail);
}

TEST(EndpointLookup, FollowsNoAliasThatIsNotSecure) {  // B05, B19: an insecure alias leaves no secure address
  endpoint_lookup lookup{behind_srv(security::secure)};
  (void)lookup.start();
  EXPECT_EQ(lookup.on(address_answer(record_type::a, {"192.0.2.1"}, security::insecure, "host.provider.example")),
            std::nullopt);
  EXPECT_EQ(lookup.on(no_v6), std::nullopt);
  EXPECT_EQ(lookup.known()->tlsa_base, "xmpp.example");
}

TEST(EndpointLookup, ProvesADomainWithoutSrvByItsOwnTlsa) {  // K01, RFC 7712 §5.1
  endpoint_lookup lookup{at_domain()};
  (void)lookup.start();
  EXPECT_EQ(lookup.on(address_answer(record_type::a, {"192.0.2.1"}, security::secure, "example.org")),
            (query{"_5269._tcp.example.org", record_type::tlsa}));
}

TEST(EndpointLookup, ProvesTheHostThatTheOperatorNamesByItsTlsa) {  // A13
  endpoint_lookup lookup{{.host = "xmpp.example", .port = 5270, .source = endpoint_source::override}};
  EXPECT_EQ(lookup.start().size(), 2U);
  EXPECT_EQ(lookup.on(v4), tlsa_here);
}

TEST(EndpointLookup, AsksNothingForAnAddress) {  // A13
  for (const auto source : {endpoint_source::override, endpoint_source::fallback}) {
    for (const std::string host : {"192.0.2.7", "2001:db8::7"}) {
      endpoint_lookup lookup{{.host = host, .port = 5269, .source = source}};
      EXPECT_TRUE(lookup.start().empty());
      EXPECT_TRUE(lookup.finished());
      ASSERT_NE(lookup.known(), nullptr);
      EXPECT_TRUE(lookup.known()->complete());
      EXPECT_EQ(lookup.known()->security, security::none);
      EXPECT_EQ(texts(host.contains(':') ? lookup.known()->v6 : lookup.known()->v4), std::vector{host});
    }
  }
}

TEST(EndpointLookup, TakesNoTargetOfARecordForAnAddress) {  // THREATS E1: a name is resolved, whatever it looks like
  endpoint_lookup lookup{
      {.host = "127.0.0.1", .port = 5269, .source = endpoint_source::srv_xmpp, .delegation = security::secure}};
  EXPECT_EQ(lookup.start().size(), 2U);
  EXPECT_EQ(lookup.known(), nullptr);
}

TEST(EndpointLookup, KeepsNoMoreAddressesThanAreTried) {  // E2: L-1, L, L+1
  for (const std::size_t count : {addresses_limit - 1, addresses_limit, addresses_limit + 1}) {
    std::vector<std::string> many;
    for (std::size_t i = 0; i < count; ++i) {
      many.push_back("192.0.2." + std::to_string(i));
    }
    endpoint_lookup lookup{behind_srv(security::insecure)};
    (void)lookup.start();
    (void)lookup.on(address_answer(record_type::a, many, security::insecure));
    EXPECT_EQ(lookup.known()->v4.size(), std::min(count, addresses_limit)) << count;
  }
}

TEST(EndpointLookup, EndsWellWhateverOrderTheAnswersComeIn) {
  // Every order of three answers of every kind: never connectable without all that its security asks for.
  const std::vector<answer> as{v4, no_v4, answer_of(record_type::a, outcome::bogus),
                               answer_of(record_type::a, outcome::timeout),
                               address_answer(record_type::a, {"192.0.2.1"}, security::insecure)};
  const std::vector<answer> aaaas{v6, no_v6, answer_of(record_type::aaaa, outcome::bogus),
                                  answer_of(record_type::aaaa, outcome::servfail)};
  const std::vector<answer> tlsas{tlsa_answer({pinned}), answer_of(record_type::tlsa, outcome::nodata),
                                  answer_of(record_type::tlsa, outcome::bogus)};
  for (const auto& a : as) {
    for (const auto& aaaa : aaaas) {
      for (const auto& tlsa : tlsas) {
        for (int order = 0; order < 3; ++order) {  // TLSA in the middle where it is asked for by then, or last
          endpoint_lookup lookup{behind_srv(security::secure)};
          (void)lookup.start();
          bool asked = lookup.on(order == 1 ? aaaa : a).has_value();
          bool given = false;
          if (order == 2 && asked) {
            (void)lookup.on(tlsa);
            given = true;
          }
          asked = lookup.on(order == 1 ? a : aaaa).has_value() || asked;
          if (asked && !given) {
            EXPECT_TRUE(lookup.known() == nullptr || lookup.known()->fault == lookup_fault::bogus);
            (void)lookup.on(tlsa);
          }
          ASSERT_TRUE(lookup.finished());
          ASSERT_NE(lookup.known(), nullptr);
          const auto& known = *lookup.known();
          const bool any_bogus = a.result == outcome::bogus || aaaa.result == outcome::bogus;
          const bool any_secure = a.addresses.size() == 2 || !aaaa.addresses.empty();
          EXPECT_EQ(known.fault == lookup_fault::bogus, any_bogus || (any_secure && tlsa.result == outcome::bogus));
          EXPECT_EQ(known.tlsa_outcome == tlsa_outcome::secure && known.fault == lookup_fault::none,
                    any_secure && !any_bogus && tlsa.result == outcome::records);
          EXPECT_EQ(known.fault == lookup_fault::none, !known.v4.empty() || !known.v6.empty());
        }
      }
    }
  }
}

}  // namespace
}  // namespace comity::dns
