// Binding, ending, addressing: RFC 6120 §7, §10.
#include "server/router.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

TEST(Bind, ServerChoosesAResourceThatNobodyCanGuess) {  // RFC 6120 §7.6
  im_server server{{.resources_per_user = 50}};
  std::set<std::string> seen;
  for (int i = 0; i < 50; ++i) {
    const auto bound = server.bind(server.new_session(), "juliet@example.com", "");
    ASSERT_TRUE(bound.has_value());
    EXPECT_EQ(bound->bare_text(), "juliet@example.com");
    EXPECT_GE(bound->resourcepart().size() * 6, 96U);
    seen.emplace(bound->resourcepart());
  }
  EXPECT_EQ(seen.size(), 50U);
}

TEST(Bind, ClientsChoiceIsEnforced) {  // RFC 6120 §7.7.1, RFC 7622 §3.4: OpaqueString maps other spaces to U+0020
  im_server server;
  const auto bound = server.bind(server.new_session(), "juliet@example.com", "the\u00a0balcony");
  ASSERT_TRUE(bound.has_value());
  EXPECT_EQ(bound->text(), "juliet@example.com/the balcony");
}

TEST(Bind, ResourceThatCannotBeOneIsABadRequest) {  // RFC 6120 §7.7.2.1
  im_server server;
  for (const std::string& bad : {std::string{"tab\there"}, std::string(1024, 'x'), std::string{"\xff"}}) {
    const auto bound = server.bind(server.new_session(), "juliet@example.com", bad);
    ASSERT_FALSE(bound.has_value());
    EXPECT_EQ(bound.error().condition, stanza_condition::bad_request);
    EXPECT_EQ(bound.error().type, "modify");
    EXPECT_FALSE(bound.error().resource_limit);
  }
}

TEST(Bind, ConflictClosesTheOldSessionAndTheNewcomerHasTheResource) {  // RFC 6120 §7.7.2.2, THREATS F5
  im_server server;
  const auto old = server.login("juliet@example.com/balcony");
  const auto young = server.connect("juliet@example.com/balcony");
  EXPECT_EQ(server.outlet.closed(old.session), stream_condition::conflict);
  EXPECT_EQ(server.outlet.closed(young.session), std::nullopt);
  const auto romeo = server.login("romeo@example.com/orchard");
  server.says(romeo, "<message to='juliet@example.com/balcony' type='chat'><body>hi</body></message>");
  EXPECT_THAT(server.hears(young),
              ElementsAre("message chat romeo@example.com/orchard -> juliet@example.com/balcony <body>hi</body>"));
  EXPECT_THAT(server.hears(old), IsEmpty()) << "exactly one route";
}

TEST(Bind, ConflictShowsUnavailableBeforeAvailable) {  // THREATS F5
  im_server server;
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto old = server.login("juliet@example.com/balcony");
  server.befriend(romeo, old);
  const auto young = server.connect("juliet@example.com/balcony");
  server.says(young, "<presence/>");
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence unavailable juliet@example.com/balcony -> romeo@example.com",
                                               "presence available juliet@example.com/balcony -> romeo@example.com"));
}

TEST(Bind, EndOfTheReplacedSessionTakesNothingFromTheNewcomer) {  // THREATS F5
  im_server server;
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto old = server.login("juliet@example.com/balcony");
  server.befriend(romeo, old);
  const auto young = server.login("juliet@example.com/balcony");
  (void)server.hears(romeo);
  server.disconnect(old);
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  server.says(old, "<message to='romeo@example.com' type='chat'><body>ghost</body></message>");
  EXPECT_THAT(server.hears(romeo), IsEmpty()) << "what the old session still sends is not the newcomer's word";
  EXPECT_THAT(server.router->sessions_by_host(),
              UnorderedElementsAre(Pair("example.com", 2), Pair("other.example", 0)));
}

TEST(Bind, StormOfConflictsLeavesOneSession) {  // THREATS F5
  im_server server;
  client last;
  for (int i = 0; i < 200; ++i) {
    last = server.login("juliet@example.com/balcony");
  }
  EXPECT_THAT(server.router->sessions_by_host(), testing::Contains(Pair("example.com", 1)));
  server.disconnect(last);
  EXPECT_THAT(server.router->sessions_by_host(), testing::Contains(Pair("example.com", 0)));
}

