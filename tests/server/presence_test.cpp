// Presence, RFC 6121 §4.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using testing::UnorderedElementsAre;

class Presence : public testing::Test {
protected:
  /// juliet@example.com and friend@example.net become subscribed to each other.
  void befriend_remote() {
    server.says(juliet, "<presence to='friend@example.net' type='subscribe'/>");
    server.remote_says("friend@example.net", "<presence to='juliet@example.com' type='subscribed'/>");
    server.remote_says("friend@example.net", "<presence to='juliet@example.com' type='subscribe'/>");
    server.says(juliet, "<presence to='friend@example.net' type='subscribed'/>");
    (void)server.hears(juliet);
    (void)server.hears_remote();
  }
  im_server server{im_server::options{.federated = true}};
  client juliet = server.login("juliet@example.com/balcony");
  client romeo = server.login("romeo@example.com/orchard");
};

TEST_F(Presence, InitialPresenceGoesToSubscribersAndBackToItsSender) {  // RFC 6121 §4.2.2
  server.befriend(juliet, romeo);
  server.disconnect(juliet);
  (void)server.hears(romeo);
  juliet = server.connect("juliet@example.com/balcony");
  server.says(juliet, "<presence id='p1'><show>dnd</show><priority>5</priority></presence>");
  EXPECT_THAT(server.hears(romeo),
              ElementsAre("presence available juliet@example.com/balcony -> romeo@example.com #p1 <show>dnd</show>"
                          "<priority>5</priority>"));
  EXPECT_THAT(server.hears(juliet),
              UnorderedElementsAre("presence available juliet@example.com/balcony -> juliet@example.com/balcony #p1 "
                                   "<show>dnd</show><priority>5</priority>",
                                   "presence available romeo@example.com/orchard -> juliet@example.com/balcony"));
}

TEST_F(Presence, ReachesEachOfManySubscribersOnce) {  // RFC 6121 §4.4.2; more than are told at once
  std::vector<client> friends;
  for (std::size_t i = 0; i < (2 * stanza::at_once) + 1; ++i) {
    const auto name = "friend" + std::to_string(i);
    server.add_account(name);
    friends.push_back(server.login(name + "@example.com/here"));
    server.befriend(juliet, friends.back());
  }
  server.disconnect(friends.front());
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");  // not granted
  for (const auto& each : friends) {
    (void)server.hears(each);
  }
  (void)server.hears(juliet);
  (void)server.hears(romeo);
  server.says(juliet, "<presence><show>away</show></presence>");
  for (const auto& each : friends) {
    if (&each == &friends.front()) {
      EXPECT_THAT(server.hears(each), IsEmpty());
    } else {
      EXPECT_THAT(server.hears(each), ElementsAre("presence available juliet@example.com/balcony -> " +
                                                  std::string{each.full.bare_text()} + " <show>away</show>"));
    }
  }
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Presence, ReachesTheOthersWhereSomebodyGoesMeanwhile) {  // THREATS F4: a reader too slow ends within a broadcast
  std::vector<client> friends;
  for (const std::string name : {"a", "b", "c"}) {
    server.add_account(name);
    friends.push_back(server.login(name + "@example.com/here"));
    server.befriend(juliet, friends.back());
  }
  for (const auto& each : friends) {
    (void)server.hears(each);
  }
  (void)server.hears(juliet);
  bool gone = false;
  server.outlet.sending = [&](connection::session_ref to) {
    if (to == friends[0].session && !std::exchange(gone, true)) {
      server.router->unbind(friends[1].session, friends[1].full);
    }
  };
  server.says(juliet, "<presence><show>away</show></presence>");
  server.outlet.sending = nullptr;
  EXPECT_TRUE(gone);
  EXPECT_THAT(server.hears(friends[0]), ElementsAre(HasSubstr("<show>away</show>")));
  EXPECT_THAT(server.hears(friends[1]), IsEmpty());
  EXPECT_THAT(server.hears(friends[2]), ElementsAre(HasSubstr("<show>away</show>")));
  EXPECT_THAT(server.hears(juliet), Contains("presence unavailable b@example.com/here -> juliet@example.com"));
}

