#include "dns/service_resolver.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fakes/task_queue.hpp"
#include "fakes/zone_resolver.hpp"

namespace comity::dns {
namespace {

const char* const zone = R"(
  !secure example.org
  !secure host.example
  _xmpp-server._tcp.example.org SRV 10 0 5269 xmpp.host.example
  _xmpps-server._tcp.example.org SRV 5 0 5270 alias.host.example
  xmpp.host.example A 192.0.2.1
  xmpp.host.example AAAA 2001:db8::1
  alias.host.example CNAME xmpp.host.example
  _5270._tcp.xmpp.host.example TLSA 3 1 1 00ff
  bare.example A 192.0.2.9
)";

class ServiceResolver : public testing::Test {
public:
  /// Finds the plan; nullopt where none is told.
  std::optional<service_plan> plan(const std::string& domain) {
    std::optional<service_plan> told;
    finder->find(domain, service::server, [&](const service_plan& p) {
      EXPECT_FALSE(told) << "told twice";
      told = p;
    });
    EXPECT_FALSE(told) << "told within the call";
    thread.run();
    return told;
  }
  /// Finds an endpoint; all that is told of it.
  std::vector<endpoint_addresses> endpoint(target t) {
    std::vector<endpoint_addresses> told;
    finder->find_endpoint(std::move(t), [&](const endpoint_addresses& e) { told.push_back(e); });
    EXPECT_TRUE(told.empty()) << "told within the call";
    thread.run();
    return told;
  }

  fakes::task_queue thread;
  fakes::zone_resolver names{zone};
  std::optional<service_resolver> finder{std::in_place, names, thread.poster(),
                                         [](std::uint32_t greatest) { return greatest; }};
};

TEST_F(ServiceResolver, AsksForBothSetsAtOnceAndTellsThePlan) {  // A01, A02
  names.hold();
  std::optional<service_plan> told;
  finder->find("example.org", service::server, [&](const service_plan& p) { told = p; });
  EXPECT_EQ(names.asked(), (std::vector<query>{{"_xmpp-server._tcp.example.org", record_type::srv},
                                               {"_xmpps-server._tcp.example.org", record_type::srv}}));
  names.answer("_xmpps-server._tcp.example.org", record_type::srv);
  thread.run();
  EXPECT_FALSE(told);
  names.release();
  thread.run();
  ASSERT_TRUE(told);
  ASSERT_EQ(told->groups.size(), 2U);
  EXPECT_EQ(told->groups[0][0].host, "alias.host.example");
  EXPECT_TRUE(told->groups[0][0].direct_tls);
  EXPECT_EQ(told->groups[1][0].host, "xmpp.host.example");
  EXPECT_EQ(told->security, security::secure);
}

TEST_F(ServiceResolver, FindsAddressesAndTlsaOfATarget) {  // B04, B07, B19, C01
  const auto told = endpoint(plan("example.org")->groups[0][0]);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].complete());
  EXPECT_EQ(told[0].fault, lookup_fault::none);
  EXPECT_EQ(told[0].v4.at(0).text(), "192.0.2.1");
  EXPECT_EQ(told[0].v6.at(0).text(), "2001:db8::1");
  EXPECT_EQ(told[0].tlsa_base, "xmpp.host.example");
  EXPECT_EQ(told[0].tlsa, (std::vector<tlsa_record>{{3, 1, 1, std::string{"\0\xff", 2}}}));
}

TEST_F(ServiceResolver, TellsOneFamilyFirstAndTheOtherWhenItComes) {  // C01, RFC 8305 §3
  names.hold();
  std::vector<endpoint_addresses> told;
  finder->find_endpoint({.host = "bare.example", .port = 5269, .delegation = security::none},
                        [&](const endpoint_addresses& e) { told.push_back(e); });
  const auto more = [&](record_type type) {
    EXPECT_TRUE(names.answer("bare.example", type));
    thread.run();
    return told.size();
  };
  // Of a fallback with unsigned addresses it is not known before both are in whether TLSA is to be asked for.
  EXPECT_EQ(more(record_type::a), 0U);
  EXPECT_EQ(more(record_type::aaaa), 1U);
  EXPECT_TRUE(told[0].complete());

  told.clear();
  finder->find_endpoint({.host = "xmpp.host.example",
                         .port = 5269,
                         .source = endpoint_source::srv_xmpp,
                         .delegation = security::insecure},
                        [&](const endpoint_addresses& e) { told.push_back(e); });
  names.answer("xmpp.host.example", record_type::a);
  thread.run();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0].awaiting_v6);
  names.answer("xmpp.host.example", record_type::aaaa);
  thread.run();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_TRUE(told[1].complete());
  EXPECT_EQ(told[1].v6.size(), 1U);
}

