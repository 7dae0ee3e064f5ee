// Message Carbons, XEP-0280.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::string_view private_message = "<private xmlns='urn:xmpp:carbons:2'/>";
constexpr std::string_view forged =
    "<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' "
    "from='nurse@example.com/n' to='juliet@example.com/balcony' type='chat'><body>forged</body></message></forwarded>"
    "</received>";

class Carbons : public testing::Test {
protected:
  /// Available, with copies.
  client copied(std::string_view full) {
    const auto c = server.login(full);
    turn(c, "enable");
    forget();
    return c;
  }
  std::vector<std::string> turn(const client& c, std::string_view what) {
    server.says(c, "<iq type='set' id='t'><" + std::string{what} + " xmlns='urn:xmpp:carbons:2'/></iq>");
    return server.hears(c);
  }
  void at_priority(const client& c, int priority) {
    server.says(c, "<presence><priority>" + std::to_string(priority) + "</priority></presence>");
    forget();
  }
  void say(const client& who, std::string_view to, std::string_view type = "chat",
           std::string_view content = "<body>hi</body>") {
    server.says(who, "<message to='" + std::string{to} + "' type='" + std::string{type} + "' id='m'>" +
                         std::string{content} + "</message>");
  }
  void forget() {
    for (const auto& c : {balcony, romeo}) {
      (void)server.hears(c);
    }
  }
  static std::string copy(std::string_view direction, std::string_view to, std::string_view from,
                          std::string_view addressee, std::string_view type = "chat",
                          std::string_view content = "<body>hi</body>") {
    const std::string user{to.substr(0, to.find('/'))};
    const std::string way{direction};
    return "message " + std::string{type} + " " + user + " -> " + std::string{to} + " <" + way +
           " xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' to='" +
           std::string{addressee} + "' from='" + std::string{from} + "' type='" + std::string{type} + "' id='m'>" +
           std::string{content} + "</message></forwarded></" + way + ">";
  }
  im_server server{{.federated = true}};
  client balcony = server.login("juliet@example.com/balcony");
  client romeo = server.login("romeo@example.com/orchard");
};

TEST_F(Carbons, ShowBothSidesOfAConversation) {  // XEP-0280 §7, §8
  const auto chamber = copied("juliet@example.com/chamber");
  say(romeo, "juliet@example.com/balcony");
  EXPECT_THAT(server.hears(balcony), ElementsAre(HasSubstr(" romeo@example.com/orchard -> juliet@example.com/balcony")))
      << "who has not asked sees the message alone";
  EXPECT_THAT(server.hears(chamber), ElementsAre(copy("received", "juliet@example.com/chamber",
                                                      "romeo@example.com/orchard", "juliet@example.com/balcony")));
  say(balcony, "romeo@example.com/orchard");
  EXPECT_THAT(server.hears(chamber), ElementsAre(copy("sent", "juliet@example.com/chamber",
                                                      "juliet@example.com/balcony", "romeo@example.com/orchard")));
  EXPECT_THAT(server.hears(balcony), IsEmpty());
  EXPECT_THAT(server.hears(romeo), SizeIs(1)) << "the message itself, once";
}

TEST_F(Carbons, OfWhatLeavesTheServerAndComesFromOutside) {
  const auto chamber = copied("juliet@example.com/chamber");
  say(balcony, "tybalt@remote.example/x");
  EXPECT_THAT(server.hears(chamber), ElementsAre(copy("sent", "juliet@example.com/chamber",
                                                      "juliet@example.com/balcony", "tybalt@remote.example/x")));
  EXPECT_THAT(server.hears_remote(), SizeIs(1));
  server.remote_says("tybalt@remote.example/x",
                     "<message to='juliet@example.com/balcony' type='chat' id='m'><body>hi</body></message>");
  EXPECT_THAT(server.hears(chamber), ElementsAre(copy("received", "juliet@example.com/chamber",
                                                      "tybalt@remote.example/x", "juliet@example.com/balcony")));
}