TEST_F(Presence, ThoseWhoAreNotSubscribedSeeNothing) {
  server.says(juliet, "<presence to='romeo@example.com' type='subscribe'/>");
  server.says(romeo, "<presence to='juliet@example.com' type='subscribed'/>");  // juliet sees romeo, not the reverse
  (void)server.hears(romeo);
  server.says(juliet, "<presence><show>away</show></presence>");
  server.disconnect(juliet);
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Presence, RemoteContactsAreToldAndProbedFromTheBareJid) {  // RFC 6121 §4.2.2, §4.3.1
  befriend_remote();
  server.disconnect(juliet);
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unavailable juliet@example.com/balcony -> friend@example.net"));
  juliet = server.connect("juliet@example.com/balcony");
  server.says(juliet, "<presence/>");
  EXPECT_THAT(server.hears_remote(), ElementsAre("presence available juliet@example.com/balcony -> friend@example.net",
                                                 "presence probe juliet@example.com -> friend@example.net"));
  server.says(juliet, "<presence><show>away</show></presence>");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence available juliet@example.com/balcony -> friend@example.net <show>away</show>"))
      << "an update probes nobody";
}

TEST_F(Presence, OwnResourcesSeeEachOther) {  // RFC 6121 §4.2.2, §4.4.2
  const auto chamber = server.connect("juliet@example.com/chamber");
  server.says(chamber, "<presence><show>xa</show></presence>");
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence available juliet@example.com/chamber -> "
                                                "juliet@example.com/balcony <show>xa</show>"));
  EXPECT_THAT(server.hears(chamber),
              ElementsAre("presence available juliet@example.com/chamber -> juliet@example.com/chamber <show>xa</show>",
                          "presence available juliet@example.com/balcony -> juliet@example.com/chamber"));
  const auto silent = server.connect("juliet@example.com/silent");
  server.says(chamber, "<presence type='unavailable'><status>bye</status></presence>");
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence unavailable juliet@example.com/chamber -> "
                                                "juliet@example.com/balcony <status>bye</status>"));
  EXPECT_THAT(server.hears(chamber), ElementsAre("presence unavailable juliet@example.com/chamber -> "
                                                 "juliet@example.com/chamber <status>bye</status>"))
      << "§4.5.2: its author too";
  EXPECT_THAT(server.hears(silent), IsEmpty()) << "connected is not available";
}

TEST_F(Presence, BrokenStreamIsUnavailablePresenceOnce) {  // RFC 6121 §4.5.2
  server.befriend(juliet, romeo);
  server.disconnect(juliet);
  server.disconnect(juliet);
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence unavailable juliet@example.com/balcony -> romeo@example.com"));
}

TEST_F(Presence, GracefulEndIsNotRepeatedByTheServer) {
  server.befriend(juliet, romeo);
  server.says(juliet, "<presence type='unavailable'/>");
  (void)server.hears(romeo);
  server.disconnect(juliet);
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Presence, PresenceAfterUnavailableBeginsANewSession) {  // RFC 6121 §4.5.2, implementation note
  server.befriend(juliet, romeo);
  server.says(juliet, "<presence type='unavailable'/>");
  (void)server.hears(juliet);
  (void)server.hears(romeo);
  server.says(juliet, "<presence/>");
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence available juliet@example.com/balcony -> romeo@example.com"));
  EXPECT_THAT(server.hears(juliet), Contains(StartsWith("presence available romeo@example.com/orchard"))) << "probed";
}

TEST_F(Presence, UnavailableWithoutHavingBeenAvailableIsNothing) {
  server.befriend(juliet, romeo);
  const auto quiet = server.connect("juliet@example.com/quiet");
  server.says(quiet, "<presence type='unavailable'/>");
  server.disconnect(quiet);
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST_F(Presence, PriorityIsAnIntegerOfOneByte) {  // RFC 6121 §4.7.2.3 at -129, -128, 127, 128
  for (const auto* good : {"-128", "127", "0"}) {
    server.says(juliet, "<presence id='x'><priority>" + std::string{good} + "</priority></presence>");
    EXPECT_THAT(server.hears(juliet), ElementsAre(StartsWith("presence available"))) << good;
  }
  for (const auto* bad : {"-129", "128", "high", ""}) {
    server.says(juliet, "<presence id='x'><priority>" + std::string{bad} + "</priority></presence>");
    EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("#x !bad-request modify"))) << bad;
  }
}