TEST_F(ServiceResolver, FallsBackToTheDomain) {  // A10
  const auto found = plan("bare.example");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->groups.at(0).at(0).source, endpoint_source::fallback);
  EXPECT_EQ(endpoint(found->groups[0][0]).at(0).v4.at(0).text(), "192.0.2.9");
}

TEST_F(ServiceResolver, TellsAFailedSrvSetAsAFault) {  // A11, B02
  names.zone(std::string{zone} + "\n!servfail _xmpps-server._tcp.example.org\n");
  EXPECT_EQ(plan("example.org")->fault, lookup_fault::servfail);
  names.zone(std::string{zone} + "\n!bogus _xmpp-server._tcp.example.org\n");
  EXPECT_EQ(plan("example.org")->fault, lookup_fault::bogus);
  names.zone(std::string{zone} + "\n!timeout _xmpp-server._tcp.bare.example\n");
  EXPECT_EQ(plan("bare.example")->fault, lookup_fault::timeout);
}

TEST_F(ServiceResolver, GoesByTheNextTargetWhereOneIsBogus) {  // B06
  names.zone(std::string{zone} + "\n!bogus alias.host.example A\n");
  const auto found = plan("example.org");
  EXPECT_EQ(endpoint(found->groups[0][0]).back().fault, lookup_fault::bogus);
  EXPECT_EQ(endpoint(found->groups[1][0]).back().fault, lookup_fault::none);
}

TEST_F(ServiceResolver, AsksNothingForAddresses) {
  const auto found = plan("[2001:db8::5]");
  ASSERT_TRUE(found);
  const auto told = endpoint(found->groups.at(0).at(0));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].v6.at(0).text(), "2001:db8::5");
  EXPECT_TRUE(names.asked().empty());
}

TEST_F(ServiceResolver, TellsEveryQuestionWithItsAnswer) {
  std::vector<traced_query> trace;
  finder->watch([&trace](const traced_query& q) { trace.push_back(q); });
  endpoint(plan("example.org")->groups[0][0]);
  ASSERT_EQ(trace.size(), 5U);
  EXPECT_EQ(trace[0].asked, (query{"_xmpp-server._tcp.example.org", record_type::srv}));
  EXPECT_EQ(trace[0].got.srv.at(0).target, "xmpp.host.example");
  EXPECT_EQ(trace[0].got.ttl, std::chrono::seconds{60});
  EXPECT_EQ(trace[4].asked, (query{"_5270._tcp.xmpp.host.example", record_type::tlsa}));
  EXPECT_EQ(trace[4].got.security, security::secure);
  for (const auto& t : trace) {
    EXPECT_GE(t.took.count(), 0);
  }
}

TEST_F(ServiceResolver, CallsNobodyOnceItIsGone) {
  for (const int answered_before : {0, 1, 2}) {
    finder.emplace(names, thread.poster(), [](std::uint32_t greatest) { return greatest; });
    names.hold();
    finder->find("example.org", service::server, [](const service_plan&) { FAIL(); });
    finder->find_endpoint({.host = "xmpp.host.example", .port = 1}, [](const endpoint_addresses&) { FAIL(); });
    finder->find("192.0.2.1", service::server, [](const service_plan&) { FAIL(); });
    finder->find_endpoint({.host = "192.0.2.1", .port = 1}, [](const endpoint_addresses&) { FAIL(); });
    for (int i = 0; i < answered_before; ++i) {
      names.answer_next();  // posted, but not yet run
    }
    finder.reset();
    names.release();
    thread.run();
  }
}

TEST_F(ServiceResolver, MayBeEndedWithinACallback) {
  finder->find("example.org", service::server, [&](const service_plan& p) {
    EXPECT_EQ(p.groups.size(), 2U);
    finder.reset();
  });
  thread.run();
  EXPECT_FALSE(finder);

  finder.emplace(names, thread.poster(), [](std::uint32_t greatest) { return greatest; });
  int told = 0;
  for (const std::string host : {"xmpp.host.example", "192.0.2.1"}) {
    finder->find_endpoint({.host = host, .port = 1}, [&](const endpoint_addresses& e) {
      ++told;
      finder.reset();
      EXPECT_FALSE(e.v4.empty());
    });
  }
  thread.run();
  EXPECT_EQ(told, 1);
}

TEST_F(ServiceResolver, WaitsForWhatIsNeverAnswered) {
  names.zone(std::string{zone} + "\n!silent _xmpps-server._tcp.example.org\n");
  EXPECT_FALSE(plan("example.org"));
}

}  // namespace
}  // namespace comity::dns
