// Presence subscriptions as clients see them, RFC 6121 §3. The state tables are tested in subscription_state_test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class Subscriptions : public testing::Test {
protected:
  static std::string push(std::string_view full, std::string_view item) {
    return "iq set  -> " + std::string{full} + " <query xmlns='jabber:iq:roster'><item " + std::string{item} +
           "/></query>";
  }
  im_server server{im_server::options{.federated = true}};
  client juliet = server.login("juliet@example.com/balcony");
  client romeo = server.login("romeo@example.com/orchard");
};

TEST_F(Subscriptions, RequestIsStampedWithTheBareJidAndShownAsPending) {  // RFC 6121 §3.1.2, §3.1.3
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe' id='xk3h1v69'/>");
  EXPECT_THAT(server.hears(romeo), ElementsAre(push("romeo@example.com/orchard",
                                                    "jid='juliet@example.com' subscription='none' "
                                                    "ask='subscribe'")));
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence subscribe romeo@example.com -> juliet@example.com #xk3h1v69"))
      << "and no roster item before she approves";
}

TEST_F(Subscriptions, RequestGoesToAvailableResourcesAndTheRestToInterestedOnes) {  // RFC 6121 §3.1, note; §3.1.6
  const auto interested = server.connect("romeo@example.com/interested");
  server.says(interested, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  const auto available = server.connect("romeo@example.com/available");
  server.says(available, "<presence/>");
  (void)server.hears(interested);
  (void)server.hears(available);
  server.says(juliet, "<presence to='romeo@example.com' type='subscribe'/>");
  EXPECT_THAT(server.hears(interested), IsEmpty());
  EXPECT_THAT(server.hears(available), ElementsAre("presence subscribe juliet@example.com -> romeo@example.com"));
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");
  server.says(juliet, "<presence to='romeo@example.com' type='subscribed'/>");
  EXPECT_THAT(server.hears(interested), Contains("presence subscribed juliet@example.com -> romeo@example.com"));
  EXPECT_THAT(server.hears(available), Not(Contains(StartsWith("presence subscribed"))));
}

TEST_F(Subscriptions, RequestPutsNobodyIntoTheRoster) {  // RFC 6121 §3.1.3, security warning
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");
  (void)server.hears(juliet);
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("iq result  -> juliet@example.com/balcony #g <query xmlns='jabber:iq:roster'/>"));
}

TEST_F(Subscriptions, RequestToAFullJidIsToTheAccount) {  // RFC 6121 §3.1.2 rule 1
  server.says(romeo, "<presence to='juliet@example.com/balcony' type='subscribe'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence subscribe romeo@example.com -> juliet@example.com"));
}

TEST_F(Subscriptions, ApprovalIsDeliveredBeforeThePushAndFollowedByPresence) {  // RFC 6121 §3.1.5, §3.1.6
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");
  (void)server.hears(romeo);
  (void)server.hears(juliet);
  server.says(juliet, "<presence to='romeo@example.com' type='subscribed' id='h4v1c4kj'/>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre(push("juliet@example.com/balcony", "jid='romeo@example.com' subscription='from'")));
  EXPECT_THAT(server.hears(romeo),
              ElementsAre("presence subscribed juliet@example.com -> romeo@example.com #h4v1c4kj",
                          push("romeo@example.com/orchard", "jid='juliet@example.com' subscription='to'"),
                          "presence available juliet@example.com/balcony -> romeo@example.com"));
}

TEST_F(Subscriptions, DenialReachesTheAskerAndClearsBothSides) {  // RFC 6121 §3.1.4, §3.2
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");
  (void)server.hears(romeo);
  (void)server.hears(juliet);
  server.says(juliet, "<presence to='romeo@example.com' type='unsubscribed'/>");
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  EXPECT_THAT(server.hears(romeo),
              ElementsAre("presence unsubscribed juliet@example.com -> romeo@example.com",
                          push("romeo@example.com/orchard", "jid='juliet@example.com' subscription='none'")));
  const auto chamber = server.connect("juliet@example.com/chamber");
  server.says(chamber, "<presence/>");
  EXPECT_THAT(server.hears(chamber), Not(Contains(StartsWith("presence subscribe")))) << "answered";
}

TEST_F(Subscriptions, HandshakeOfBothMakesThemMutual) {
  server.befriend(romeo, juliet);
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("jid='romeo@example.com' subscription='both'")));
  server.says(romeo, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("jid='juliet@example.com' subscription='both'")));
}

