// jabber:iq:roster, RFC 6121 §2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "connection/xml/document.hpp"
#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using testing::UnorderedElementsAre;

constexpr std::string_view juliet_full = "juliet@example.com/balcony";

std::string roster_set(std::string_view item) {
  return "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>" + std::string{item} + "</query></iq>";
}

std::string push_of(std::string_view item) {
  return "iq set  -> juliet@example.com/balcony <query xmlns='jabber:iq:roster'>" + std::string{item} + "</query>";
}

/// The answer to the client's last request among what it heard.
std::string answer_in(const std::vector<std::string>& lines) {
  for (const auto& l : lines) {
    if (l.starts_with("iq result") || l.starts_with("iq error")) {
      return l;
    }
  }
  return "none";
}

TEST(Roster, EmptyOneIsAQueryWithoutItems) {  // RFC 6121 §2.1.4
  im_server server;
  const auto juliet = server.connect(juliet_full);
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(juliet),
              ElementsAre("iq result  -> juliet@example.com/balcony #g <query xmlns='jabber:iq:roster'/>"));
}

TEST(Roster, SetIsAnsweredPushedAndKept) {  // RFC 6121 §2.3.2
  im_server server;
  const auto juliet = server.login(juliet_full);
  const std::string item =
      "<item jid='nurse@example.com' name='Nurse &amp; Co' subscription='none'><group>Servants</group>"
      "<group>Friends</group></item>";
  server.says(juliet, roster_set("<item jid='nurse@example.com' name='Nurse &amp; Co'><group>Servants</group>"
                                 "<group>Friends</group></item>"));
  EXPECT_THAT(server.hears(juliet), UnorderedElementsAre("iq result  -> juliet@example.com/balcony #s", push_of(item)));
  const auto again = server.connect("juliet@example.com/chamber");
  server.says(again, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(again), ElementsAre(HasSubstr(item)));
}

TEST(Roster, PushGoesToInterestedResourcesOnly) {  // RFC 6121 §2.2, §2.3.2
  im_server server;
  const auto juliet = server.login(juliet_full);
  const auto chamber = server.login("juliet@example.com/chamber");
  const auto deaf = server.connect("juliet@example.com/deaf");
  server.says(deaf, "<presence/>");
  (void)server.hears(deaf);
  server.says(juliet, roster_set("<item jid='nurse@example.com'/>"));
  EXPECT_THAT(server.hears(juliet), Contains(StartsWith("iq set")));
  EXPECT_THAT(server.hears(chamber), Contains(StartsWith("iq set")));
  EXPECT_THAT(server.hears(deaf), IsEmpty());
}

TEST(Roster, NothingIsAcknowledgedBeforeItIsStored) {
  im_server server;
  const auto juliet = server.login(juliet_full);
  server.says_without_settling(juliet, roster_set("<item jid='nurse@example.com'/>"));
  server.homes.turn();
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  server.settle();
  EXPECT_THAT(server.hears(juliet), testing::SizeIs(2));
}

TEST(Roster, UpdateReplacesNameAndGroupsButNotTheSubscription) {  // RFC 6121 §2.4.1
  im_server server;
  const auto juliet = server.login(juliet_full);
  server.befriend(juliet, server.login("romeo@example.com/orchard"));
  server.says(juliet, roster_set("<item jid='romeo@example.com' name='R'><group>A</group></item>"));
  (void)server.hears(juliet);
  server.says(juliet, roster_set("<item jid='romeo@example.com' name=''/>"));
  EXPECT_THAT(server.hears(juliet), Contains(push_of("<item jid='romeo@example.com' subscription='both'/>")));
}

TEST(Roster, WhatIsTheServersToSetIsIgnored) {  // RFC 6121 §2.1.2.1, §2.1.2.2, §2.1.5
  im_server server;
  const auto juliet = server.login(juliet_full);
  server.says(juliet,
              roster_set("<item jid='nurse@example.com' subscription='both' ask='subscribe' approved='true'/>"));
  EXPECT_THAT(server.hears(juliet), Contains(push_of("<item jid='nurse@example.com' subscription='none'/>")));
}

struct bad_set {
  const char* what;
  std::string item;
  const char* answer;
};