TEST_F(Carbons, NobodySeesAMessageTwice) {  // §7: none to whom the original is delivered
  const auto chamber = copied("juliet@example.com/chamber");
  const auto cellar = copied("juliet@example.com/cellar");
  at_priority(cellar, -1);
  (void)server.hears(cellar);
  (void)server.hears(chamber);
  say(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(chamber), ElementsAre(HasSubstr("romeo@example.com/orchard -> juliet@example.com #m")));
  EXPECT_THAT(server.hears(cellar), ElementsAre(copy("received", "juliet@example.com/cellar",
                                                     "romeo@example.com/orchard", "juliet@example.com")));
  forget();
  // To one's own account, and to one's own resource.
  say(balcony, "juliet@example.com");
  EXPECT_THAT(server.hears(balcony), SizeIs(1));
  EXPECT_THAT(server.hears(chamber), ElementsAre(HasSubstr("juliet@example.com/balcony -> juliet@example.com #m")));
  EXPECT_THAT(server.hears(cellar), ElementsAre(HasSubstr("<sent ")));
  say(balcony, "juliet@example.com/chamber");
  EXPECT_THAT(server.hears(chamber), ElementsAre(HasSubstr("-> juliet@example.com/chamber #m")));
  EXPECT_THAT(server.hears(cellar), ElementsAre(HasSubstr("<sent ")));
}

TEST_F(Carbons, OfWhatIsStoredGoToThoseWhoAreNeverHandedIt) {
  const auto cellar = copied("juliet@example.com/cellar");
  at_priority(cellar, -1);
  at_priority(balcony, -1);
  const auto connected = server.connect("juliet@example.com/connected");
  turn(connected, "enable");
  (void)server.hears(cellar);
  say(romeo, "juliet@example.com");
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 1U);
  EXPECT_THAT(server.hears(cellar), ElementsAre(HasSubstr("<received ")));
  EXPECT_THAT(server.hears(connected), IsEmpty());
  server.says(connected, "<presence/>");
  EXPECT_THAT(server.hears(connected), testing::Contains(HasSubstr("<delay"))) << "once, from the store";
}

TEST_F(Carbons, AreTurnedOnAndOffAsOftenAsOneLikes) {  // §4, §5, §10.1
  const auto chamber = server.login("juliet@example.com/chamber");
  const auto done = ElementsAre("iq result  -> juliet@example.com/chamber #t");
  const auto copies = [&] {
    say(romeo, "juliet@example.com/balcony");
    return server.hears(chamber).size();
  };
  EXPECT_EQ(copies(), 0U);
  for (const auto& [what, expected] :
       {std::pair{"disable", 0U}, {"enable", 1U}, {"enable", 1U}, {"disable", 0U}, {"disable", 0U}, {"enable", 1U}}) {
    EXPECT_THAT(turn(chamber, what), done) << what;
    EXPECT_EQ(copies(), expected) << what;
  }
}

TEST_F(Carbons, EndWithTheSession) {
  auto chamber = copied("juliet@example.com/chamber");
  server.disconnect(chamber);
  chamber = server.login("juliet@example.com/chamber");
  say(romeo, "juliet@example.com/balcony");
  EXPECT_THAT(server.hears(chamber), IsEmpty());
}

TEST_F(Carbons, AreForNobodyElseToTurnOn) {  // §4
  server.says(romeo, "<iq type='set' id='t' to='juliet@example.com'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
  EXPECT_THAT(server.hears(romeo),
              ElementsAre("iq error juliet@example.com -> romeo@example.com/orchard #t !not-allowed cancel"));
  server.says(romeo, "<iq type='get' id='t'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable")));
  say(balcony, "nurse@example.com");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
}