TEST_F(Subscriptions, CancellationSendsUnavailableFirst) {  // RFC 6121 §3.2.2, §3.2.3
  server.befriend(romeo, juliet);
  server.says(juliet, "<presence to='romeo@example.com' type='unsubscribed' id='c'/>");
  EXPECT_THAT(server.hears(romeo),
              ElementsAre("presence unavailable juliet@example.com/balcony -> romeo@example.com",
                          "presence unsubscribed juliet@example.com -> romeo@example.com #c",
                          push("romeo@example.com/orchard", "jid='juliet@example.com' subscription='from'")));
  EXPECT_THAT(server.hears(juliet),
              ElementsAre(push("juliet@example.com/balcony", "jid='romeo@example.com' subscription='to'")));
  server.says(juliet, "<presence><show>away</show></presence>");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Subscriptions, UnsubscribeIsDeliveredAnsweredAndEndsThePresence) {  // RFC 6121 §3.3.2, §3.3.3, A.3.2 note 1
  server.befriend(romeo, juliet);
  server.says(romeo, "<presence to='juliet@example.com' type='unsubscribe' id='u'/>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("presence unsubscribe romeo@example.com -> juliet@example.com #u",
                          push("juliet@example.com/balcony", "jid='romeo@example.com' subscription='to'")));
  EXPECT_THAT(server.hears(romeo),
              ElementsAre(push("romeo@example.com/orchard", "jid='juliet@example.com' subscription='from'"),
                          "presence unavailable juliet@example.com/balcony -> romeo@example.com"));
}

TEST_F(Subscriptions, RequestOfASubscriberIsAnsweredForTheUser) {  // RFC 6121 §3.1.3 rule 2, A.3.1 note 2
  server.remote_says("friend@example.net", "<presence to='juliet@example.com' type='subscribe'/>");
  server.says(juliet, "<presence to='friend@example.net' type='subscribed'/>");
  (void)server.hears(juliet);
  (void)server.hears_remote();
  server.remote_says("friend@example.net", "<presence to='juliet@example.com' type='subscribe' id='again'/>");
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence subscribed juliet@example.com -> friend@example.net #again",
                          "presence available juliet@example.com/balcony -> friend@example.net"));
}

TEST_F(Subscriptions, RequestsWaitForTheUserAndAreShownAtEachLoginUntilAnswered) {  // RFC 6121 §3.1.3 rule 4
  server.disconnect(juliet);
  server.says(romeo,
              "<presence to='juliet@example.com' type='subscribe' id='first'><status>It is I</status>"
              "<x xmlns='urn:example:x' a='1'/></presence>");
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe' id='second'/>");
  const std::string request =
      "presence subscribe romeo@example.com -> juliet@example.com #first <status>It is I</status>"
      "<x xmlns='urn:example:x' a='1'/>";
  for (int login = 0; login < 2; ++login) {
    const auto c = server.connect("juliet@example.com/" + std::to_string(login));
    server.says(c, "<presence/>");
    const auto heard = server.hears(c);
    EXPECT_THAT(heard, Contains(request)) << "the whole of it";
    EXPECT_EQ(std::ranges::count_if(heard, [](const auto& l) { return l.starts_with("presence subscribe"); }), 1);
    server.disconnect(c);
  }
  const auto c = server.connect("juliet@example.com/answer");
  server.says(c, "<presence/>");
  server.says(c, "<presence to='romeo@example.com' type='subscribed'/>");
  server.disconnect(c);
  const auto after = server.connect("juliet@example.com/after");
  server.says(after, "<presence/>");
  EXPECT_THAT(server.hears(after), Not(Contains(StartsWith("presence subscribe "))));
}

