// Blocking Command, XEP-0191.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr std::string_view hi = "<body>hi</body>";

class Blocking : public testing::Test {
protected:
  static std::string items(std::initializer_list<std::string_view> jids) {
    std::string all;
    for (const auto each : jids) {
      all += "<item jid='" + std::string{each} + "'/>";
    }
    return all;
  }
  std::vector<std::string> change(const client& c, const std::string& what, const std::string& content) {
    server.says(c, "<iq type='set' id='b'><" + what + " xmlns='urn:xmpp:blocking'>" + content + "</" + what + "></iq>");
    return server.hears(c);
  }
  std::vector<std::string> block(const client& c, std::initializer_list<std::string_view> jids) {
    return change(c, "block", items(jids));
  }
  std::vector<std::string> unblock(const client& c, std::initializer_list<std::string_view> jids) {
    return change(c, "unblock", items(jids));
  }
  std::vector<std::string> list(const client& c) {
    server.says(c, "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>");
    return server.hears(c);
  }
  static std::string listed(const client& c, std::initializer_list<std::string_view> jids) {
    return answer(c, "l") + " <blocklist xmlns='urn:xmpp:blocking'" +
           (jids.size() == 0 ? "/>" : ">" + items(jids) + "</blocklist>");
  }
  static std::string answer(const client& c, std::string_view id = "b") {
    return "iq result  -> " + c.full.text() + " #" + std::string{id};
  }
  static std::string refusal(const client& c, std::string_view why, std::string_view type) {
    return "iq error  -> " + c.full.text() + " #b !" + std::string{why} + " " + std::string{type};
  }
  static std::string push(const client& c, const std::string& what, std::initializer_list<std::string_view> jids) {
    return "iq set  -> " + c.full.text() + " <" + what + " xmlns='urn:xmpp:blocking'" +
           (jids.size() == 0 ? "/>" : ">" + items(jids) + "</" + what + ">");
  }
  void say(const client& who, std::string_view to, std::string_view type = "chat") {
    server.says(who, "<message to='" + std::string{to} + "' type='" + std::string{type} + "' id='m'>" +
                         std::string{hi} + "</message>");
  }
  void forget() {
    for (const auto& c : {balcony, romeo}) {
      (void)server.hears(c);
    }
    (void)server.hears_remote();
  }
  im_server server{{.limits = {.blocked = 4}, .federated = true}};
  client balcony = server.login("juliet@example.com/balcony");
  client romeo = server.login("romeo@example.com/orchard");
};

// --- the list --------------------------------------------------------------------------------------------------------

TEST_F(Blocking, IsAnnounced) {  // §3.1
  server.says(balcony,
              "<iq type='get' id='d' to='example.com'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
  EXPECT_THAT(server.hears(balcony), ElementsAre(HasSubstr("<feature var='urn:xmpp:blocking'/>")));
}

TEST_F(Blocking, TheListIsGivenAndChanged) {  // §3.2–§3.5
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {})));
  EXPECT_THAT(block(balcony, {"romeo@example.com", "Iago@Remote.example"}),
              ElementsAre(answer(balcony), push(balcony, "block", {"iago@remote.example", "romeo@example.com"})));
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {"iago@remote.example", "romeo@example.com"})));
  EXPECT_THAT(unblock(balcony, {"romeo@example.com"}),
              ElementsAre(answer(balcony), push(balcony, "unblock", {"romeo@example.com"})));
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {"iago@remote.example"})));
  (void)block(balcony, {"romeo@example.com"});
  EXPECT_THAT(unblock(balcony, {}), ElementsAre(answer(balcony), push(balcony, "unblock", {})));
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {})));
  EXPECT_THAT(unblock(balcony, {}), Contains(answer(balcony))) << "there is nothing to take out, and that is well";
}

TEST_F(Blocking, ThoseWhoAskedForTheListAreToldOfChanges) {  // §3.3
  const auto chamber = server.login("juliet@example.com/chamber");
  forget();
  EXPECT_THAT(block(balcony, {"romeo@example.com"}), ElementsAre(answer(balcony)));
  EXPECT_THAT(server.hears(chamber), IsEmpty());
  (void)list(chamber);
  EXPECT_THAT(unblock(balcony, {"romeo@example.com"}), ElementsAre(answer(balcony)));
  EXPECT_THAT(server.hears(chamber), ElementsAre(push(chamber, "unblock", {"romeo@example.com"})));
}