TEST_F(Presence, UnknownTypeIsABadRequest) {  // RFC 6121 §4.7.1
  server.says(juliet, "<presence type='available' id='x'/>");
  server.says(juliet, "<presence type='foo' to='romeo@example.com' id='y'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("#x !bad-request"), HasSubstr("#y !bad-request")));
  server.remote_says("friend@example.net", "<presence type='foo' to='juliet@example.com' id='z'/>");
  EXPECT_THAT(server.hears_remote(), ElementsAre(HasSubstr("#z !bad-request")));
}

TEST_F(Presence, ToABareJidReachesAllAvailableResources) {  // RFC 6121 §8.5.2.1.2
  const auto negative = server.login("juliet@example.com/negative");
  server.says(negative, "<presence><priority>-5</priority></presence>");
  const auto connected = server.connect("juliet@example.com/connected");
  (void)server.hears(juliet);
  (void)server.hears(negative);
  server.says(romeo, "<presence to='juliet@example.com'/>");
  const std::string expected = "presence available romeo@example.com/orchard -> juliet@example.com";
  EXPECT_THAT(server.hears(juliet), ElementsAre(expected));
  EXPECT_THAT(server.hears(negative), ElementsAre(expected));
  EXPECT_THAT(server.hears(connected), IsEmpty());
}

TEST_F(Presence, ErrorToTheAccountReachesItsAvailableResources) {  // answers to what the server sent in its name
  server.remote_says("friend@example.net",
                     "<presence to='juliet@example.com' type='error' id='x'><error type='cancel'><gone "
                     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>");
  EXPECT_THAT(server.hears(juliet), ElementsAre("presence error friend@example.net -> juliet@example.com #x !gone "
                                                "cancel"));
}

TEST_F(Presence, StorageFailureLeavesTheResourceUnavailable) {
  const auto chamber = server.connect("nurse@example.com/chamber");
  server.store.fail = true;
  server.says(chamber, "<presence id='x'/>");
  EXPECT_THAT(server.hears(chamber), ElementsAre(HasSubstr("#x !internal-server-error")));
  server.store.fail = false;
  server.says(chamber, "<presence id='y'/>");
  EXPECT_THAT(server.hears(chamber), ElementsAre(HasSubstr("#y")));
}

// Directed presence, RFC 6121 §4.6.

TEST_F(Presence, DirectedPresenceIsFollowedByUnavailableWhenItsSenderGoes) {  // RFC 6121 §4.6.3 rule 2
  server.says(juliet, "<presence to='room@chat.example.net/jule'/>");
  server.says(juliet, "<presence to='romeo@example.com'/>");
  (void)server.hears_remote();
  (void)server.hears(romeo);
  server.says(juliet, "<presence><show>away</show></presence>");
  EXPECT_THAT(server.hears_remote(), IsEmpty()) << "no subscriber, no broadcast";
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  server.disconnect(juliet);
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unavailable juliet@example.com/balcony -> room@chat.example.net/jule"));
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence unavailable juliet@example.com/balcony -> romeo@example.com"));
}

TEST_F(Presence, DirectedPresenceBeforeInitialPresenceIsEndedToo) {  // RFC 6121 §4.6.3 rule 3
  server.befriend(juliet, romeo);
  const auto early = server.connect("juliet@example.com/early");
  server.says(early, "<presence to='romeo@example.com'/>");
  (void)server.hears(romeo);
  server.says(early, "<presence type='unavailable'/>");
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence unavailable juliet@example.com/early -> romeo@example.com"));
  server.disconnect(early);
  EXPECT_THAT(server.hears(romeo), IsEmpty()) << "§4.6.1: the list is cleared";
}

TEST_F(Presence, SubscriberWhoAlsoGotDirectedPresenceIsToldOnce) {  // RFC 6121 §4.6.3 rule 1
  server.befriend(juliet, romeo);
  server.says(juliet, "<presence to='romeo@example.com'/>");
  (void)server.hears(romeo);
  server.disconnect(juliet);
  EXPECT_THAT(server.hears(romeo), testing::SizeIs(1));
}

TEST_F(Presence, SubscriberWhoGotDirectedPresenceBeforeTheBroadcastIsToldOnceToo) {  // RFC 6121 §4.6.3 rules 1, 3
  server.befriend(juliet, romeo);
  const auto early = server.connect("juliet@example.com/early");
  server.says(early, "<presence to='romeo@example.com'/>");
  server.says(early, "<presence/>");
  (void)server.hears(romeo);
  server.disconnect(early);
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence unavailable juliet@example.com/early -> romeo@example.com"));
}

TEST_F(Presence, DirectedUnavailableTakesTheEntityOffTheList) {  // RFC 6121 §4.6.1
  server.says(juliet, "<presence to='romeo@example.com'/>");
  server.says(juliet, "<presence to='romeo@example.com' type='unavailable'/>");
  EXPECT_THAT(server.hears(romeo), ElementsAre(StartsWith("presence available"), StartsWith("presence unavailable")));
  server.disconnect(juliet);
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Presence, EntityThatHasGoneIsTakenOffTheList) {  // RFC 6121 §4.6.1
  server.says(juliet, "<presence to='room@chat.example.net/jule'/>");
  server.remote_says("room@chat.example.net/jule", "<presence to='juliet@example.com/balcony' type='unavailable'/>");
  (void)server.hears_remote();
  server.disconnect(juliet);
  EXPECT_THAT(server.hears_remote(), IsEmpty());
}

TEST_F(Presence, DirectedPresencesOfOneResourceAreLimited) {  // THREATS D7 at L-1, L, L+1
  im_server::options o;
  o.limits.directed_presences = 3;
  o.federated = true;
  im_server small{o};
  const auto c = small.login("juliet@example.com/balcony");
  for (int i = 1; i <= 4; ++i) {
    small.says(c, "<presence id='d" + std::to_string(i) + "' to='room" + std::to_string(i) + "@example.net/j'/>");
  }
  EXPECT_THAT(small.hears_remote(), testing::SizeIs(3));
  EXPECT_THAT(small.hears(c), ElementsAre(HasSubstr("#d4 !resource-constraint wait")));
  small.says(c, "<presence to='room1@example.net/j'><show>away</show></presence>");
  EXPECT_THAT(small.hears_remote(), testing::SizeIs(1)) << "who is on the list may be told again";
}

// Probes, RFC 6121 §4.3.2.

class Probes : public Presence {
protected:
  void probe(std::string_view to) {
    server.remote_says("friend@example.net", "<presence type='probe' id='probe1' to='" + std::string{to} + "'/>");
  }
};

TEST_F(Probes, SubscriberGetsTheLastPresenceOfEachResource) {  // RFC 6121 §4.3.2 rule 4, §4.3.2.1
  befriend_remote();
  const auto chamber = server.login("juliet@example.com/chamber");
  server.says(juliet, "<presence id='pres1'><show>dnd</show><status>busy!</status></presence>");
  server.says(chamber, "<presence id='pres2'><show>away</show></presence>");
  server.says(chamber, "<presence to='x@example.net' id='directed'/>");
  (void)server.hears_remote();
  probe("juliet@example.com");
  EXPECT_THAT(server.hears_remote(),
              UnorderedElementsAre("presence available juliet@example.com/balcony -> friend@example.net #pres1 "
                                   "<show>dnd</show><status>busy!</status>",
                                   "presence available juliet@example.com/chamber -> friend@example.net #pres2 "
                                   "<show>away</show>"));
}

TEST_F(Probes, SubscriberOfAnAbsentUserIsToldSinceWhen) {  // RFC 6121 §4.3.2 rule 3
  befriend_remote();
  server.disconnect(juliet);
  (void)server.hears_remote();
  server.clock.advance(std::chrono::hours{5});
  probe("juliet@example.com");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unavailable juliet@example.com -> friend@example.net #probe1 "
                          "<delay xmlns='urn:xmpp:delay' stamp='2026-01-02T03:04:05Z'/>"));
}

