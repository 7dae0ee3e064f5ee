#include "dns/service_lookup.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dns/answers.hpp"

namespace comity::dns {
namespace {

/// Draws the first of those that have weight, in the order of their weights.
const random_draw lowest = [](std::uint32_t greatest) { return std::min(greatest, std::uint32_t{1}); };

const answer none = answer_of(record_type::srv, outcome::nodata);
const answer not_offered = srv_answer({{0, 0, 0, ""}});

std::vector<target> flat(const service_plan& plan) {
  std::vector<target> all;
  for (const auto& group : plan.groups) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

TEST(ServiceLookup, AsksForBothSetsOfTheDomain) {  // A01
  const auto server = queries_for("xn--bcher-kva.example");
  EXPECT_EQ(server.xmpp, (query{"_xmpp-server._tcp.xn--bcher-kva.example", record_type::srv}));
  EXPECT_EQ(server.xmpps, (query{"_xmpps-server._tcp.xn--bcher-kva.example", record_type::srv}));
  const auto client = queries_for("example.org", service::client);
  EXPECT_EQ(client.xmpp, (query{"_xmpp-client._tcp.example.org", record_type::srv}));
  EXPECT_EQ(client.xmpps, (query{"_xmpps-client._tcp.example.org", record_type::srv}));
}

TEST(ServiceLookup, AsksForAComponentByItsOwnName) {  // A16, RFC 6120 §3.2.4
  EXPECT_EQ(queries_for("conference.example.org").xmpp.name, "_xmpp-server._tcp.conference.example.org");
}

TEST(ServiceLookup, MixesBothSetsByPriority) {  // A02, A03, A14
  const auto plan = plan_of("example.org", srv_answer({{10, 0, 5269, "b.example"}, {1, 0, 5269, "a.example"}}),
                            srv_answer({{5, 0, 5270, "a.example"}, {20, 0, 443, "c.example"}}), lowest);
  ASSERT_EQ(plan.fault, lookup_fault::none);
  ASSERT_EQ(plan.groups.size(), 4U);
  const auto at = [&](std::size_t i) { return plan.groups[i].at(0); };
  EXPECT_EQ(at(0), (target{"a.example", 5269, false, 1, 0, endpoint_source::srv_xmpp, security::secure}));
  EXPECT_EQ(at(1), (target{"a.example", 5270, true, 5, 0, endpoint_source::srv_xmpps, security::secure}));
  EXPECT_EQ(at(2), (target{"b.example", 5269, false, 10, 0, endpoint_source::srv_xmpp, security::secure}));
  EXPECT_EQ(at(3), (target{"c.example", 443, true, 20, 0, endpoint_source::srv_xmpps, security::secure}));
}

TEST(ServiceLookup, DrawsByWeightOverBothSetsOfOnePriority) {  // A02, A04, C04
  const auto xmpp = srv_answer({{1, 30, 5269, "starttls.example"}});
  const auto xmpps = srv_answer({{1, 70, 5270, "direct.example"}});
  const auto drawing = [](std::uint32_t first) {
    return [first](std::uint32_t greatest) {
      EXPECT_EQ(greatest, 100U);
      return first;
    };
  };
  EXPECT_EQ(plan_of("example.org", xmpp, xmpps, drawing(30)).groups.at(0).at(0).host, "starttls.example");
  EXPECT_EQ(plan_of("example.org", xmpp, xmpps, drawing(31)).groups.at(0).at(0).host, "direct.example");
}

TEST(ServiceLookup, OrdersAlikeWhateverDnssecSays) {  // B18, RFC 7673 §9.1
  const auto hosts = [](security xmpp, security xmpps) {
    std::vector<std::string> all;
    for (const auto& t : flat(plan_of("example.org", srv_answer({{1, 5, 1, "a"}, {1, 9, 2, "b"}, {3, 1, 3, "c"}}, xmpp),
                                      srv_answer({{1, 7, 4, "d"}, {2, 1, 5, "e"}}, xmpps), lowest))) {
      all.push_back(t.host);
    }
    return all;
  };
  const auto all_secure = hosts(security::secure, security::secure);
  EXPECT_EQ(all_secure.size(), 5U);
  EXPECT_EQ(hosts(security::insecure, security::secure), all_secure);
  EXPECT_EQ(hosts(security::secure, security::insecure), all_secure);
  EXPECT_EQ(hosts(security::none, security::none), all_secure);
}

TEST(ServiceLookup, KeepsWithEachTargetWhatItsOwnAnswerIsWorth) {  // B01, B03, K04
  const auto plan = plan_of("example.org", srv_answer({{1, 0, 5269, "a.example"}}, security::insecure),
                            srv_answer({{2, 0, 5270, "b.example"}}, security::secure), lowest);
  EXPECT_EQ(plan.groups.at(0).at(0).delegation, security::insecure);
  EXPECT_EQ(plan.groups.at(1).at(0).delegation, security::secure);
  EXPECT_EQ(plan.security, security::insecure);
}

// What each pair of answers comes to, by the rule that says so.
enum class kind { records, dot, nodata, nxdomain, servfail, bogus, timeout, cancelled };
constexpr std::array all_kinds{kind::records,  kind::dot,   kind::nodata,  kind::nxdomain,
                               kind::servfail, kind::bogus, kind::timeout, kind::cancelled};

answer made(kind k, bool xmpps) {
  switch (k) {
    case kind::records:
      return srv_answer({{1, 1, 5000, xmpps ? "direct.example" : "starttls.example"}});
    case kind::dot:
      return not_offered;
    case kind::nodata:
      return answer_of(record_type::srv, outcome::nodata);
    case kind::nxdomain:
      return answer_of(record_type::srv, outcome::nxdomain);
    case kind::servfail:
      return answer_of(record_type::srv, outcome::servfail);
    case kind::bogus:
      return answer_of(record_type::srv, outcome::bogus);
    case kind::timeout:
      return answer_of(record_type::srv, outcome::timeout);
    case kind::cancelled:
      return answer_of(record_type::srv, outcome::cancelled);
  }
  return {};
}

struct expectation {
  lookup_fault fault;
  std::vector<std::string> hosts;
  const char* rule;
};

bool is_failed(kind k) {
  return k == kind::servfail || k == kind::bogus || k == kind::timeout || k == kind::cancelled;
}

lookup_fault fault_of_kind(kind k) {
  static const std::map<kind, lookup_fault> faults{{kind::servfail, lookup_fault::servfail},
                                                   {kind::bogus, lookup_fault::bogus},
                                                   {kind::timeout, lookup_fault::timeout},
                                                   {kind::cancelled, lookup_fault::cancelled}};
  return faults.at(k);
}

expectation specified(kind xmpp, kind xmpps) {
  const bool xmpp_absent = xmpp == kind::nodata || xmpp == kind::nxdomain;
  const bool xmpps_absent = xmpps == kind::nodata || xmpps == kind::nxdomain;
  if (xmpp == kind::bogus || xmpps == kind::bogus) {
    return {lookup_fault::bogus, {}, "B02, E4: bogus aborts, whatever the other set has"};
  }
  if (is_failed(xmpp)) {
    return {fault_of_kind(xmpp), {}, "A11, B02, E3: a failure is never 'no records'"};
  }
  if (is_failed(xmpps)) {
    return {fault_of_kind(xmpps), {}, "A11, B02, E3: a failure is never 'no records'"};
  }
  if (xmpp_absent && xmpps_absent) {
    return {lookup_fault::none, {"example.org"}, "A10: the domain's own addresses"};
  }
  if (xmpp == kind::records && xmpps == kind::records) {
    return {lookup_fault::none, {"direct.example", "starttls.example"}, "A02: one list"};
  }
  if (xmpp == kind::records) {
    return {lookup_fault::none, {"starttls.example"}, "A06: '.' means no direct TLS, and so does no record"};
  }
  if (xmpps == kind::records) {
    return {lookup_fault::none, {"direct.example"}, "A05: '.' aborts that service, not the other"};
  }
  if (xmpp == kind::dot && xmpps == kind::dot) {
    return {lookup_fault::srv_unavailable, {}, "A08: no attempt at all"};
  }
  return {lookup_fault::srv_unavailable, {}, xmpp == kind::dot ? "A05: aborted" : "A07: no fallback"};
}

TEST(ServiceLookup, DecidesEveryPairOfAnswersByItsRule) {  // A05, A06, A07, A08, A10, A11, B02, E2, E3, E4
  std::set<std::string> rules;
  for (const kind xmpp : all_kinds) {
    for (const kind xmpps : all_kinds) {
      const auto expected = specified(xmpp, xmpps);
      const auto plan = plan_of("example.org", made(xmpp, false), made(xmpps, true), lowest);
      rules.insert(expected.rule);
      SCOPED_TRACE(testing::Message() << int(xmpp) << " with " << int(xmpps) << ": " << expected.rule);
      EXPECT_EQ(plan.fault, expected.fault);
      std::vector<std::string> hosts;
      for (const auto& t : flat(plan)) {
        hosts.push_back(t.host);
        EXPECT_EQ(t.direct_tls, t.host == "direct.example");  // A14
      }
      std::ranges::sort(hosts);
      EXPECT_EQ(hosts, expected.hosts);
      EXPECT_EQ(plan.why.empty(), plan.fault == lookup_fault::none);
    }
  }
  EXPECT_EQ(rules.size(), 9U);
}

TEST(ServiceLookup, FallsBackToTheDomainWithStarttlsAtTheDefaultPort) {  // A10, RFC 6120 §3.2.2
  EXPECT_EQ(flat(plan_of("example.org", none, none, lowest)),
            (std::vector{target{"example.org", 5269, false, 0, 0, endpoint_source::fallback, security::none}}));
  EXPECT_EQ(flat(plan_of("example.org", none, none, lowest, service::client)).at(0).port, 5222);
  EXPECT_EQ(plan_of("example.org", none, none, lowest).security, security::secure);
  EXPECT_EQ(
      plan_of("example.org", answer_of(record_type::srv, outcome::nxdomain, security::insecure), none, lowest).security,
      security::insecure);
}

TEST(ServiceLookup, SkipsTheRootAmongRealRecords) {  // A08
  const auto plan = plan_of("example.org", srv_answer({{0, 0, 0, ""}, {1, 1, 5269, "a.example"}}), not_offered, lowest);
  ASSERT_EQ(plan.fault, lookup_fault::none);
  ASSERT_EQ(flat(plan).size(), 1U);
  EXPECT_EQ(flat(plan)[0].host, "a.example");
}

TEST(ServiceLookup, NeverFallsBackOnceThereWasAnAnswer) {  // A09, E2: "." alone, twice, or nothing that can be used
  for (const auto& xmpp :
       {not_offered, srv_answer({{0, 0, 0, ""}, {5, 5, 0, ""}}), srv_answer({{1, 1, 0, "a.example"}})}) {
    const auto plan = plan_of("example.org", xmpp, none, lowest);
    EXPECT_EQ(plan.fault, lookup_fault::srv_unavailable);
    EXPECT_TRUE(plan.groups.empty());
  }
  // Whether its targets can be reached is found out later: the plan holds nothing of the domain itself.
  for (const auto& t : flat(plan_of("example.org", srv_answer({{1, 1, 5269, "dead.example"}}), none, lowest))) {
    EXPECT_EQ(t.source, endpoint_source::srv_xmpp);
    EXPECT_NE(t.host, "example.org");
  }
}

TEST(ServiceLookup, SkipsPortZero) {  // E2
  const auto plan =
      plan_of("example.org", srv_answer({{1, 1, 0, "a.example"}, {2, 1, 5269, "b.example"}}), none, lowest);
  ASSERT_EQ(flat(plan).size(), 1U);
  EXPECT_EQ(flat(plan)[0].host, "b.example");
}

TEST(ServiceLookup, TriesEachEndpointOnceWhereItComesFirst) {  // E2
  const auto plan = plan_of(
      "example.org", srv_answer({{9, 1, 5269, "a.example"}, {3, 1, 5269, "a.example"}, {3, 2, 5269, "a.example"}}),
      srv_answer({{3, 1, 5269, "a.example"}, {1, 1, 5270, "a.example"}}), lowest);
  const auto all = flat(plan);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].port, 5270);
  std::set<bool> methods;
  for (const auto& t : {all[1], all[2]}) {
    EXPECT_EQ(t.priority, 3);
    EXPECT_EQ(t.port, 5269);
    methods.insert(t.direct_tls);
  }
  EXPECT_EQ(methods.size(), 2U);  // one port may serve both, and each is tried
}

TEST(ServiceLookup, PlansNoMoreTargetsThanTheLimit) {  // E2: L-1, L, L+1, and a thousand
  for (const std::size_t offered : {targets_limit - 1, targets_limit, targets_limit + 1, std::size_t{1000}}) {
    std::vector<srv_record> records;
    for (std::size_t i = 0; i < offered; ++i) {
      records.push_back({0, 0, 5269, "t" + std::to_string(i) + ".example"});
    }
    const auto plan = plan_of("example.org", srv_answer(records), none, lowest);
    EXPECT_EQ(flat(plan).size(), std::min(offered, targets_limit)) << offered;
    std::set<std::string> hosts;
    for (const auto& t : flat(plan)) {
      hosts.insert(t.host);
    }
    EXPECT_EQ(hosts.size(), flat(plan).size());
  }
}

TEST(ServiceLookup, GoesWhereTheOperatorSaysWithoutSrv) {  // A13, RFC 6120 §3.2.3
  EXPECT_EQ(flat(plan_of_override("xmpp.example.net", 5299, true)),
            (std::vector{target{"xmpp.example.net", 5299, true, 0, 0, endpoint_source::override, security::none}}));
  EXPECT_EQ(flat(plan_of_override("[2001:DB8::1]", 5269, false)).at(0).host, "2001:db8::1");
  EXPECT_EQ(flat(plan_of_override("192.0.2.1", 5269, false)).at(0).host, "192.0.2.1");
}

TEST(ServiceLookup, TakesADomainThatIsAnAddressAtItsWord) {
  for (const auto& [domain, host] : {std::pair{"192.0.2.1", "192.0.2.1"}, std::pair{"[2001:db8::1]", "2001:db8::1"}}) {
    const auto plan = plan_of_literal(domain);
    ASSERT_TRUE(plan) << domain;
    EXPECT_EQ(flat(*plan), (std::vector{target{host, 5269, false, 0, 0, endpoint_source::fallback, security::none}}));
  }
  EXPECT_FALSE(plan_of_literal("example.org"));
  EXPECT_FALSE(plan_of_literal("[example.org]"));
}

TEST(ServiceLookup, NamesEverySourceAndFaultOnce) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < endpoint_source_count; ++i) {
    names.insert(to_string(static_cast<endpoint_source>(i)));
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"srv_xmpp", "srv_xmpps", "fallback", "override"}));
  names.clear();
  for (std::size_t i = 0; i < lookup_fault_count; ++i) {
    names.insert(to_string(static_cast<lookup_fault>(i)));
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"none", "nxdomain", "servfail", "bogus", "timeout", "srv_unavailable",
                                               "no_address", "cancelled"}));
  for (std::size_t i = 0; i < outcome_count; ++i) {
    const auto o = static_cast<outcome>(i);
    EXPECT_EQ(fault_of(o) == lookup_fault::none, answered(o)) << to_string(o);
  }
}

}  // namespace
}  // namespace comity::dns
