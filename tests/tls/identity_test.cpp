#include "tls/identity.hpp"

#include <gtest/gtest.h>

#include <array>

namespace comity::tls {
namespace {

using enum identifier_kind;

identifier_kind match(const presented_identifiers& presented, const reference_identity& reference) {
  return match_identity(presented, std::array{reference}).kind;
}
identifier_kind match_dns(std::string presented, std::string_view name) {
  return match({.dns = {std::move(presented)}, .srv = {}, .xmpp = {}}, reference_identity::service_domain(name));
}
identifier_kind match_srv(std::string presented, std::string_view name, xmpp_service service = xmpp_service::server) {
  return match({.dns = {}, .srv = {std::move(presented)}, .xmpp = {}},
               reference_identity::service_domain(name, {}, service));
}
identifier_kind match_xmpp(std::string presented, std::string_view name, std::string_view unicode = {}) {
  return match({.dns = {}, .srv = {}, .xmpp = {std::move(presented)}},
               reference_identity::service_domain(name, unicode));
}

TEST(DnsId, MatchesTheWholeNameInAnyCase) {  // G04, G08, RFC 6125 §6.4.1
  EXPECT_EQ(dns_id, match_dns("a.example", "a.example"));
  EXPECT_EQ(dns_id, match_dns("A.eXaMpLe", "a.example"));
  EXPECT_EQ(dns_id, match_dns("a.example", "A.EXAMPLE"));
  EXPECT_EQ(dns_id, match_dns("xn--bcher-kva.example", "xn--bcher-kva.example"));
  EXPECT_EQ(dns_id, match_dns("localhost", "localhost"));
  for (const auto* other : {"b.example", "a.example.com", "example", "aa.example", "b.a.example", "a.exampl",
                            "a-example", "", ".", "a.example.", ".a.example", "a..example"}) {
    EXPECT_EQ(none, match_dns(other, "a.example")) << other;
  }
}

TEST(DnsId, OnlyAsciiCaseIsFolded) {  // G08: 'K' and the Kelvin sign, '[' and '{' stay what they are
  EXPECT_EQ(none, match_dns("\u212A.example", "k.example"));
  EXPECT_EQ(none, match_dns("a[.example", "a{.example"));
  EXPECT_EQ(none, match_dns("b\u00FCcher.example", "xn--bcher-kva.example"));
  EXPECT_EQ(none, match_dns("b\u00FCcher.example", "b\u00FCcher.example")) << "a DNS-ID is in A-labels";
}

TEST(DnsId, OctetsThatAreNoHostNameMatchNothing) {  // THREATS B8
  using namespace std::string_literals;
  for (const auto& name : {"a.example\0.evil.example"s, "a.example\0"s, "\0a.example"s, "x@a.example"s, "a.example/x"s,
                           " a.example"s, "a.example "s, "a.example\n"s, "a\\.example"s}) {
    EXPECT_EQ(none, match_dns(name, "a.example")) << name;
    EXPECT_EQ(none, match_dns(name, name)) << name;
  }
}

TEST(DnsId, AWildcardIsTheWholeLeftmostLabelAndStandsForOne) {  // G07, RFC 6125 §6.4.3
  EXPECT_EQ(dns_id, match_dns("*.d.example", "a.d.example"));
  EXPECT_EQ(dns_id, match_dns("*.D.example", "xn--bcher-kva.d.EXAMPLE"));
  for (const auto* other : {"d.example", "a.b.d.example", ".d.example", "a.example", "ad.example", "a.d.example.org"}) {
    EXPECT_EQ(none, match_dns("*.d.example", other)) << other;
  }
  for (const auto* pattern : {"f*.d.example", "*f.d.example", "f*o.d.example", "xn--*.d.example", "**.d.example",
                              "*.*.example", "foo.*.example", "foo.d.*", "*d.example", "*", "*.", ".*.d.example"}) {
    EXPECT_EQ(none, match_dns(pattern, "foo.d.example")) << pattern;
  }
}

TEST(DnsId, AWildcardNeverStandsBelowTheRoot) {  // THREATS B8
  EXPECT_EQ(none, match_dns("*.example", "d.example"));
  EXPECT_EQ(none, match_dns("*.org", "example.org"));
  EXPECT_EQ(none, match_dns("*", "localhost"));
}

TEST(DnsId, NoAddressIsAName) {  // RFC 6125 §1.7.2
  for (const auto* address : {"192.0.2.1", "[2001:db8::1]", "2001:db8::1", "1.2", "1"}) {
    EXPECT_EQ(none, match_dns(address, address)) << address;
    EXPECT_EQ(none, match_xmpp(address, address)) << address;
  }
  EXPECT_EQ(none, match_dns("*.0.2.1", "192.0.2.1"));
}

TEST(DnsId, LengthsAreThoseOfTheDns) {
  const std::string label(63, 'a');
  EXPECT_EQ(dns_id, match_dns(label + ".example", label + ".example"));
  EXPECT_EQ(none, match_dns(label + "a.example", label + "a.example"));
  const auto three = label + '.' + label + '.' + label + '.';
  EXPECT_EQ(dns_id, match_dns(three + std::string(61, 'b'), three + std::string(61, 'b')));
  EXPECT_EQ(none, match_dns(three + std::string(62, 'b'), three + std::string(62, 'b')));
}

TEST(SrvId, MatchesServiceAndNameInAnyCase) {  // G05, RFC 6125 §6.5.1, RFC 4985 §2
  EXPECT_EQ(srv_id, match_srv("_xmpp-server.a.example", "a.example"));
  EXPECT_EQ(srv_id, match_srv("_XMPP-Server.A.Example", "a.example"));
  EXPECT_EQ(srv_id, match_srv("_xmpp-client.a.example", "a.example", xmpp_service::client));
}

TEST(SrvId, OfAnotherServiceOrNameOrWithAWildcardMatchesNothing) {  // G10
  for (const auto* other :
       {"_xmpp-client.a.example", "_xmpps-server.a.example", "_xmpp-server.b.example", "_xmpp-server.*.example",
        "_xmpp-server.x.a.example", "_xmpp-server.a.example.", "_xmpp-server.", "_xmpp-server", "xmpp-server.a.example",
        "_xmpp-server._tcp.a.example", "_imap.a.example", "a.example", "*.a.example", ""}) {
    EXPECT_EQ(none, match_srv(other, "a.example")) << other;
  }
  EXPECT_EQ(none, match_srv("_xmpp-server.*.a.example", "x.a.example"));
  EXPECT_EQ(none, match_srv("_xmpp-server.a.example", "a.example", xmpp_service::client));
}

TEST(XmppAddr, MatchesADomainpartAlone) {  // G06, RFC 6120 §13.7.1.4
  EXPECT_EQ(xmpp_addr, match_xmpp("a.example", "a.example"));
  EXPECT_EQ(xmpp_addr, match_xmpp("A.Example", "a.example"));
  for (const auto* other : {"user@a.example", "a.example/resource", "user@a.example/resource", "@a.example",
                            "a.example/", "*.example", "b.example", "a.example.", ""}) {
    EXPECT_EQ(none, match_xmpp(other, "a.example")) << other;
  }
  EXPECT_EQ(none, match_xmpp("*.a.example", "x.a.example"));
}

TEST(XmppAddr, MayBeInUnicodeOrInALabels) {  // G08
  EXPECT_EQ(xmpp_addr, match_xmpp("b\u00FCcher.example", "xn--bcher-kva.example", "b\u00FCcher.example"));
  EXPECT_EQ(xmpp_addr, match_xmpp("xn--bcher-kva.example", "xn--bcher-kva.example", "b\u00FCcher.example"));
  EXPECT_EQ(none, match_xmpp("b\u00FCcher.example", "xn--bcher-kva.example"));
  EXPECT_EQ(none, match_xmpp("", "a.example", ""));
}

TEST(Identity, ATargetHostHasDnsIdsAlone) {  // B12
  const auto host = reference_identity::target_host("x.example");
  EXPECT_EQ(dns_id, match({.dns = {"x.example"}, .srv = {}, .xmpp = {}}, host));
  EXPECT_EQ(none, match({.dns = {}, .srv = {"_xmpp-server.x.example"}, .xmpp = {"x.example"}}, host));
}

TEST(Identity, TellsWhichNameMatchedWhichReference) {
  const presented_identifiers presented{
      .dns = {"y.example", "*.hosting.example"}, .srv = {"_xmpp-server.b.example"}, .xmpp = {"c.example"}};
  const std::array references{reference_identity::service_domain("a.example"),
                              reference_identity::target_host("x1.hosting.example")};
  const auto m = match_identity(presented, references);
  EXPECT_EQ(dns_id, m.kind);
  EXPECT_EQ("*.hosting.example", m.presented);
  EXPECT_EQ(1U, m.reference);
  EXPECT_FALSE(match_identity(presented, std::span{references}.first(1)));
  EXPECT_FALSE(match_identity(presented, {}));
  EXPECT_FALSE(match_identity({}, references));
}

}  // namespace
}  // namespace comity::tls
