// Messages on their way, RFC 6121 §8.5.2.1.1 and the rest; the table itself is tested in delivery_rules_test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Messages : public testing::Test {
protected:
  void say(std::string_view to, std::string_view type) {
    server.says(romeo, "<message to='" + std::string{to} + "' type='" + std::string{type} +
                           "' id='m'><body>hi</body></message>");
  }
  client at_priority(std::string_view full, int priority) {
    const auto c = server.login(full);
    server.says(c, "<presence><priority>" + std::to_string(priority) + "</priority></presence>");
    (void)server.hears(c);
    return c;
  }
  static std::string error_from(std::string_view whom) {
    return "message error " + std::string{whom} + " -> romeo@example.com/orchard #m !service-unavailable cancel";
  }
  im_server server;
  client romeo = server.login("romeo@example.com/orchard");
};

TEST_F(Messages, ToTheAccountReachAllResourcesOfNonNegativePriority) {  // RFC 6121 §8.5.2.1.1
  const auto high = at_priority("juliet@example.com/high", 10);
  const auto zero = at_priority("juliet@example.com/zero", 0);
  const auto negative = at_priority("juliet@example.com/negative", -1);
  const auto connected = server.connect("juliet@example.com/connected");
  for (const auto& c : {high, zero, negative}) {
    (void)server.hears(c);
  }
  for (const auto* type : {"normal", "chat", "headline"}) {
    say("juliet@example.com", type);
    const auto expected =
        "message " + std::string{type} + " romeo@example.com/orchard -> juliet@example.com #m <body>hi</body>";
    EXPECT_THAT(server.hears(high), ElementsAre(expected));
    EXPECT_THAT(server.hears(zero), ElementsAre(expected));
    EXPECT_THAT(server.hears(negative), IsEmpty()) << "never, whatever the type";
    EXPECT_THAT(server.hears(connected), IsEmpty());
  }
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Messages, ToAFullJidReachThatResourceWhateverItsPriority) {  // RFC 6121 §8.5.3.1
  const auto negative = at_priority("juliet@example.com/negative", -1);
  const auto connected = server.connect("juliet@example.com/connected");
  for (const auto* type : {"normal", "chat", "headline", "groupchat", "error"}) {
    say("juliet@example.com/negative", type);
    say("juliet@example.com/connected", type);
    EXPECT_THAT(server.hears(negative), testing::SizeIs(1)) << type;
    EXPECT_THAT(server.hears(connected), testing::SizeIs(1)) << type;
  }
}

TEST_F(Messages, GroupchatToTheAccountIsAnError) {  // RFC 6121 §8.5.2.1.1, §8.5.2.2.1
  const auto juliet = at_priority("juliet@example.com/balcony", 0);
  say("juliet@example.com", "groupchat");
  say("nurse@example.com", "groupchat");
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  EXPECT_THAT(server.hears(romeo), ElementsAre(error_from("juliet@example.com"), error_from("nurse@example.com")));
}

TEST_F(Messages, ToNobodyAreAnErrorOrVanish) {  // RFC 6121 §8.5.1
  for (const auto* type : {"normal", "chat", "groupchat"}) {
    say("nobody@example.com", type);
    EXPECT_THAT(server.hears(romeo), ElementsAre(error_from("nobody@example.com"))) << type;
    say("nobody@example.com/x", type);
    EXPECT_THAT(server.hears(romeo), ElementsAre(error_from("nobody@example.com/x"))) << type;
  }
  say("nobody@example.com", "headline");
  say("nobody@example.com", "error");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Messages, ToAResourceThatIsGone) {  // RFC 6121 §8.5.3.2.1
  const auto juliet = at_priority("juliet@example.com/balcony", 0);
  say("juliet@example.com/gone", "chat");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("-> juliet@example.com/gone"))) << "`to` is never rewritten";
  for (const auto* type : {"normal", "groupchat"}) {
    say("juliet@example.com/gone", type);
    EXPECT_THAT(server.hears(romeo), ElementsAre(error_from("juliet@example.com/gone"))) << type;
  }
  say("juliet@example.com/gone", "headline");
  say("juliet@example.com/gone", "error");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST_F(Messages, UnknownTypeIsNormal) {  // RFC 6121 §5.2.2
  const auto juliet = at_priority("juliet@example.com/balcony", 0);
  say("juliet@example.com", "shout");
  EXPECT_THAT(server.hears(juliet), testing::SizeIs(1));
}