TEST_F(Blocking, WhatIsBlockedAlreadyOrIsNotChangesNothing) {
  (void)list(balcony);
  (void)block(balcony, {"romeo@example.com"});
  const auto calls = server.store.calls.load();
  EXPECT_THAT(block(balcony, {"romeo@example.com", "romeo@example.com"}),
              ElementsAre(answer(balcony), push(balcony, "block", {"romeo@example.com"})));
  EXPECT_THAT(unblock(balcony, {"nurse@example.com"}),
              ElementsAre(answer(balcony), push(balcony, "unblock", {"nurse@example.com"})));
  EXPECT_EQ(calls, server.store.calls.load());
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {"romeo@example.com"})));
}

TEST_F(Blocking, RefusesWhatIsNoChange) {  // §3.3, RFC 6120 §8.3.3
  for (const std::string what : {"block", "unblock"}) {
    EXPECT_THAT(change(balcony, what, "<item/>"), ElementsAre(refusal(balcony, "bad-request", "modify")));
    EXPECT_THAT(change(balcony, what, "<item jid=''/>"), ElementsAre(refusal(balcony, "jid-malformed", "modify")));
    EXPECT_THAT(change(balcony, what, items({"romeo@example.com", "a@@b"})),
                ElementsAre(refusal(balcony, "jid-malformed", "modify")));
  }
  EXPECT_THAT(block(balcony, {}), ElementsAre(refusal(balcony, "bad-request", "modify")));
  EXPECT_THAT(change(balcony, "block", "<thing jid='romeo@example.com'/>"),
              ElementsAre(refusal(balcony, "bad-request", "modify")));
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {})));
}

TEST_F(Blocking, IsBounded) {                                                                          // THREATS F14
  EXPECT_THAT(block(balcony, {"a.example", "b.example", "c.example"}), ElementsAre(answer(balcony)));  // L - 1
  EXPECT_THAT(block(balcony, {"d.example", "e.example"}),
              ElementsAre(refusal(balcony, "resource-constraint", "wait")));              // L + 1
  EXPECT_THAT(block(balcony, {"d.example", "a.example"}), ElementsAre(answer(balcony)));  // L
  EXPECT_THAT(block(balcony, {"e.example"}), ElementsAre(refusal(balcony, "resource-constraint", "wait")));
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {"a.example", "b.example", "c.example", "d.example"})));
  (void)unblock(balcony, {"a.example"});
  EXPECT_THAT(block(balcony, {"e.example"}), Contains(answer(balcony)));
}

TEST_F(Blocking, TheListIsNobodysBusinessButTheUsers) {  // THREATS F8
  (void)list(balcony);
  for (const std::string to : {"juliet@example.com", "nobody@example.com"}) {
    for (const std::string request :
         {"type='get'><blocklist xmlns='urn:xmpp:blocking'/>", "type='set'><unblock xmlns='urn:xmpp:blocking'/>",
          "type='set'><block xmlns='urn:xmpp:blocking'><item jid='nurse@example.com'/></block>"}) {
      server.says(romeo, "<iq id='b' to='" + to + "' " + request + "</iq>");
      EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable cancel")));
    }
  }
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {})));
}

TEST_F(Blocking, IsCommittedBeforeItIsAcknowledged) {  // THREATS X1
  (void)list(balcony);
  server.says_without_settling(
      balcony, "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='romeo@example.com'/></block></iq>");
  server.says_without_settling(romeo, "<message to='juliet@example.com'><body>hi</body></message>");
  while (server.homes.turn()) {
  }
  EXPECT_THAT(server.hears(balcony), IsEmpty());
  server.store.fail = true;
  server.settle();
  EXPECT_THAT(server.hears(balcony), ElementsAre(refusal(balcony, "internal-server-error", "cancel"),
                                                 HasSubstr("romeo@example.com/orchard -> juliet@example.com")))
      << "what could not be stored is not in force";
  server.store.fail = false;
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {})));
}

