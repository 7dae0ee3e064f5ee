// What the configuration says of other servers, as streams between servers are told it.
#include "server/s2s_service.hpp"

#include <gtest/gtest.h>

#include "connection/s2s/trust.hpp"
#include "server/config/config.hpp"

namespace comity::server {
namespace {

using namespace std::chrono_literals;
using connection::required_trust;

std::shared_ptr<const s2s_rules> rules(const std::string& text) {
  const auto all = config::load_text(
      text + "\n[[host]]\ndomain = \"example.org\"\ncertificate = \"c\"\nprivate_key = \"k\"\n", "/etc/comity.toml");
  EXPECT_TRUE(all);
  return s2s_rules_of(*all, nullptr);
}

TEST(S2sRules, HoldForEverybodyUnlessAPeerHasItsOwn) {
  const s2s_service service{rules(R"(
[s2s]
trust = "dialback"
[[s2s.peer]]
domain = "bank.example"
trust = "dane"
[[s2s.peer]]
domain = "Spam.Example."
allow = false
)")};
  EXPECT_EQ(service.policy("other.example").trust, required_trust::dialback);
  EXPECT_TRUE(service.policy("other.example").allow);
  EXPECT_EQ(service.policy("bank.example").trust, required_trust::dane);
  EXPECT_EQ(service.policy("spam.example").trust, required_trust::dialback);
  EXPECT_FALSE(service.policy("spam.example").allow);
  EXPECT_EQ(service.default_domain(), "example.org");
}

// A13
TEST(S2sRules, GiveAPeersEndpoint) {
  const s2s_service service{rules(R"(
[[s2s.peer]]
domain = "a.example"
endpoint = "xmpp.a.example:5270"
method = "direct_tls"
[[s2s.peer]]
domain = "b.example"
endpoint = "[2001:db8::7]:5269"
)")};
  const auto a = service.policy("a.example").endpoint;
  ASSERT_TRUE(a);
  EXPECT_EQ(a->host, "xmpp.a.example");
  EXPECT_EQ(a->port, 5270);
  EXPECT_EQ(a->method, connection::method::direct_tls);
  const auto b = service.policy("b.example").endpoint;
  ASSERT_TRUE(b);
  EXPECT_EQ(b->host, "2001:db8::7");
  EXPECT_EQ(b->port, 5269);
  EXPECT_EQ(b->method, connection::method::starttls);
  EXPECT_FALSE(service.policy("c.example").endpoint);
}

TEST(S2sRules, HaveTheConfiguredBounds) {
  const s2s_service service{rules(R"(
[s2s]
connect_timeout = "7s"
attempt_delay = "300ms"
queue_stanzas = 17
queue_timeout = "45s"
idle_timeout = "2m"
allowed_addresses = ["10.0.0.0/8"]
[limits]
stanza_size_s2s = "300KiB"
)")};
  const auto s = service.settings();
  EXPECT_EQ(s->connect_timeout, 7s);
  EXPECT_EQ(s->attempt_delay, 300ms);
  EXPECT_EQ(s->queue.stanzas, 17U);
  EXPECT_EQ(s->queue.timeout, 45s);
  EXPECT_EQ(s->idle_timeout, 2min);
  EXPECT_EQ(s->after_authentication.stanza_bytes, 300U * 1024);
  EXPECT_EQ(s->before_authentication.stanza_bytes, 10'000U);
  const std::array<std::uint8_t, 4> inside{10, 1, 2, 3};
  const std::array<std::uint8_t, 4> outside{192, 168, 0, 1};
  EXPECT_TRUE(s->addresses.may_dial(inside));  // THREATS E1
  EXPECT_FALSE(s->addresses.may_dial(outside));
}

TEST(S2sRules, ChangeWithAReloadForStreamsToCome) {
  s2s_service service{rules("[s2s]\ntrust = \"dialback\"\n")};
  const auto before = service.settings();
  service.configure(rules("[s2s]\ntrust = \"dane\"\nqueue_stanzas = 5\n"));
  EXPECT_EQ(service.policy("a.example").trust, required_trust::dane);
  EXPECT_EQ(service.settings()->queue.stanzas, 5U);
  EXPECT_EQ(before->queue.stanzas, 1000U);
}

// J02, XEP-0185: unpredictable, and another with each process.
TEST(S2sService, HasASecretOfItsOwn) {
  const s2s_service one{rules("")};
  const s2s_service other{rules("")};
  EXPECT_GE(one.dialback_secret().size(), 32U);
  EXPECT_NE(one.dialback_secret(), other.dialback_secret());
}

}  // namespace
}  // namespace comity::server