TEST_F(Messages, ToASessionThatIsEndingGoToTheOthers) {
  const auto balcony = at_priority("juliet@example.com/balcony", 0);
  const auto chamber = at_priority("juliet@example.com/chamber", 0);
  (void)server.hears(balcony);
  server.disconnect(balcony);
  (void)server.hears(chamber);
  say("juliet@example.com", "chat");
  EXPECT_THAT(server.hears(balcony), IsEmpty());
  EXPECT_THAT(server.hears(chamber), testing::SizeIs(1));
}

// Offline, XEP-0160.

class Offline : public Messages {
protected:
  std::vector<std::string> juliet_comes(std::string_view presence = "<presence/>") {
    const auto c = server.connect("juliet@example.com/back");
    server.says(c, presence);
    auto heard = server.hears(c);
    std::erase_if(heard, [](const auto& l) { return !l.starts_with("message"); });
    server.disconnect(c);
    return heard;
  }
  void chat(std::string_view body) {
    server.says(romeo,
                "<message to='juliet@example.com' type='chat' id='m'><body>" + std::string{body} + "</body></message>");
  }
  static constexpr std::string_view delay =
      "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='2026-01-02T03:04:05Z'/>";
  static std::string kept(std::string_view type, std::string_view to) {
    return "message " + std::string{type} + " romeo@example.com/orchard -> " + std::string{to} + " #m <body>hi</body>" +
           std::string{delay};
  }
};

TEST_F(Offline, MessagesWaitInOrderWithTheTimeTheyCame) {  // XEP-0160 §2, XEP-0203
  say("juliet@example.com", "chat");
  say("juliet@example.com", "normal");
  say("juliet@example.com/gone", "chat");
  server.clock.advance(std::chrono::hours{24});
  EXPECT_THAT(juliet_comes(), ElementsAre(kept("chat", "juliet@example.com"), kept("normal", "juliet@example.com"),
                                          kept("chat", "juliet@example.com/gone")));
  EXPECT_THAT(juliet_comes(), IsEmpty()) << "once";
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Offline, TypesThatAreNotKept) {  // XEP-0160 §3
  for (const auto* type : {"groupchat", "headline", "error"}) {
    say("juliet@example.com", type);
  }
  EXPECT_THAT(juliet_comes(), IsEmpty());
}

TEST_F(Offline, ChatStatesAloneAreNotKept) {  // XEP-0160 §3, XEP-0085
  server.says(romeo,
              "<message to='juliet@example.com' type='chat'><composing "
              "xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread></message>");
  EXPECT_THAT(juliet_comes(), IsEmpty());
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  server.says(romeo,
              "<message to='juliet@example.com' type='chat'><active "
              "xmlns='http://jabber.org/protocol/chatstates'/><body>hi</body></message>");
  EXPECT_THAT(juliet_comes(), testing::SizeIs(1));
}

TEST_F(Offline, WaitForNonNegativePriority) {  // XEP-0160 §2 step 5, RFC 6121 §8.5.2.1.1
  const auto negative = at_priority("juliet@example.com/negative", -1);
  chat("hi");
  EXPECT_THAT(server.hears(negative), IsEmpty());
  EXPECT_THAT(juliet_comes("<presence><priority>-1</priority></presence>"), IsEmpty());
  (void)server.hears(negative);
  server.says(negative, "<presence><priority>0</priority></presence>");
  EXPECT_THAT(server.hears(negative), ElementsAre(HasSubstr("presence"), HasSubstr("<body>hi</body>")));
}

TEST_F(Offline, AreKeptUpToTheLimit) {  // THREATS F14 at L-1, L, L+1; XEP-0160 §2 step 3
  im_server::options o;
  o.limits.offline_messages = 3;
  im_server small{o};
  const auto sender = small.login("romeo@example.com/orchard");
  for (int i = 1; i <= 4; ++i) {
    small.says(sender,
               "<message to='juliet@example.com' type='chat' id='m'><body>" + std::to_string(i) + "</body></message>");
    EXPECT_EQ(small.hears(sender).size(), i <= 3 ? 0U : 1U) << i;
  }
  const auto c = small.connect("juliet@example.com/back");
  small.says(c, "<presence/>");
  EXPECT_EQ(small.hears(c).size(), 1U + 3U);
}