TEST_F(Subscriptions, LargeRequestIsKeptWithoutItsContent) {  // RFC 6121 §3.1.3, security warning; L, L+1
  server.disconnect(juliet);
  const auto wire_size = [&](const std::string& from, std::size_t status) {
    const auto s = parse_stanza("<presence to='juliet@example.com' type='subscribe'><status>" +
                                    std::string(status, 'x') + "</status></presence>",
                                address(from));
    return s->wire_size();
  };
  for (const auto& [user, over] : {std::pair{"big1@example.net", 0}, std::pair{"big2@example.net", 1}}) {
    const std::size_t status = 10'000 - (wire_size(user, 1) - 1) + static_cast<std::size_t>(over);
    server.remote_says(user, "<presence to='juliet@example.com' type='subscribe'><status>" + std::string(status, 'x') +
                                 "</status></presence>");
  }
  const auto c = server.connect("juliet@example.com/balcony");
  server.says(c, "<presence/>");
  const auto heard = server.hears(c);
  EXPECT_THAT(heard, Contains(StartsWith("presence subscribe big1@example.net -> juliet@example.com <status>xxx")));
  EXPECT_THAT(heard, Contains("presence subscribe big2@example.net -> juliet@example.com"));
}

TEST_F(Subscriptions, RequestsOfStrangersAreKeptUpToALimit) {  // RFC 6121 §3.1.3, THREATS F14 at L-1, L, L+1
  im_server::options o;
  o.limits.pending_requests = 3;
  o.federated = true;
  im_server small{o};
  for (int i = 1; i <= 4; ++i) {
    small.remote_says("s" + std::to_string(i) + "@example.net", "<presence to='juliet@example.com' type='subscribe'/>");
  }
  const auto c = small.connect("juliet@example.com/balcony");
  small.says(c, "<presence/>");
  const auto heard = small.hears(c);
  EXPECT_EQ(std::ranges::count_if(heard, [](const auto& l) { return l.starts_with("presence subscribe"); }), 3);
  EXPECT_THAT(small.hears_remote(), IsEmpty());
}

TEST_F(Subscriptions, PreApprovalIsPushedNotRoutedAndAnswersTheRequest) {  // RFC 6121 §3.4.2
  server.says(juliet, "<presence to='friend@example.net' type='subscribed' id='pg81vx64'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(push("juliet@example.com/balcony",
                                                     "jid='friend@example.net' subscription='none' approved='true'")));
  EXPECT_THAT(server.hears_remote(), IsEmpty());
  server.remote_says("friend@example.net", "<presence to='juliet@example.com' type='subscribe' id='r'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(push("juliet@example.com/balcony",
                                                     "jid='friend@example.net' subscription='from' approved='true'")));
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence subscribed juliet@example.com -> friend@example.net #r",
                          "presence available juliet@example.com/balcony -> friend@example.net"));
}

TEST_F(Subscriptions, PreApprovalWorksWhileTheUserIsAway) {
  server.says(juliet, "<presence to='romeo@example.com' type='subscribed'/>");
  server.disconnect(juliet);
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");
  EXPECT_THAT(server.hears(romeo), Contains("presence subscribed juliet@example.com -> romeo@example.com"));
}

TEST_F(Subscriptions, PreApprovalIsTakenBackSilently) {  // RFC 6121 §3.2.2 rule 2
  server.says(juliet, "<presence to='friend@example.net' type='subscribed'/>");
  (void)server.hears(juliet);
  server.says(juliet, "<presence to='friend@example.net' type='unsubscribed'/>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre(push("juliet@example.com/balcony", "jid='friend@example.net' subscription='none'")));
  EXPECT_THAT(server.hears_remote(), IsEmpty());
  server.remote_says("friend@example.net", "<presence to='juliet@example.com' type='subscribe'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence subscribe friend@example.net -> juliet@example.com"));
}

