#include "fakes/zone_resolver.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "fakes/task_queue.hpp"

namespace comity::fakes {
namespace {

using dns::outcome;
using dns::record_type;
using dns::security;

class ZoneResolver : public testing::Test {
public:
  std::optional<dns::answer> ask(const std::string& name, record_type type) {
    std::optional<dns::answer> got;
    const auto held = names.lookup(name, type, thread.poster(), [&](const dns::answer& a) { got = a; });
    EXPECT_FALSE(got);
    thread.run();
    return got;
  }
  task_queue thread;
  zone_resolver names{R"(
    !secure example.org          ; and all below
    !insecure plain.example.org
    a.example.org A 192.0.2.1
    a.example.org A 192.0.2.2
    a.example.org AAAA 2001:db8::1
    One.example.org CNAME two.example.org.
    two.example.org CNAME a.example.org
    three.example.org CNAME b.plain.example.org
    b.plain.example.org A 192.0.2.3
    loop.example.org CNAME loop.example.org
    _s._tcp.example.org SRV 1 2 3 A.example.org.
    root.example.org SRV 0 0 0 .
    t.example.org TLSA 3 1 1 0aFF
    !bogus a.example.org AAAA
    !servfail f.example.org
    !timeout late.example.org SRV
    !silent mute.example.org
  )"};
};

TEST_F(ZoneResolver, AnswersWithRecords) {
  const auto a = ask("A.Example.ORG.", record_type::a);
  ASSERT_TRUE(a);
  EXPECT_EQ(a->result, outcome::records);
  EXPECT_EQ(a->security, security::secure);
  EXPECT_EQ(a->addresses.size(), 2U);
  EXPECT_EQ(a->canonical_name, "a.example.org");
  EXPECT_EQ(ask("_s._tcp.example.org", record_type::srv)->srv,
            (std::vector<dns::srv_record>{{1, 2, 3, "a.example.org"}}));
  EXPECT_EQ(ask("root.example.org", record_type::srv)->srv.at(0).target, "");
  EXPECT_EQ(ask("t.example.org", record_type::tlsa)->tlsa, (std::vector<dns::tlsa_record>{{3, 1, 1, "\x0a\xff"}}));
}

TEST_F(ZoneResolver, TellsNoRecordsFromNoName) {
  EXPECT_EQ(ask("a.example.org", record_type::srv)->result, outcome::nodata);
  EXPECT_EQ(ask("_tcp.example.org", record_type::a)->result, outcome::nodata);  // something is below it
  EXPECT_EQ(ask("none.example.org", record_type::a)->result, outcome::nxdomain);
  EXPECT_EQ(ask("none.example.org", record_type::a)->security, security::secure);
  EXPECT_EQ(ask("none.example.net", record_type::a)->security, security::insecure);
}

TEST_F(ZoneResolver, FollowsAliasesAndIsWorthTheWeakest) {
  const auto secure = ask("one.example.org", record_type::a);
  EXPECT_EQ(secure->canonical_name, "a.example.org");
  EXPECT_EQ(secure->security, security::secure);
  EXPECT_EQ(ask("three.example.org", record_type::a)->security, security::insecure);
  EXPECT_EQ(ask("loop.example.org", record_type::a)->result, outcome::servfail);
  EXPECT_EQ(ask("one.example.org", record_type::aaaa)->result, outcome::bogus);
}

TEST_F(ZoneResolver, FailsAsMarked) {
  const auto bogus = ask("a.example.org", record_type::aaaa);
  EXPECT_EQ(bogus->result, outcome::bogus);
  EXPECT_EQ(bogus->security, security::bogus);
  EXPECT_TRUE(bogus->addresses.empty());
  EXPECT_FALSE(bogus->why.empty());
  EXPECT_EQ(ask("f.example.org", record_type::srv)->result, outcome::servfail);
  EXPECT_EQ(ask("f.example.org", record_type::srv)->security, security::none);
  EXPECT_EQ(ask("late.example.org", record_type::srv)->result, outcome::timeout);
  EXPECT_EQ(ask("late.example.org", record_type::a)->result, outcome::nxdomain);
  EXPECT_FALSE(ask("mute.example.org", record_type::a));
}

TEST_F(ZoneResolver, AnswersWhenTold) {
  names.hold();
  std::string order;
  const auto asking = [&](const char* name, char c) {
    return names.lookup(name, record_type::a, thread.poster(), [&order, c](const dns::answer&) { order += c; });
  };
  const auto first = asking("a.example.org", '1');
  const auto second = asking("b.plain.example.org", '2');
  auto third = asking("c.example.org", '3');
  thread.run();
  EXPECT_EQ(order, "");
  EXPECT_FALSE(names.answer("b.plain.example.org", record_type::aaaa));
  EXPECT_TRUE(names.answer("b.plain.example.org", record_type::a));
  thread.run();
  EXPECT_EQ(order, "2");
  third.reset();
  names.release();
  thread.run();
  EXPECT_EQ(order, "21");
  EXPECT_FALSE(names.answer_next());
  EXPECT_TRUE(ask("a.example.org", record_type::a));
  EXPECT_EQ(names.count("a.example.org", record_type::a), 2U);
  EXPECT_EQ(names.asked().size(), 4U);
}

TEST_F(ZoneResolver, RefusesAZoneThatIsWrong) {
  for (const char* wrong :
       {"name", "name MX 1", "name A", "name A 2001:db8::1", "name AAAA x", "name SRV 1 2 3", "name SRV 1 2 70000 t",
        "name TLSA 3 1 1 zz", "!secure", "!secure a A", "!bogus a MX", "!bogus a A b"}) {
    EXPECT_THROW(names.zone(wrong), std::invalid_argument) << wrong;
  }
}

}  // namespace
}  // namespace comity::fakes