TEST_F(Offline, FailureOfTheStoreIsAnAnswer) {
  server.store.fail = true;
  chat("hi");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("message error juliet@example.com")));
}

TEST_F(Offline, AreForgottenOnlyAfterTheyWereHandedOver) {  // at least once, whatever crashes when
  chat("hi");
  const auto c = server.connect("juliet@example.com/back");
  server.says_without_settling(c, "<presence/>");
  server.homes.turn();
  const auto messages_heard = [&] {
    auto heard = server.hears(c);
    return std::ranges::count_if(heard, [](const auto& l) { return l.starts_with("message"); });
  };
  while (messages_heard() == 0) {
    ASSERT_EQ(server.store.offline_count(address("juliet@example.com")), 1U);
    ASSERT_TRUE(server.store.step());
    server.homes.turn();
  }
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 1U) << "a crash now would repeat, not lose";
  server.settle();
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 0U);
}

TEST_F(Offline, AreNeverLostWhicheverMomentTheSessionDies) {
  for (int moment = 0; moment < 8; ++moment) {
    chat("hi");
    const auto c = server.connect("juliet@example.com/back");
    server.says_without_settling(c, "<presence/>");
    server.homes.turn();
    std::vector<std::string> heard;
    const auto note = [&] {
      std::ranges::copy_if(server.hears(c), std::back_inserter(heard),
                           [](const auto& l) { return l.starts_with("message"); });
    };
    for (int step = 0; step < moment; ++step) {
      server.store.step();
      server.homes.turn();
      note();
    }
    server.router->unbind(c.session, c.full);
    if (heard.empty()) {
      server.settle();
      note();
      EXPECT_THAT(heard, IsEmpty()) << "nothing is handed to a dead session, moment " << moment;
      EXPECT_THAT(juliet_comes(), testing::SizeIs(1)) << "moment " << moment;
    } else {
      server.settle();
      EXPECT_THAT(juliet_comes(), IsEmpty()) << "moment " << moment;
    }
  }
}

TEST_F(Offline, AreAskedForOnceInASession) {
  const auto c = server.login("juliet@example.com/balcony");
  const std::size_t before = server.store.calls;
  server.says(c, "<presence><priority>-1</priority></presence>");
  server.says(c, "<presence><priority>1</priority></presence>");
  EXPECT_EQ(server.store.calls, before);
}

TEST_F(Offline, StayWhereTheyCannotBeLoaded) {
  chat("hi");
  const auto c = server.login("juliet@example.com/first");  // takes the first
  chat("live");
  (void)server.hears(c);
  server.disconnect(c);
  chat("again");
  const auto d = server.connect("juliet@example.com/second");
  server.says(d, "<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>");
  (void)server.hears(d);
  server.store.fail = true;
  server.says(d, "<presence/>");
  server.store.fail = false;
  (void)server.hears(d);
  server.says(d, "<presence type='unavailable'/>");
  server.says(d, "<presence/>");
  EXPECT_THAT(server.hears(d), testing::Contains(HasSubstr("<body>again</body>")));
}

TEST_F(Offline, StampOfAnotherServerIsKeptAndOneInOurNameIsNot) {  // THREATS F9
  server.says(romeo,
              "<message to='juliet@example.com' type='chat'><body>hi</body>"
              "<delay xmlns='urn:xmpp:delay' from='example.com' stamp='1999-01-01T00:00:00Z'/>"
              "<delay xmlns='urn:xmpp:delay' from='example.net' stamp='2000-01-01T00:00:00Z'/></message>");
  EXPECT_THAT(juliet_comes(), ElementsAre(testing::AllOf(HasSubstr("2000-01-01"), HasSubstr("2026-01-02"),
                                                         testing::Not(HasSubstr("1999-01-01")))));
}

constexpr std::string_view stanza_ids =
    "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.com' id='1'/>"
    "<stanza-id xmlns='urn:xmpp:sid:0' by='room@example.net' id='2'/>"
    "<stanza-id xmlns='urn:xmpp:sid:0' by='Juliet@EXAMPLE.com' id='3'/>"
    "<stanza-id xmlns='urn:xmpp:sid:0' by='example.com' id='4'/>"
    "<stanza-id xmlns='urn:xmpp:sid:0' by='juliet@example.com' id='5'/>"
    "<stanza-id xmlns='urn:xmpp:sid:0' by='not@@one' id='6'/>"
    "<origin-id xmlns='urn:xmpp:sid:0' id='7'/>";