TEST_F(Subscriptions, UnaskedApprovalIsIgnored) {  // RFC 6121 §3.1.6, A.3.3
  server.remote_says("mallory@example.net", "<presence to='juliet@example.com' type='subscribed'/>");
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  EXPECT_THAT(server.hears_remote(), IsEmpty());
}

TEST_F(Subscriptions, UnknownUserSwallowsEveryThing) {  // RFC 6121 §8.5.1
  for (const auto* type : {"subscribe", "subscribed", "unsubscribe", "unsubscribed"}) {
    server.remote_says("friend@example.net",
                       "<presence to='nobody@example.com' type='" + std::string{type} + "' id='x'/>");
  }
  EXPECT_THAT(server.hears_remote(), IsEmpty());
}

TEST_F(Subscriptions, ToOneselfAreNothing) {  // RFC 6121 §4.2.2: subscribed already
  for (const auto* type : {"subscribe", "subscribed", "unsubscribe", "unsubscribed"}) {
    server.says(juliet, "<presence to='juliet@example.com' type='" + std::string{type} + "'/>");
  }
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<query xmlns='jabber:iq:roster'/>")));
}

TEST_F(Subscriptions, WithoutToAreBadRequests) {
  server.says(juliet, "<presence type='subscribe' id='x'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("#x !bad-request")));
}

TEST_F(Subscriptions, RequestThatCannotBeRoutedIsAnErrorToTheUser) {  // RFC 6121 §3.1.2
  im_server alone;
  const auto c = alone.login("juliet@example.com/balcony");
  alone.says(c, "<presence to='romeo@example.net' type='subscribe' id='xk3h1v69'/>");
  EXPECT_THAT(alone.hears(c), Contains("presence error romeo@example.net -> juliet@example.com #xk3h1v69 "
                                       "!remote-server-not-found cancel"));
}

TEST_F(Subscriptions, UnansweredRequestIsSentAgainAtTheNextLogin) {  // RFC 6121 §3.1.2
  server.says(juliet, "<presence to='friend@example.net' type='subscribe'/>");
  (void)server.hears_remote();
  server.disconnect(juliet);
  juliet = server.login("juliet@example.com/balcony");
  EXPECT_THAT(server.hears_remote(), ElementsAre("presence subscribe juliet@example.com -> friend@example.net"));
}

TEST_F(Subscriptions, NothingLeavesBeforeItIsStored) {
  server.says_without_settling(juliet, "<presence to='friend@example.net' type='subscribe'/>");
  server.homes.turn();
  EXPECT_THAT(server.hears_remote(), IsEmpty());
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  server.settle();
  EXPECT_THAT(server.hears_remote(), testing::SizeIs(1));
}

TEST_F(Subscriptions, StorageFailureIsToldToTheSender) {
  server.store.fail = true;
  server.says(juliet, "<presence to='friend@example.net' type='subscribe' id='x'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("#x !internal-server-error")));
  EXPECT_THAT(server.hears_remote(), IsEmpty());
}

TEST_F(Subscriptions, FullJidOfARemoteSenderIsCutToItsAccount) {  // RFC 6121 §3
  server.remote_says("friend@example.net/laptop", "<presence to='juliet@example.com' type='subscribe'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence subscribe friend@example.net -> juliet@example.com"));
}

TEST_F(Subscriptions, AllButRequestsToAResourceThatIsGoneAreIgnored) {  // RFC 6121 §8.5.3.2.2
  server.says(juliet, "<presence to='friend@example.net' type='subscribe'/>");
  (void)server.hears(juliet);
  server.remote_says("friend@example.net", "<presence to='juliet@example.com/gone' type='subscribed'/>");
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  server.remote_says("friend@example.net", "<presence to='juliet@example.com/gone' type='subscribe'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence subscribe friend@example.net -> juliet@example.com"));
  server.remote_says("friend@example.net", "<presence to='juliet@example.com/balcony' type='subscribed'/>");
  EXPECT_THAT(server.hears(juliet), Contains("presence subscribed friend@example.net -> juliet@example.com"));
}

}  // namespace
}  // namespace comity::server