TEST_F(Carbons, OfWhichMessages) {  // §6.1
  const auto chamber = copied("juliet@example.com/chamber");
  struct rule {
    std::string_view type;
    std::string_view content;
    bool received;
    bool sent;
  };
  constexpr std::string_view room = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
  constexpr std::string_view invitation =
      "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@example.com'/></x>";
  const std::vector<rule> rules{
      {"chat", "<body>hi</body>", true, true},
      {"chat", "<other xmlns='urn:other'/>", true, true},
      {"normal", "<body>hi</body>", true, true},
      {"normal", "<subject>hi</subject>", false, false},
      {"normal", "<other xmlns='urn:other'/>", false, false},
      {"normal", "<received xmlns='urn:xmpp:receipts' id='1'/>", true, true},
      {"normal", "<active xmlns='http://jabber.org/protocol/chatstates'/>", true, true},
      {"normal", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", true, true},
      {"normal", "<x xmlns='jabber:x:conference' jid='room@rooms.example'/>", true, true},
      {"normal", invitation, true, true},
      {"headline", "<body>hi</body>", false, false},
      {"groupchat", "<body>hi</body>", false, false},
      {"groupchat", invitation, false, false},
      {"chat", room, false, true},  // a private message in a room
      {"error", "<body>hi</body>", false, false},
      // §9; XEP-0334 §4.3
      {"chat", private_message, false, false},
      {"normal", "<body>hi</body><private xmlns='urn:xmpp:carbons:2'/>", false, false},
      {"chat", "<body>hi</body><no-copy xmlns='urn:xmpp:hints'/>", false, false},
      {"chat", "<body>hi</body><store xmlns='urn:xmpp:hints'/>", true, true},
      {"chat", forged, false, false},  // THREATS F8
  };
  for (const auto& each : rules) {
    SCOPED_TRACE(std::string{each.type} + " " + std::string{each.content});
    say(romeo, "juliet@example.com/balcony", each.type, each.content);
    EXPECT_THAT(server.hears(chamber), SizeIs(each.received ? 1 : 0));
    EXPECT_THAT(server.hears(balcony), SizeIs(1)) << "delivered in any case, with all that is in it";
    say(balcony, "romeo@example.com/orchard", each.type, each.content);
    EXPECT_THAT(server.hears(chamber), SizeIs(each.sent ? 1 : 0));
    EXPECT_THAT(server.hears(romeo), SizeIs(1));
  }
}

TEST_F(Carbons, OfMessagesThatFailed) {  // §6.1: "it is of type error"; sent to a bare address
  const auto chamber = copied("juliet@example.com/chamber");
  say(balcony, "nobody@example.com");
  EXPECT_THAT(server.hears(balcony), ElementsAre(HasSubstr("message error nobody@example.com")));
  EXPECT_THAT(server.hears(chamber), testing::UnorderedElementsAre(HasSubstr("<sent "), HasSubstr("message error ")));
}

TEST_F(Carbons, RefusedMessagesHaveNoCopies) {
  const auto chamber = copied("juliet@example.com/chamber");
  say(romeo, "juliet@example.com/gone", "normal");
  EXPECT_THAT(server.hears(romeo), ElementsAre(HasSubstr("!service-unavailable")));
  EXPECT_THAT(server.hears(chamber), IsEmpty());
}

TEST_F(Carbons, AnswersToACopyReachNobody) {  // §10.3
  const auto chamber = copied("juliet@example.com/chamber");
  say(romeo, "juliet@example.com/balcony");
  (void)server.hears(chamber);
  forget();
  say(chamber, "juliet@example.com", "error", "<error type='cancel'/>");
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  EXPECT_THAT(server.hears(balcony), IsEmpty());
}

TEST_F(Carbons, ForgedOnesArriveUnderTheirTrueName) {  // THREATS F8, CVE-2017-5589
  const auto chamber = copied("juliet@example.com/chamber");
  say(romeo, "juliet@example.com", "chat", forged);
  server.remote_says("tybalt@remote.example/x",
                     "<message to='juliet@example.com/chamber' type='chat'>" + std::string{forged} + "</message>");
  EXPECT_THAT(server.hears(chamber),
              ElementsAre(HasSubstr("message chat romeo@example.com/orchard -> juliet@example.com"),
                          HasSubstr("message chat tybalt@remote.example/x -> juliet@example.com/chamber")));
}

}  // namespace
}  // namespace comity::server