constexpr std::string_view stanza_ids_of_others =
    "<stanza-id xmlns='urn:xmpp:sid:0' by='room@example.net' id='2'/>"
    "<stanza-id xmlns='urn:xmpp:sid:0' by='not@@one' id='6'/>"
    "<origin-id xmlns='urn:xmpp:sid:0' id='7'/>";

TEST_F(Messages, BearNoStanzaIdInTheNameOfWhoGetsThem) {  // THREATS F9, XEP-0359 §5 rules 2 and 3
  const auto juliet = server.login("juliet@example.com/here");
  const auto message =
      "<message to='juliet@example.com' type='chat'><body>hi</body>" + std::string{stanza_ids} + "</message>";
  const auto came = testing::EndsWith(" <body>hi</body>" + std::string{stanza_ids_of_others});
  server.says(romeo, message);
  EXPECT_THAT(server.hears(juliet), ElementsAre(came));
  server.remote_says("tybalt@example.net/x", message);
  EXPECT_THAT(server.hears(juliet), ElementsAre(came));
  server.disconnect(juliet);
  server.says(romeo, message);  // kept for later
  const auto again = server.connect("juliet@example.com/again");
  server.says(again, "<presence/>");
  EXPECT_THAT(server.hears(again),
              testing::Contains(HasSubstr(" <body>hi</body>" + std::string{stanza_ids_of_others})));
}

TEST_F(Messages, CopiesBearNoStanzaIdInTheNameOfTheirOwner) {  // THREATS F9, XEP-0359 §5 rule 2
  const auto sender = server.login("juliet@example.com/here");
  const auto other = server.login("juliet@example.com/other");
  server.says(other, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
  (void)server.hears(sender);
  (void)server.hears(other);
  server.says(sender,
              "<message to='romeo@example.com' type='chat'><body>hi</body>" + std::string{stanza_ids} + "</message>");
  const auto whole = "<body>hi</body>" + std::string{stanza_ids_of_others} + "</message>";
  EXPECT_THAT(server.hears(other), ElementsAre(HasSubstr(whole)));
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr(stanza_ids_of_others)));
}

TEST_F(Messages, BearNoTimeInTheNameOfTheServer) {  // THREATS F9, XEP-0203
  const auto juliet = server.login("juliet@example.com/here");
  const auto delay = [](std::string_view from) {
    return "<delay xmlns='urn:xmpp:delay' from='" + std::string{from} + "' stamp='1999-01-01T00:00:00Z'/>";
  };
  const auto kept = delay("example.net") + delay("romeo@example.com") + delay("juliet@example.com");
  server.says(romeo, "<message to='juliet@example.com' type='chat'><body>hi</body>" + delay("example.com") +
                         delay("EXAMPLE.com") + kept + "</message>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(testing::EndsWith(" <body>hi</body>" + kept)));
}

TEST_F(Offline, OddTimesAreReadByNobodyOnTheWay) {  // THREATS F15
  for (const auto& stamp :
       {std::string{"9999-12-31T23:59:59Z"}, std::string{"0000-00-00T00:00:00Z"}, std::string{"2016-12-31T23:59:60Z"},
        std::string{"-1"}, std::string{}, std::string(10'000, '9') + "-01-01T00:00:00Z"}) {
    const auto theirs = "<delay xmlns='urn:xmpp:delay' from='example.net' stamp='" + stamp + "'/>";
    const auto message = "<message to='juliet@example.com' type='chat'><body>hi</body>" + theirs + "</message>";
    const auto juliet = server.login("juliet@example.com/here");
    server.says(romeo, message);
    EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr(theirs))) << stamp;
    server.says(juliet, "<presence>" + theirs + "</presence>");
    server.disconnect(juliet);
    server.says(romeo, message);
    const auto came = juliet_comes();
    EXPECT_THAT(came, ElementsAre(testing::AllOf(HasSubstr(theirs), HasSubstr(delay)))) << stamp;
    EXPECT_THAT(server.hears(romeo), IsEmpty()) << stamp;
  }
}

}  // namespace
}  // namespace comity::server
