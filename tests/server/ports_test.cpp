// What the tables of the configuration make of a port.
#include "server/ports.hpp"

#include <gmock/gmock.h>

#include "server/config/config.hpp"

namespace comity::server {
namespace {

using connection::destination;
using connection::direction;
using connection::front_opening;
using connection::method;
using connection::scope;

config::settings loaded(const std::string& text) {
  auto all =
      config::load_text("[[host]]\ndomain = \"example.org\"\ncertificate = \"c.crt\"\nprivate_key = \"c.key\"\n" + text,
                        "/etc/comity.toml");
  EXPECT_TRUE(all);
  return all ? *all : config::settings{};
}
config::settings one_port(const std::string& keys) {
  return loaded("[[listen]]\naddress = \"[::]:443\"\n" + keys);
}
std::shared_ptr<const connection::front_settings> front(const config::settings& all) {
  return front_of(all.listeners.front(), all);
}

std::vector<std::pair<scope, method>> ways_in(const config::settings& all) {
  std::vector<std::pair<scope, method>> ways;
  for (const auto& r : inbound_routes(all)) {
    EXPECT_EQ(r.direction, direction::inbound);
    ways.emplace_back(r.scope, r.method);
  }
  return ways;
}

TEST(Ports, OfOneKindOfStreamNeedNoFront) {
  EXPECT_FALSE(front(one_port("protocol = \"c2s\"\ntls = \"starttls\"\n")));
  EXPECT_FALSE(front(one_port("protocol = \"s2s\"\ntls = \"direct\"\n")));
}

TEST(Ports, BehindProxiesReadTheirHeaders) {
  const auto s = front(one_port("protocol = \"s2s\"\ntls = \"direct\"\nproxy_protocol = [\"192.0.2.0/24\"]\n"));
  ASSERT_TRUE(s);
  EXPECT_EQ(s->only, destination::s2s);
  EXPECT_EQ(s->opens_with, front_opening::tls);
  EXPECT_TRUE(connection::contains(s->proxies, *dns::address::parse("192.0.2.9")));
  EXPECT_FALSE(connection::contains(s->proxies, *dns::address::parse("192.0.3.9")));
}

TEST(Ports, TellDirectTlsFromStarttlsWhereBothMayCome) {
  const auto all = one_port("protocol = \"c2s\"\ntls = \"either\"\n");
  ASSERT_TRUE(front(all));
  EXPECT_EQ(front(all)->opens_with, front_opening::either);
  EXPECT_THAT(ways_in(all),
              testing::ElementsAre(std::pair{scope::c2s, method::starttls}, std::pair{scope::c2s, method::direct_tls}));
}

TEST(Ports, ForEverythingRouteByTheirTable) {
  const auto all = one_port(
      "protocol = \"auto\"\ntls = \"direct\"\nforward_proxy_header = true\n"
      "[listen.alpn]\nh2 = \"forward:127.0.0.1:8443\"\n\"acme-tls/1\" = \"forward:[::1]:8444\"\nnone = \"s2s\"\n"
      "other = \"forward:web.example.org:443\"\n[listen.sni]\n\"www.example.org\" = \"refuse\"\n");
  const auto s = front(all);
  ASSERT_TRUE(s);
  EXPECT_FALSE(s->only);
  EXPECT_TRUE(s->introduces);
  const auto forward = [](const char* host, std::uint16_t port) {
    return connection::front_route{.to = destination::forward, .host = host, .port = port};
  };
  const auto& named = s->routes.by_protocol;
  EXPECT_EQ(named.size(), 5U);
  EXPECT_EQ(named.at("xmpp-client").to, destination::c2s);  // left out, so it keeps its default
  EXPECT_EQ(named.at("xmpp-server").to, destination::s2s);
  EXPECT_EQ(named.at("http/1.1").to, destination::http);
  EXPECT_EQ(named.at("h2"), forward("127.0.0.1", 8443));
  EXPECT_EQ(named.at("acme-tls/1"), forward("::1", 8444));
  EXPECT_EQ(s->routes.none.to, destination::s2s);
  EXPECT_EQ(s->routes.other, forward("web.example.org", 443));
  EXPECT_EQ(s->routes.by_server_name.at("www.example.org").to, destination::refuse);
  EXPECT_THAT(ways_in(all),
              testing::ElementsAre(std::pair{scope::c2s, method::direct_tls}, std::pair{scope::s2s, method::direct_tls},
                                   std::pair{scope::c2s, method::websocket}));
}

TEST(Ports, AllowWebsocketWhereHttpIsServed) {
  const std::string port = "protocol = \"auto\"\ntls = \"direct\"\n";
  const auto ways = [&](const std::string& keys) { return ways_in(one_port(port + keys)).size(); };
  EXPECT_EQ(ways(""), 3U);
  EXPECT_EQ(ways("alpn = { \"http/1.1\" = \"refuse\" }\n"), 3U);  // who offers nothing may speak it still
  EXPECT_EQ(ways("alpn = { \"http/1.1\" = \"forward:[::1]:8443\", none = \"c2s\" }\n"), 2U);
}

TEST(Ports, ForHttpInClearKnowTheProxiesThatMaySpeakIt) {
  const auto all = one_port("protocol = \"http\"\ntls = \"none\"\n[http]\ntrusted_proxies = [\"192.0.2.1\"]\n");
  const auto s = front(all);
  ASSERT_TRUE(s);
  EXPECT_EQ(s->only, destination::http);
  EXPECT_EQ(s->opens_with, front_opening::clear);
  EXPECT_TRUE(connection::contains(s->clear_http, *dns::address::parse("192.0.2.1")));
  EXPECT_THAT(ways_in(all), testing::ElementsAre(std::pair{scope::c2s, method::websocket}));
}

TEST(Ports, HoldToTheLimitsOfTheConfiguration) {
  const auto s = front(
      one_port("protocol = \"auto\"\ntls = \"direct\"\n[limits]\ntls_timeout = \"3s\"\nhandshake_timeout = \"7s\"\n"
               "unauthenticated_bytes = 12345\n"));
  ASSERT_TRUE(s);
  EXPECT_EQ(s->tls_timeout, std::chrono::seconds{3});
  EXPECT_EQ(s->handshake_timeout, std::chrono::seconds{7});
  EXPECT_EQ(s->before_authentication.stanza_bytes, 12345U);
}

}  // namespace
}  // namespace comity::server
