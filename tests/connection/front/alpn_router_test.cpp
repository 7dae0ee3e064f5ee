// Who serves what a ClientHello asks for, whatever the order in which it asks.
#include "connection/front/alpn_router.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace comity::connection {
namespace {

using offers = std::vector<std::string>;

front_routes everything() {
  front_routes r;
  r.by_protocol = {{"xmpp-client", {.to = destination::c2s}},
                   {"xmpp-server", {.to = destination::s2s}},
                   {"http/1.1", {.to = destination::http}},
                   {"h2", {.to = destination::forward, .host = "127.0.0.1", .port = 8443}},
                   {"acme-tls/1", {.to = destination::forward, .host = "127.0.0.1", .port = 8444}}};
  r.by_server_name = {{"www.example.org", {.to = destination::forward, .host = "::1", .port = 8445}}};
  r.none.to = destination::sniff;
  return r;
}

destination led(const offers& alpn, const std::string& name = "") {
  static const auto routes = everything();
  return route_of({name, alpn}, routes).to;
}

/// Every order of every selection of the four, with what each selection leads to.
TEST(AlpnRouter, LeadsEveryOrderOfTheSameOffersToTheSamePlace) {  // D13
  const offers all{"xmpp-client", "xmpp-server", "h2", "http/1.1"};
  const std::vector<destination> leads_to{destination::c2s, destination::s2s, destination::forward, destination::http};
  unsigned orders = 0;
  for (unsigned chosen = 1; chosen < 16; ++chosen) {
    offers some;
    std::size_t first = all.size();
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((chosen >> i & 1U) != 0) {
        some.push_back(all[i]);
        first = std::min(first, i);
      }
    }
    std::ranges::sort(some);
    do {
      EXPECT_EQ(led(some), leads_to[first]) << testing::PrintToString(some);
      ++orders;
    } while (std::ranges::next_permutation(some).found);
  }
  EXPECT_EQ(orders, 64U);
}

TEST(AlpnRouter, PassesOverWhatItDoesNotKnow) {
  EXPECT_EQ(led({"\x1a\x1a", "spdy/3", "xmpp-client"}), destination::c2s);
  EXPECT_EQ(led({"spdy/3", "http/1.1"}), destination::http);
}

TEST(AlpnRouter, RefusesAnOfferOfNothingKnown) {  // D06, RFC 7301 §3.2
  EXPECT_EQ(led({"spdy/3"}), destination::refuse);
  EXPECT_EQ(led({"xmpp-clien", "XMPP-CLIENT", "http/1.0"}), destination::refuse);  // names are compared byte by byte
}

TEST(AlpnRouter, TakesInWhoOffersNothing) {  // D08
  EXPECT_EQ(led({}), destination::sniff);
}

TEST(AlpnRouter, KnowsNamesOfTheOperatorsOwn) {
  const auto routes = everything();
  EXPECT_EQ(route_of({"", {"acme-tls/1"}}, routes).port, 8444);
}

TEST(AlpnRouter, LooksAtTheServerNameFirst) {
  EXPECT_EQ(led({"xmpp-client"}, "www.example.org"), destination::forward);
  EXPECT_EQ(led({}, "WWW.Example.ORG."), destination::forward);
  EXPECT_EQ(led({"xmpp-client"}, "example.org"), destination::c2s);
  EXPECT_EQ(led({"xmpp-client"}, "a.www.example.org"), destination::c2s);
}

TEST(AlpnRouter, CountsOffersInEveryOrderAlike) {
  EXPECT_EQ(class_of(offers{}), alpn_offer::none);
  EXPECT_EQ(class_of(offers{"h2", "xmpp-server", "xmpp-client"}), alpn_offer::xmpp_client);
  EXPECT_EQ(class_of(offers{"h2", "xmpp-server"}), alpn_offer::xmpp_server);
  EXPECT_EQ(class_of(offers{"h2"}), alpn_offer::http);
  EXPECT_EQ(class_of(offers{"http/1.1", "h2"}), alpn_offer::http);
  EXPECT_EQ(class_of(offers{"acme-tls/1"}), alpn_offer::other);
}

}  // namespace
}  // namespace comity::connection