TEST_F(Probes, StrangerAndAbsenceOfTheAccountGetTheSameAnswer) {  // RFC 6121 §4.3.2 rule 1, THREATS D7
  probe("juliet@example.com");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unsubscribed juliet@example.com -> friend@example.net #probe1"));
  probe("nobody@example.com");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unsubscribed nobody@example.com -> friend@example.net #probe1"));
  probe("juliet@example.com/balcony");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unsubscribed juliet@example.com -> friend@example.net #probe1"));
  probe("nurse@example.com");  // exists, offline
  EXPECT_THAT(server.hears_remote(), ElementsAre("presence unsubscribed nurse@example.com -> friend@example.net "
                                                 "#probe1"));
}

TEST_F(Probes, OfOneResourceTellOnlyWhetherItIsThere) {  // RFC 6121 §4.3.2, probes to a full JID
  befriend_remote();
  server.says(juliet, "<presence id='pres1'><show>dnd</show></presence>");
  (void)server.hears_remote();
  probe("juliet@example.com/balcony");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence available juliet@example.com/balcony -> friend@example.net"));
  probe("juliet@example.com/gone");
  EXPECT_THAT(server.hears_remote(), ElementsAre("presence unavailable juliet@example.com/gone -> friend@example.net"));
}

TEST_F(Probes, WhoWasSentDirectedPresenceMayAskForThatResource) {  // RFC 6121 §4.6.6
  const auto chamber = server.login("juliet@example.com/chamber");
  server.says(chamber, "<presence to='friend@example.net'><show>dnd</show></presence>");
  (void)server.hears_remote();
  probe("juliet@example.com/chamber");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence available juliet@example.com/chamber -> friend@example.net"));
  probe("juliet@example.com");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence available juliet@example.com/chamber -> friend@example.net"));
  probe("juliet@example.com/balcony");
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unsubscribed juliet@example.com -> friend@example.net #probe1"));
}