TEST(Roster, FaultySetsAreRefusedAndChangeNothing) {  // RFC 6121 §2.3.3
  const std::string long_text(1024, 'x');
  const std::vector<bad_set> faults{
      {"no item", "", "!bad-request modify"},
      {"two items", "<item jid='a@example.com'/><item jid='b@example.com'/>", "!bad-request modify"},
      {"something else", "<thing jid='a@example.com'/>", "!bad-request modify"},
      {"no jid", "<item name='x'/>", "!bad-request modify"},
      {"empty jid", "<item jid=''/>", "!jid-malformed modify"},
      {"malformed jid", "<item jid='a@@b'/>", "!jid-malformed modify"},
      {"full jid", "<item jid='a@example.com/x'/>", "!bad-request modify"},
      {"oneself", "<item jid='juliet@example.com'/>", "!not-allowed cancel"},
      {"name too long", "<item jid='a@example.com' name='" + long_text + "'/>", "!not-acceptable modify"},
      {"empty group", "<item jid='a@example.com'><group/></item>", "!not-acceptable modify"},
      {"group too long", "<item jid='a@example.com'><group>" + long_text + "</group></item>", "!not-acceptable modify"},
      {"groups twice", "<item jid='a@example.com'><group>A</group><group>A</group></item>", "!bad-request modify"},
      {"groups the same once prepared", "<item jid='a@example.com'><group>a\u00a0b</group><group>a b</group></item>",
       "!bad-request modify"},
      {"remove what is not there", "<item jid='a@example.com' subscription='remove'/>", "!item-not-found cancel"},
  };
  im_server server;
  const auto juliet = server.login(juliet_full);
  for (const auto& f : faults) {
    server.says(juliet, roster_set(f.item));
    EXPECT_THAT(server.hears(juliet),
                ElementsAre(std::string{"iq error  -> juliet@example.com/balcony #s "} + f.answer))
        << f.what;
  }
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<query xmlns='jabber:iq:roster'/>")));
}

TEST(Roster, NameAndGroupAreTakenUpToTheirLimit) {  // RFC 6121 §2.3.3 at L-1, L; L+1 is above
  im_server server;
  const auto juliet = server.login(juliet_full);
  for (const std::size_t size : {1022U, 1023U}) {
    const std::string text(size, 'x');
    server.says(juliet, roster_set("<item jid='a@example.com' name='" + text + "'><group>" + text + "</group></item>"));
    EXPECT_THAT(answer_in(server.hears(juliet)), StartsWith("iq result"));
  }
}

TEST(Roster, ContactHasAtMostAHundredGroups) {  // L-1, L, L+1
  im_server server;
  const auto juliet = server.login(juliet_full);
  for (const int n : {99, 100, 101}) {
    std::string item = "<item jid='a@example.com'>";
    for (int i = 0; i < n; ++i) {
      item += "<group>g" + std::to_string(i) + "</group>";
    }
    server.says(juliet, roster_set(item + "</item>"));
    EXPECT_THAT(answer_in(server.hears(juliet)), HasSubstr(n <= 100 ? "iq result" : "!not-acceptable"));
  }
}

TEST(Roster, GetWithAnItemIsABadRequest) {  // RFC 6121 §2.1.3
  im_server server;
  const auto juliet = server.login(juliet_full);
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'><item jid='a@example.com'/></query></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("!bad-request")));
}

TEST(Roster, WhatExtensionsAddToAQueryIsPassedOver) {  // RFC 6120 §8.4; XEP-0405 §3.4, as QXmpp sends it
  const std::string annotate = "<annotate xmlns='urn:xmpp:mix:roster:0'/>";
  im_server server;
  const auto juliet = server.login(juliet_full);
  server.says(juliet, roster_set(annotate + "<item jid='nurse@example.com'/>" + annotate));
  EXPECT_THAT(answer_in(server.hears(juliet)), StartsWith("iq result"));
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'>" + annotate + "</query></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<item jid='nurse@example.com' subscription='none'/>")));
}