TEST(Bind, TakesResourcesUpToTheLimitAndNoMore) {  // THREATS F6 at L-1, L, L+1; RFC 6120 §7.6.2.1
  constexpr std::uint32_t limit = 3;
  im_server server{{.resources_per_user = limit}};
  const auto wanted = [&](int n) {
    return server.bind(server.new_session(), "juliet@example.com", "r" + std::to_string(n));
  };
  EXPECT_TRUE(wanted(1).has_value());
  EXPECT_TRUE(wanted(2).has_value());
  EXPECT_TRUE(wanted(3).has_value());
  const auto refused = wanted(4);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().condition, stanza_condition::resource_constraint);
  EXPECT_EQ(refused.error().type, "wait");
  EXPECT_TRUE(refused.error().resource_limit);
  EXPECT_TRUE(wanted(2).has_value()) << "a resource that is replaced is none more";
}

TEST(Bind, LimitFollowsTheConfiguration) {
  im_server server{{.resources_per_user = 1}};
  (void)server.connect("juliet@example.com/1");
  server.router->configure({"example.com"}, 2);
  EXPECT_TRUE(server.bind(server.new_session(), "juliet@example.com", "2").has_value());
  EXPECT_FALSE(server.bind(server.new_session(), "juliet@example.com", "3").has_value());
}

TEST(Router, HostsWhatIsConfigured) {
  im_server server;
  EXPECT_TRUE(server.router->hosts("example.com"));
  EXPECT_FALSE(server.router->hosts("example.org"));
  server.router->configure({"example.org"}, 10);
  EXPECT_FALSE(server.router->hosts("example.com"));
  EXPECT_TRUE(server.router->hosts("example.org"));
}

TEST(Router, EndsAllSessionsOfAnAccount) {  // THREATS C9
  im_server server;
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto balcony = server.login("juliet@example.com/balcony");
  server.befriend(romeo, balcony);
  const auto chamber = server.login("juliet@example.com/chamber");
  (void)server.hears(romeo);
  server.router->end_sessions(address("juliet@example.com"), stream_condition::not_authorized);
  server.settle();
  EXPECT_EQ(server.outlet.closed(balcony.session), stream_condition::not_authorized);
  EXPECT_EQ(server.outlet.closed(chamber.session), stream_condition::not_authorized);
  EXPECT_THAT(server.hears(romeo),
              UnorderedElementsAre("presence unavailable juliet@example.com/balcony -> romeo@example.com",
                                   "presence unavailable juliet@example.com/chamber -> romeo@example.com"));
  server.disconnect(balcony);
  server.disconnect(chamber);
  EXPECT_THAT(server.router->sessions_by_host(), testing::Contains(Pair("example.com", 1)));
}

TEST(Router, RemoteDomainWithoutFederationIsNotFound) {  // RFC 6120 §10.4
  im_server server;
  const auto juliet = server.login("juliet@example.com/balcony");
  server.says(juliet, "<message to='romeo@example.net' id='m1'><body>hi</body></message>");
  server.says(juliet, "<iq to='example.net' id='q1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("message error romeo@example.net -> juliet@example.com/balcony #m1 !remote-server-not-found "
                          "cancel",
                          "iq error example.net -> juliet@example.com/balcony #q1 !remote-server-not-found cancel"));
}

TEST(Router, ErrorsAndResultsAreNeverAnswered) {  // THREATS D8, RFC 6120 §8.3.1
  im_server server;
  const auto juliet = server.login("juliet@example.com/balcony");
  for (const auto* to : {"romeo@example.net", "nobody@example.com", "romeo@example.com/gone", "example.com"}) {
    const std::string head = std::string{" to='"} + to + "' id='x'";
    server.says(juliet, "<iq type='result'" + head + "/>");
    server.says(juliet, "<iq type='error'" + head + "><error type='cancel'/></iq>");
    server.says(juliet, "<message type='error'" + head + "><error type='cancel'/></message>");
    server.says(juliet, "<presence type='error'" + head + "><error type='cancel'/></presence>");
  }
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST(Router, RemoteStanzasTakeTheSamePathThroughTheHook) {
  im_server server{{.federated = true}};
  const auto juliet = server.login("juliet@example.com/balcony");
  server.says(juliet, "<message to='romeo@example.net' id='m1'><body>hi</body></message>");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("message normal juliet@example.com/balcony -> romeo@example.net #m1 <body>hi</body>"));
  server.remote_says("romeo@example.net/orchard",
                     "<message to='juliet@example.com' type='chat'><body>ho</body></message>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("message chat romeo@example.net/orchard -> juliet@example.com <body>ho</body>"));
}

TEST(Router, IsNoRelayBetweenRemoteDomains) {  // THREATS D4
  im_server server{{.federated = true}};
  server.remote_says("a@one.example", "<message to='b@two.example' id='m'><body>hi</body></message>");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("message error b@two.example -> a@one.example #m !remote-server-not-found cancel"));
}