TEST_F(Probes, FromClientsAreNoReasonForAnError) {  // RFC 6121 §4.3
  server.befriend(juliet, romeo);
  server.says(romeo, "<presence type='probe' to='juliet@example.com' id='x'/>");
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence available juliet@example.com/balcony -> "
                                               "romeo@example.com/orchard"));
  server.says(romeo, "<presence type='probe'/>");
  server.says(romeo, "<presence type='probe' to='example.com'/>");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Probes, AnswersToALoginGoToTheResourceThatLoggedIn) {
  server.befriend(juliet, romeo);
  const auto chamber = server.connect("juliet@example.com/chamber");
  (void)server.hears(juliet);
  server.says(chamber, "<presence/>");
  EXPECT_THAT(server.hears(chamber), Contains("presence available romeo@example.com/orchard -> "
                                              "juliet@example.com/chamber"));
  EXPECT_THAT(server.hears(juliet), Not(Contains(StartsWith("presence available romeo"))));
}

TEST_F(Probes, UnsubscribedAnswerHealsARosterThatIsOutOfStep) {  // RFC 6121 §4.3.2 rule 1
  server.befriend(juliet, romeo);
  server.disconnect(romeo);
  server.disconnect(juliet);
  // romeo's roster has lost juliet; hers still believes in the subscription.
  server.store.roster_remove(address("romeo@example.com"), address("juliet@example.com"), [](auto) {});
  server.settle();
  juliet = server.connect("juliet@example.com/balcony");
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  server.says(juliet, "<presence/>");
  EXPECT_THAT(server.hears(juliet), Contains(HasSubstr("<item jid='romeo@example.com' subscription='from'/>")));
}

TEST_F(Probes, UnsubscribedAnswerLeavesAPreApprovalAlone) {  // RFC 6121 §4.3.2 rule 1
  server.says(juliet, "<presence to='romeo@example.com' type='subscribed'/>");
  server.says(juliet, "<presence to='romeo@example.com' type='probe'/>");
  (void)server.hears(juliet);
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("approved='true'")));
}

}  // namespace
}  // namespace comity::server