TEST(Roster, HoldsItemsUpToItsLimitAndNoMore) {  // THREATS F14 at L-1, L, L+1
  im_server::options o;
  o.limits.roster_items = 3;
  im_server server{o};
  const auto juliet = server.login(juliet_full);
  for (int i = 1; i <= 4; ++i) {
    server.says(juliet, roster_set("<item jid='c" + std::to_string(i) + "@example.com'/>"));
    EXPECT_THAT(answer_in(server.hears(juliet)), HasSubstr(i <= 3 ? "iq result" : "!resource-constraint wait"));
  }
  server.says(juliet, roster_set("<item jid='c3@example.com' name='still'/>"));
  EXPECT_THAT(answer_in(server.hears(juliet)), StartsWith("iq result")) << "an update adds nothing";
  server.says(juliet, "<presence to='c5@example.com' type='subscribe' id='p'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("#p !resource-constraint wait")));
  server.says(juliet, "<presence to='c5@example.com' type='subscribed' id='p'/>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("#p !resource-constraint wait")));
  server.says(juliet, roster_set("<item jid='c1@example.com' subscription='remove'/>"));
  (void)server.hears(juliet);
  server.says(juliet, roster_set("<item jid='c5@example.com'/>"));
  EXPECT_THAT(answer_in(server.hears(juliet)), StartsWith("iq result")) << "room again";
}

TEST(Roster, RemovalCancelsBothSubscriptions) {  // RFC 6121 §2.5.2
  im_server server{{.federated = true}};
  const auto juliet = server.login(juliet_full);
  server.says(juliet, "<presence to='romeo@example.net' type='subscribe'/>");
  server.remote_says("romeo@example.net", "<presence to='juliet@example.com' type='subscribed'/>");
  server.remote_says("romeo@example.net", "<presence to='juliet@example.com' type='subscribe'/>");
  server.says(juliet, "<presence to='romeo@example.net' type='subscribed'/>");
  (void)server.hears(juliet);
  (void)server.hears_remote();
  server.says(juliet, roster_set("<item jid='romeo@example.net' subscription='remove'/>"));
  EXPECT_THAT(server.hears(juliet),
              UnorderedElementsAre("iq result  -> juliet@example.com/balcony #s",
                                   push_of("<item jid='romeo@example.net' subscription='remove'/>")));
  EXPECT_THAT(server.hears_remote(), ElementsAre("presence unsubscribe juliet@example.com -> romeo@example.net",
                                                 "presence unavailable juliet@example.com/balcony -> romeo@example.net",
                                                 "presence unsubscribed juliet@example.com -> romeo@example.net"));
}

TEST(Roster, RemovalOfALocalContactLeavesBothSidesWithNone) {
  im_server server;
  const auto juliet = server.login(juliet_full);
  const auto romeo = server.login("romeo@example.com/orchard");
  server.befriend(juliet, romeo);
  server.says(juliet, roster_set("<item jid='romeo@example.com' subscription='remove'/>"));
  server.says(romeo, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(answer_in(server.hears(romeo)), HasSubstr("<item jid='juliet@example.com' subscription='none'/>"));
}

TEST(Roster, RemovalTakesARequestOfOursBack) {
  im_server server{{.federated = true}};
  const auto juliet = server.login(juliet_full);
  server.says(juliet, "<presence to='romeo@example.net' type='subscribe'/>");
  (void)server.hears_remote();
  server.says(juliet, roster_set("<item jid='romeo@example.net' subscription='remove'/>"));
  EXPECT_THAT(server.hears_remote(), ElementsAre("presence unsubscribe juliet@example.com -> romeo@example.net"));
}

TEST(Roster, RemovalKeepsTheRequestOfTheContact) {  // RFC 6121 A.1 state 3
  im_server server;
  const auto juliet = server.login(juliet_full);
  const auto romeo = server.login("romeo@example.com/orchard");
  server.says(juliet, roster_set("<item jid='romeo@example.com'/>"));
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'><status>please</status></presence>");
  server.says(juliet, roster_set("<item jid='romeo@example.com' subscription='remove'/>"));
  (void)server.hears(juliet);
  const auto chamber = server.connect("juliet@example.com/chamber");
  server.says(chamber, "<presence/>");
  EXPECT_THAT(server.hears(chamber), Contains("presence subscribe romeo@example.com -> juliet@example.com "
                                              "<status>please</status>"));
}

TEST(Roster, IsNobodyElsesToReadOrWrite) {  // RFC 6121 §2.1.5, THREATS F8
  im_server server;
  const auto juliet = server.login(juliet_full);
  const auto romeo = server.login("romeo@example.com/orchard");
  const auto ask = [&](std::string_view type, std::string_view to, std::string_view item) {
    server.says(romeo, "<iq type='" + std::string{type} + "' id='f' to='" + std::string{to} +
                           "'><query xmlns='jabber:iq:roster'>" + std::string{item} + "</query></iq>");
    const auto heard = server.hears(romeo);
    EXPECT_EQ(heard.size(), 1U);
    return heard.empty() ? std::string{} : heard.front();
  };
  const std::string item = "<item jid='nurse@example.com'/>";
  for (const auto* to : {"juliet@example.com", "juliet@example.com/balcony", "nobody@example.com"}) {
    EXPECT_THAT(ask("set", to, item), HasSubstr("!service-unavailable")) << "to a stranger, nothing is told: " << to;
    EXPECT_THAT(ask("get", to, ""), HasSubstr("!service-unavailable")) << to;
  }
  server.befriend(juliet, romeo);
  EXPECT_THAT(ask("set", "juliet@example.com", item), HasSubstr("!forbidden auth"));
  EXPECT_THAT(ask("get", "juliet@example.com", ""), HasSubstr("!forbidden auth"));
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST(Roster, ForgedPushFromAContactArrivesUnderItsTrueName) {  // THREATS F8
  im_server server;
  const auto juliet = server.login(juliet_full);
  const auto romeo = server.login("romeo@example.com/orchard");
  server.befriend(juliet, romeo);
  server.says(romeo,
              "<iq type='set' id='f' from='juliet@example.com' to='juliet@example.com/balcony'>"
              "<query xmlns='jabber:iq:roster'><item jid='mallory@example.com'/></query></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(StartsWith("iq set romeo@example.com/orchard -> ")));
}

TEST(Roster, StorageFailureIsAnAnswerAndChangesNothing) {
  im_server server;
  const auto juliet = server.login(juliet_full);
  server.store.fail = true;
  server.says(juliet, roster_set("<item jid='nurse@example.com'/>"));
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("!internal-server-error")));
  server.store.fail = false;
  server.says(juliet, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<query xmlns='jabber:iq:roster'/>")));
}

// Versions, RFC 6121 §2.6.

class RosterVersions : public testing::Test {
protected:
  /// The ver that the whole roster carries now.
  std::string current() {
    const auto c = server.connect("juliet@example.com/version");
    server.says(c, "<iq type='get' id='v'><query xmlns='jabber:iq:roster'/></iq>");
    const auto all = server.outlet.take(c.session);
    const auto document = all.at(0)->document();
    std::string ver{document->root().first_child().attribute("ver").value_or("none")};
    server.disconnect(c);
    return ver;
  }
  void set(std::string_view item) {
    server.says(juliet, roster_set(item));
    (void)server.hears(juliet);
  }
  /// What a client hears that comes back with `ver`.
  std::vector<std::string> back_with(std::string_view ver) {
    const auto c = server.connect("juliet@example.com/back");
    server.says(c, "<iq type='get' id='v'><query xmlns='jabber:iq:roster' ver='" + std::string{ver} + "'/></iq>");
    auto heard = server.hears(c);
    for (auto& l : heard) {
      l = l.substr(0, l.find(" -> ")) + " " + (l.find('<') == std::string::npos ? "" : l.substr(l.find('<')));
    }
    server.disconnect(c);
    return heard;
  }
  im_server server;
  client juliet = server.login(juliet_full);
};

TEST_F(RosterVersions, UnchangedRosterIsAnEmptyResult) {  // RFC 6121 §2.6.3
  set("<item jid='nurse@example.com'/>");
  EXPECT_THAT(back_with(current()), ElementsAre("iq result  "));
}

TEST_F(RosterVersions, EmptyVersionIsAnsweredWithTheWholeRoster) {  // RFC 6121 §2.6.2
  set("<item jid='nurse@example.com'/>");
  EXPECT_THAT(back_with(""), ElementsAre("iq result  <query xmlns='jabber:iq:roster'><item jid='nurse@example.com' "
                                         "subscription='none'/></query>"));
}

TEST_F(RosterVersions, ChangesFollowAsPushesInTheirOrder) {  // RFC 6121 §2.6.3
  set("<item jid='a@example.com'/>");
  set("<item jid='b@example.com'/>");
  set("<item jid='c@example.com'/>");
  const auto then = current();
  set("<item jid='b@example.com' name='B'/>");
  set("<item jid='a@example.com' subscription='remove'/>");
  set("<item jid='b@example.com' name='Bee'/>");
  EXPECT_THAT(back_with(then),
              ElementsAre("iq result  ",
                          "iq set  <query xmlns='jabber:iq:roster'><item jid='a@example.com' "
                          "subscription='remove'/></query>",
                          "iq set  <query xmlns='jabber:iq:roster'><item jid='b@example.com' name='Bee' "
                          "subscription='none'/></query>"));
}

TEST_F(RosterVersions, ContactThatCameBackIsNotReportedRemoved) {
  set("<item jid='a@example.com'/>");
  const auto then = current();
  set("<item jid='a@example.com' subscription='remove'/>");
  set("<item jid='a@example.com' name='again'/>");
  EXPECT_THAT(back_with(then), ElementsAre("iq result  ", HasSubstr("name='again'")));
}

TEST_F(RosterVersions, VersionsThatAreNotOursGetTheWholeRoster) {  // RFC 6121 §2.6.3 (2)
  set("<item jid='nurse@example.com'/>");
  for (const auto* odd : {"999999", "-1", "ver14", "1x", "99999999999999999999999"}) {
    EXPECT_THAT(back_with(odd), ElementsAre(HasSubstr("<item jid='nurse@example.com'"))) << odd;
  }
}

TEST_F(RosterVersions, WholeRosterIsSentWhereItIsTheShorterAnswer) {  // RFC 6121 §2.6.3 (1)
  set("<item jid='a@example.com'/>");
  const auto then = current();
  for (int i = 0; i < 5; ++i) {
    set("<item jid='b" + std::to_string(i) + "@example.com'/>");
    set("<item jid='b" + std::to_string(i) + "@example.com' subscription='remove'/>");
  }
  EXPECT_THAT(back_with(then), ElementsAre(HasSubstr("<item jid='a@example.com'")));
}

TEST_F(RosterVersions, HiddenRequestIsNoChangeThatClientsSee) {  // RFC 6121 §2.6.3, definition
  set("<item jid='nurse@example.com'/>");
  const auto then = current();
  const auto romeo = server.login("romeo@example.com/orchard");
  server.says(romeo, "<presence to='juliet@example.com' type='subscribe'/>");
  EXPECT_THAT(back_with(then), ElementsAre("iq result  "));
}

TEST_F(RosterVersions, SurviveTheEndOfAllSessions) {
  set("<item jid='a@example.com'/>");
  set("<item jid='b@example.com'/>");
  const auto then = current();
  set("<item jid='a@example.com' subscription='remove'/>");
  server.disconnect(juliet);
  EXPECT_THAT(back_with(then), ElementsAre("iq result  ", HasSubstr("subscription='remove'")));
}

TEST_F(RosterVersions, EveryPushHasAVersionOfItsOwn) {  // RFC 6121 §2.6.3
  std::vector<std::string> versions;
  for (const auto* item : {"<item jid='a@example.com'/>", "<item jid='a@example.com' name='A'/>",
                           "<item jid='a@example.com' subscription='remove'/>"}) {
    server.says(juliet, roster_set(item));
    for (const auto& s : server.outlet.take(juliet.session)) {
      if (s->type() == stanza_type::set) {
        versions.emplace_back(s->document()->root().first_child().attribute("ver").value_or(""));
      }
    }
  }
  EXPECT_EQ(versions.size(), 3U);
  EXPECT_EQ(std::set(versions.begin(), versions.end()).size(), 3U);
}

}  // namespace
}  // namespace comity::server