TEST_F(Blocking, OutlivesTheSession) {  // §3.3: the duration is unlimited
  (void)block(balcony, {"romeo@example.com"});
  server.disconnect(balcony);
  balcony = server.login("juliet@example.com/balcony");
  EXPECT_THAT(list(balcony), ElementsAre(listed(balcony, {"romeo@example.com"})));
  forget();
  say(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable")));
  EXPECT_THAT(server.hears(balcony), IsEmpty());
}

// --- what a blocked JID sends ----------------------------------------------------------------------------------------

TEST_F(Blocking, MessagesAreAnsweredWithAnError) {
  (void)block(balcony, {"romeo@example.com"});
  for (const std::string to : {"juliet@example.com", "juliet@example.com/balcony", "juliet@example.com/gone"}) {
    for (const std::string type : {"chat", "normal", "groupchat", "headline"}) {
      say(romeo, to, type);
      EXPECT_THAT(server.hears(romeo),
                  ElementsAre("message error " + to + " -> romeo@example.com/orchard #m !service-unavailable cancel"));
    }
    say(romeo, to, "error");
    EXPECT_THAT(server.hears(romeo), IsEmpty());
  }
  EXPECT_THAT(server.hears(balcony), IsEmpty());
  (void)unblock(balcony, {"romeo@example.com"});
  say(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(balcony), ElementsAre(HasSubstr(hi)));
}

TEST_F(Blocking, RequestsAreAnsweredWithAnErrorAndOtherIqsDropped) {
  server.befriend(balcony, romeo);
  const auto ask = [&](std::string_view to, std::string_view type, std::string_view payload) {
    server.says(romeo, "<iq id='q' to='" + std::string{to} + "' type='" + std::string{type} + "'>" +
                           std::string{payload} + "</iq>");
    return server.hears(romeo);
  };
  constexpr std::string_view vcard = "<vCard xmlns='vcard-temp'/>";
  constexpr std::string_view items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
  EXPECT_THAT(ask("juliet@example.com", "get", items), ElementsAre(HasSubstr("iq result")));
  (void)block(balcony, {"romeo@example.com"});
  forget();
  for (const std::string to : {"juliet@example.com", "juliet@example.com/balcony"}) {
    EXPECT_THAT(ask(to, "get", vcard), ElementsAre(HasSubstr("!service-unavailable")));
    EXPECT_THAT(ask(to, "set", vcard), ElementsAre(HasSubstr("!service-unavailable")));
    EXPECT_THAT(ask(to, "get", items), ElementsAre(HasSubstr("!service-unavailable")));
    EXPECT_THAT(ask(to, "result", {}), IsEmpty());
    EXPECT_THAT(ask(to, "error", {}), IsEmpty());
  }
  EXPECT_THAT(server.hears(balcony), IsEmpty());
}

TEST_F(Blocking, PresenceOfEveryKindIsDropped) {
  server.befriend(balcony, romeo);
  const auto stranger = server.login("nurse@example.com/room");
  (void)block(balcony, {"romeo@example.com", "nurse@example.com"});
  forget();
  (void)server.hears(stranger);
  for (const auto& who : {romeo, stranger}) {
    for (const std::string type :
         {"", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"}) {
      for (const std::string to : {"juliet@example.com", "juliet@example.com/balcony"}) {
        server.says(who, "<presence to='" + to + "'" + (type.empty() ? "" : " type='" + type + "'") + "/>");
        EXPECT_THAT(server.hears(balcony), IsEmpty()) << type;
        EXPECT_THAT(server.hears(who), Not(Contains(HasSubstr(" juliet@example.com")))) << type;
      }
    }
  }
  server.says(romeo, "<presence><show>away</show></presence>");
  EXPECT_THAT(server.hears(balcony), IsEmpty());
  (void)unblock(balcony, {});
  EXPECT_THAT(server.hears(stranger), IsEmpty()) << "nothing that was asked for is on record";
}

TEST_F(Blocking, HoldsForOtherServersTheirUsersAndTheirResources) {
  (void)block(balcony, {"remote.example", "iago@other.remote/x"});
  forget();
  for (const std::string who : {"remote.example", "remote.example/x", "iago@remote.example/x", "iago@other.remote/x"}) {
    server.remote_says(who, "<message id='m' type='chat' to='juliet@example.com'><body>hi</body></message>");
    EXPECT_THAT(server.hears_remote(),
                ElementsAre("message error juliet@example.com -> " + who + " #m !service-unavailable cancel"));
    server.remote_says(who, "<presence type='subscribe' to='juliet@example.com'/>");
    server.remote_says(who, "<presence type='probe' to='juliet@example.com'/>");
    EXPECT_THAT(server.hears_remote(), IsEmpty());
  }
  EXPECT_THAT(server.hears(balcony), IsEmpty());
  server.remote_says("iago@other.remote/y", "<message type='chat' to='juliet@example.com'><body>hi</body></message>");
  EXPECT_THAT(server.hears(balcony), SizeIs(1));
}

TEST_F(Blocking, HoldsForUsersWhoAreAway) {
  (void)block(balcony, {"romeo@example.com"});
  server.disconnect(balcony);
  forget();
  say(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable")));
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 0U);
  server.says(romeo, "<presence type='probe' to='juliet@example.com'/>");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  server.says(romeo, "<presence type='subscribe' to='juliet@example.com'/>");
  (void)server.hears(romeo);
  balcony = server.connect("juliet@example.com/balcony");
  server.says(balcony, "<presence/>");
  EXPECT_THAT(server.hears(balcony),
              ElementsAre(HasSubstr("juliet@example.com/balcony -> juliet@example.com/balcony")));
}

TEST_F(Blocking, PresenceThatNobodySeesAsksTheStoreForNothing) {
  server.disconnect(balcony);
  const auto calls = server.store.calls.load();
  for (const std::string type : {"", " type='unavailable'", " type='error'"}) {
    server.remote_says("iago@remote.example/x", "<presence to='juliet@example.com'" + type + "/>");
  }
  EXPECT_EQ(calls, server.store.calls.load());
}

TEST_F(Blocking, WhereTheStoreDoesNotSayNothingIsDelivered) {  // THREATS X5
  server.disconnect(balcony);
  forget();
  server.store.fail = true;
  say(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!internal-server-error")));
  server.says(romeo, "<presence type='probe' to='juliet@example.com'/>");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  const auto refused = server.bind(server.new_session(), "juliet@example.com", "balcony");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(stanza_condition::internal_server_error, refused.error().condition);
  server.store.fail = false;
  EXPECT_TRUE(server.bind(server.new_session(), "juliet@example.com", "balcony").has_value());
}

TEST_F(Blocking, WhatIsStoredOfWhomOneBlocksSinceGoesBack) {
  server.disconnect(balcony);
  say(romeo, "juliet@example.com");
  const auto nurse = server.login("nurse@example.com/room");
  say(nurse, "juliet@example.com");
  balcony = server.connect("juliet@example.com/balcony");
  (void)block(balcony, {"romeo@example.com"});
  forget();
  server.says(balcony, "<presence/>");
  EXPECT_THAT(server.hears(balcony), AllOf(Contains(HasSubstr("nurse@example.com/room -> juliet@example.com")),
                                           Not(Contains(HasSubstr("romeo")))));
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable")));
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 0U);
}

TEST_F(Blocking, WhatASessionNeverAcknowledgedGoesBackToo) {  // XEP-0198
  server.router->manage(balcony.session, balcony.full, {.resume = true, .max_seconds = {}});
  server.settle();
  say(romeo, "juliet@example.com/balcony");
  const auto chamber = server.login("juliet@example.com/chamber");
  (void)block(chamber, {"romeo@example.com"});
  forget();
  server.disconnect(balcony);
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable")));
  EXPECT_THAT(server.hears(chamber), Not(Contains(HasSubstr(hi))));
}

TEST_F(Blocking, ARequestThatWaitsIsNotSeen) {  // RFC 6121 §3.1.3
  server.says(romeo, "<presence type='subscribe' to='juliet@example.com'/>");
  (void)block(balcony, {"romeo@example.com"});
  forget();
  const auto chamber = server.connect("juliet@example.com/chamber");
  server.says(chamber, "<presence/>");
  EXPECT_THAT(server.hears(chamber), Not(Contains(HasSubstr("romeo"))));
  (void)unblock(balcony, {});
  const auto cellar = server.connect("juliet@example.com/cellar");
  server.says(cellar, "<presence/>");
  EXPECT_THAT(server.hears(cellar), Contains(HasSubstr("presence subscribe romeo@example.com")));
}

TEST_F(Blocking, NoCopyIsMade) {  // XEP-0280
  const auto chamber = server.login("juliet@example.com/chamber");
  server.says(chamber, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
  (void)block(balcony, {"romeo@example.com"});
  (void)server.hears(chamber);
  say(romeo, "juliet@example.com/balcony");
  say(balcony, "romeo@example.com");
  EXPECT_THAT(server.hears(chamber), IsEmpty());
}

// --- what the user sends to a blocked JID ----------------------------------------------------------------------------

TEST_F(Blocking, NothingIsSentToWhomOneBlocks) {
  server.befriend(balcony, romeo);
  (void)block(balcony, {"romeo@example.com", "remote.example"});
  forget();
  for (const std::string to :
       {"romeo@example.com", "romeo@example.com/orchard", "remote.example", "iago@remote.example/x"}) {
    for (const std::string& stanza :
         {"<message id='o' to='" + to + "'/>", "<iq id='o' type='get' to='" + to + "'><x xmlns='x'/></iq>",
          "<iq id='o' type='set' to='" + to + "'><x xmlns='x'/></iq>", "<presence id='o' to='" + to + "'/>",
          "<presence id='o' type='unavailable' to='" + to + "'/>",
          "<presence id='o' type='subscribe' to='" + to + "'/>", "<presence id='o' type='subscribed' to='" + to + "'/>",
          "<presence id='o' type='unsubscribe' to='" + to + "'/>",
          "<presence id='o' type='unsubscribed' to='" + to + "'/>",
          "<presence id='o' type='probe' to='" + to + "'/>"}) {
      server.says(balcony, stanza);
      const auto got = server.outlet.take(balcony.session);
      ASSERT_THAT(got, SizeIs(1)) << stanza;
      EXPECT_THAT(line(*got[0]), AllOf(HasSubstr(" error " + to + " -> juliet@example.com/balcony #o"),
                                       HasSubstr("!not-acceptable cancel")));
      std::string wire;
      got[0]->wire(wire);
      EXPECT_THAT(wire, HasSubstr("<blocked xmlns='urn:xmpp:blocking:errors'/>"));
    }
    for (const std::string& stanza :
         {"<message type='error' to='" + to + "'/>", "<iq id='o' type='result' to='" + to + "'/>",
          "<iq id='o' type='error' to='" + to + "'/>", "<presence type='error' to='" + to + "'/>"}) {
      server.says(balcony, stanza);
      EXPECT_THAT(server.hears(balcony), IsEmpty()) << stanza;  // THREATS D8
    }
  }
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  EXPECT_THAT(server.hears_remote(), IsEmpty());
  say(balcony, "nurse@example.com");
  EXPECT_EQ(server.store.offline_count(address("nurse@example.com")), 1U);
}

TEST_F(Blocking, NeverOfOneselfNorOfTheServerItself) {  // §5, note
  const auto chamber = server.login("juliet@example.com/chamber");
  (void)block(balcony, {"juliet@example.com", "juliet@example.com/chamber", "example.com"});
  forget();
  (void)server.hears(chamber);
  say(balcony, "juliet@example.com/chamber");
  EXPECT_THAT(server.hears(chamber), ElementsAre(HasSubstr(hi)));
  server.says(balcony, "<iq type='get' id='p' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
  EXPECT_THAT(server.hears(balcony), ElementsAre(HasSubstr("iq result example.com")));
  server.says(balcony, "<presence><show>away</show></presence>");
  EXPECT_THAT(server.hears(chamber), ElementsAre(HasSubstr("<show>away</show>")));
  say(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable"))) << "the people there are meant";
}

// --- presence of the user --------------------------------------------------------------------------------------------

TEST_F(Blocking, WhoIsBlockedSeesTheUserGoAndComeAgain) {  // §3.3, §3.4
  server.befriend(balcony, romeo);
  const auto chamber = server.login("juliet@example.com/chamber");
  const auto unseen = server.connect("juliet@example.com/unseen");
  for (const std::string item : {"romeo@example.com", "example.com"}) {
    forget();
    (void)block(balcony, {item});
    EXPECT_THAT(server.hears(romeo),
                UnorderedElementsAre("presence unavailable juliet@example.com/balcony -> romeo@example.com",
                                     "presence unavailable juliet@example.com/chamber -> romeo@example.com"));
    server.says(balcony, "<presence><show>dnd</show></presence>");
    EXPECT_THAT(server.hears(romeo), IsEmpty()) << "and nothing after that";
    (void)unblock(balcony, {item});
    EXPECT_THAT(
        server.hears(romeo),
        UnorderedElementsAre("presence available juliet@example.com/balcony -> romeo@example.com <show>dnd</show>",
                             "presence available juliet@example.com/chamber -> romeo@example.com"));
  }
}

TEST_F(Blocking, WhoIsUnblockedIsSeenAsHeIsNow) {
  server.befriend(balcony, romeo);
  for (const std::string item : {"romeo@example.com", "romeo@example.com/orchard"}) {
    (void)block(balcony, {item});
    server.says(romeo, "<presence><show>xa</show></presence>");
    EXPECT_THAT(server.hears(balcony), IsEmpty());
    EXPECT_THAT(unblock(balcony, {item}),
                Contains(HasSubstr("romeo@example.com/orchard -> juliet@example.com <show>xa")));
  }
}

TEST_F(Blocking, StrangersSeeNothingOfIt) {  // §3.3: only who may receive presence
  forget();
  (void)block(balcony, {"romeo@example.com", "iago@remote.example"});
  (void)unblock(balcony, {});
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  EXPECT_THAT(server.hears_remote(), IsEmpty());
}

TEST_F(Blocking, OneResourceOfAContact) {
  server.befriend(balcony, romeo);
  const auto garden = server.login("romeo@example.com/garden");
  forget();
  (void)server.hears(garden);
  (void)block(balcony, {"romeo@example.com/orchard"});
  EXPECT_THAT(server.hears(romeo),
              ElementsAre("presence unavailable juliet@example.com/balcony -> romeo@example.com/orchard"));
  EXPECT_THAT(server.hears(garden), IsEmpty());
  say(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable")));
  say(garden, "juliet@example.com");
  EXPECT_THAT(server.hears(balcony), ElementsAre(HasSubstr("romeo@example.com/garden -> juliet@example.com")));
  (void)unblock(balcony, {"romeo@example.com/orchard"});
  EXPECT_THAT(server.hears(romeo),
              Contains("presence available juliet@example.com/balcony -> romeo@example.com/orchard"));
}

TEST_F(Blocking, WhoStaysBlockedByAnotherItemSeesNothing) {
  server.befriend(balcony, romeo);
  (void)block(balcony, {"romeo@example.com", "example.com"});
  forget();
  (void)block(balcony, {"romeo@example.com/orchard"});
  (void)unblock(balcony, {"romeo@example.com"});
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  (void)unblock(balcony, {});
  EXPECT_THAT(server.hears(romeo), ElementsAre("presence available juliet@example.com/balcony -> romeo@example.com"))
      << "once";
}

TEST_F(Blocking, WhoWasShownDirectedPresenceSeesItEnd) {  // RFC 6121 §4.6
  server.says(balcony, "<presence to='iago@remote.example/x'/>");
  server.says(balcony, "<presence to='romeo@example.com'/>");
  forget();
  (void)block(balcony, {"remote.example"});
  EXPECT_THAT(server.hears_remote(),
              ElementsAre("presence unavailable juliet@example.com/balcony -> iago@remote.example/x"));
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  (void)unblock(balcony, {});
  EXPECT_THAT(server.hears_remote(), IsEmpty()) << "what was meant for once is not said again";
  (void)block(balcony, {"remote.example"});
  server.disconnect(balcony);
  EXPECT_THAT(server.hears_remote(), IsEmpty());
  EXPECT_THAT(server.hears(romeo), SizeIs(1)) << "of the going of the session";
}

TEST_F(Blocking, ASessionThatComesAndGoesIsNotSeen) {
  server.befriend(balcony, romeo);
  server.says(balcony, "<presence to='iago@remote.example' type='subscribe'/>");
  server.remote_says("iago@remote.example", "<presence to='juliet@example.com' type='subscribed'/>");
  server.says(balcony, "<presence to='paris@remote.example' type='subscribe'/>");
  (void)block(balcony, {"romeo@example.com", "remote.example"});
  server.disconnect(balcony);
  forget();
  const auto chamber = server.login("juliet@example.com/chamber");
  server.disconnect(chamber);
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  EXPECT_THAT(server.hears_remote(), IsEmpty()) << "no probe, and no request again";
}

TEST_F(Blocking, LeavesSubscriptionsAsTheyAre) {  // §4: "polite blocking"
  server.befriend(balcony, romeo);
  (void)block(balcony, {"romeo@example.com"});
  server.says(balcony, "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>");
  EXPECT_THAT(server.hears(balcony), ElementsAre(HasSubstr("jid='romeo@example.com' subscription='both'")));
  // Taken out of the roster, the contact's server learns of the end of the subscriptions (RFC 6121 §2.5.2).
  forget();
  server.says(balcony,
              "<iq type='set' id='r'><query xmlns='jabber:iq:roster'><item jid='romeo@example.com' "
              "subscription='remove'/></query></iq>");
  EXPECT_THAT(server.hears(romeo), AllOf(Contains(HasSubstr("presence unsubscribed juliet@example.com")),
                                         Not(Contains(HasSubstr("presence unavailable juliet")))));
}

}  // namespace
}  // namespace comity::server