TEST(Router, KeepsTheOrderOfOneSenderToOneRecipientWhileTheStoreIsSlow) {  // RFC 6120 §10.1
  im_server server;
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto juliet = server.login("juliet@example.com/balcony");
  server.befriend(romeo, juliet);
  // The roster change holds romeo's work up; what he sends afterwards must not overtake what he sent before.
  server.says_without_settling(romeo, "<presence to='juliet@example.com' type='unsubscribe' id='1'/>");
  for (int i = 2; i < 6; ++i) {
    server.says_without_settling(
        romeo, "<message to='juliet@example.com/balcony' id='" + std::to_string(i) + "'><body/></message>");
  }
  server.settle();
  std::vector<std::string> ids;
  for (const auto& s : server.hears(juliet)) {
    if (const auto at = s.find('#'); at != std::string::npos) {
      ids.push_back(s.substr(at + 1, 1));
    }
  }
  EXPECT_THAT(ids, ElementsAre("1", "2", "3", "4", "5"));
}

TEST(Router, RefusesWhatIsTooMuchWhileTheStoreIsSlow) {  // THREATS F14, X4: L-1, L, L+1
  im_server::options o;
  o.limits.waiting = 3;
  im_server server{o};
  const auto juliet = server.login("juliet@example.com/balcony");
  server.says_without_settling(juliet, "<presence to='romeo@example.com' type='subscribe'/>");
  server.homes.turn();  // the store has been asked and has not answered
  for (int i = 1; i <= 4; ++i) {
    server.says_without_settling(
        juliet, "<message to='juliet@example.com/balcony' id='m" + std::to_string(i) + "'><body/></message>");
  }
  server.settle();
  std::vector<std::string> messages;
  for (auto& s : server.hears(juliet)) {
    if (s.starts_with("message")) {
      messages.push_back(s);
    }
  }
  // The error itself found no place either: three were let in, and the fourth left no trace.
  EXPECT_EQ(messages.size(), 3U);
  server.says(juliet, "<message to='juliet@example.com/balcony' id='m5'><body/></message>");
  EXPECT_THAT(server.hears(juliet), testing::SizeIs(1)) << "and it recovers";
}

TEST(Router, AnswerOfTheStoreAfterTheEndOfTheRouterIsHarmless) {
  im_server server;
  const auto juliet = server.connect("juliet@example.com/balcony");
  server.says_without_settling(juliet, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
  server.homes.turn();
  server.router.reset();
  server.settle();
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST(Router, MessageToABoundUserAsksNothingOfTheStore) {
  im_server server;
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto juliet = server.login("juliet@example.com/balcony");
  const std::size_t before = server.store.calls;
  server.says(romeo, "<message to='juliet@example.com' type='chat'><body>hi</body></message>");
  EXPECT_EQ(server.hears(juliet).size(), 1U);
  EXPECT_EQ(server.store.calls, before);
}

TEST(Addressing, MessageWithoutToIsForTheSendersAccount) {  // RFC 6120 §10.3.1
  im_server server;
  const auto juliet = server.login("juliet@example.com/balcony");
  const auto chamber = server.login("juliet@example.com/chamber");
  (void)server.hears(juliet);
  server.says(juliet, "<message type='chat'><body>note</body></message>");
  EXPECT_THAT(server.hears(chamber),
              ElementsAre("message chat juliet@example.com/balcony -> juliet@example.com <body>note</body>"));
}

TEST(Addressing, MessageToTheServerIsRefused) {  // RFC 6120 §10.5.1
  im_server server;
  const auto juliet = server.login("juliet@example.com/balcony");
  server.says(juliet, "<message to='example.com' id='m'><body>hi</body></message>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("message error example.com -> juliet@example.com/balcony #m !service-unavailable cancel"));
}

TEST(Addressing, FromIsThatOfTheBoundResource) {  // THREATS F7: stamped by the stream, never taken from the client
  im_server server;
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto juliet = server.login("juliet@example.com/balcony");
  server.says(romeo, "<message from='nurse@example.com' to='juliet@example.com'><body>hi</body></message>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("message normal romeo@example.com/orchard -> juliet@example.com <body>hi</body>"));
}

}  // namespace
}  // namespace comity::server
