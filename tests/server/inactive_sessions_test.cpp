// Client State Indication, XEP-0352, as the router keeps to it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using namespace std::chrono_literals;
using connection::client_state;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

constexpr std::string_view composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
constexpr std::string_view news =
    "<message id='n' to='juliet@example.com'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>";

class InactiveSessions : public testing::Test {
protected:
  void is(const client& c, client_state state) {
    server.router->indicated(c.session, c.full, state);
    server.settle();
  }
  void shows(const client& c, const std::string& show) {
    server.says(c, "<presence><show>" + show + "</show></presence>");
  }
  void composes(const client& c, const std::string& to) {
    server.says(c, "<message type='chat' to='" + to + "'>" + std::string{composing} + "</message>");
  }
  void chats(const client& c, const std::string& to) {
    server.says(c, "<message type='chat' to='" + to + "'><body>hi</body></message>");
  }
  /// Presence of that many people, and more octets where `content` has.
  void come(int count, const std::string& content = {}) {
    for (int i = 0; i < count; ++i) {
      server.remote_says("u" + std::to_string(i) + "@remote.example/x",
                         "<presence to='juliet@example.com'>" + content + "</presence>");
    }
  }
  std::string manage(const client& c) {
    server.router->manage(c.session, c.full, {.resume = true, .max_seconds = {}});
    server.settle();
    const auto said = server.outlet.take_said(c.session).at(0);
    const auto begin = said.find("id='") + 4;
    return said.substr(begin, said.find('\'', begin) - begin);
  }
  std::uint32_t sent(const client& c) {
    // One more than was sent is too many, and the answer says how many were.
    server.router->acknowledged(c.session, c.full, 1'000'000);
    server.settle();
    const auto said = server.outlet.take_said(c.session);
    return static_cast<std::uint32_t>(std::stoul(said.back().substr(said.back().find(" of ") + 4)));
  }
  client resumes(const client& c, const std::string& id, std::uint32_t handled) {
    const client again{.session = server.new_session(), .full = c.full};
    bool done = false;
    server.router->resume(again.session, {.user = c.full.bare(), .id = id, .handled = handled},
                          [&](connection::resume_answer a) { done = a.has_value(); });
    server.settle();
    EXPECT_TRUE(done);
    server.router->resumed(again.session, again.full);
    server.settle();
    return again;
  }
  void breaks(const client& c) {
    server.router->unbind(c.session, c.full, true);
    server.settle();
  }

  im_server server{{.limits = {.held_stanzas = 5, .held_octets = 2000}, .federated = true}};
  client juliet = server.login("juliet@example.com/phone");
  client romeo = server.login("romeo@example.com/orchard");

  void SetUp() override {
    server.befriend(juliet, romeo);
    is(juliet, client_state::inactive);
  }
};

TEST_F(InactiveSessions, GetTheNewestPresenceWhenTheUserLooksAgain) {  // XEP-0352 §3.2
  shows(romeo, "away");
  composes(romeo, "juliet@example.com");
  shows(romeo, "dnd");
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  is(juliet, client_state::active);
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<composing"), HasSubstr("<show>dnd</show>")));
  shows(romeo, "xa");
  EXPECT_THAT(server.hears(juliet), SizeIs(1)) << "and all of it from then on";
  is(juliet, client_state::active);
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST_F(InactiveSessions, GetWhatCannotWaitAtOnceAndWhatCameBeforeItFirst) {
  shows(romeo, "away");
  chats(romeo, "juliet@example.com");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<show>away"), HasSubstr("<body>hi")));
  is(juliet, client_state::inactive);
  shows(romeo, "dnd");
  EXPECT_THAT(server.hears(juliet), IsEmpty()) << "the user does not look, all the same";
  server.says(juliet, "<iq type='get' id='p' to='example.com'><ping xmlns='urn:xmpp:ping'/></iq>");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<show>dnd"), HasSubstr("iq result")));
  server.says(romeo, "<presence type='unsubscribe' to='juliet@example.com'/>");
  EXPECT_THAT(server.hears(juliet), Contains(HasSubstr("presence unsubscribe ")));
}

TEST_F(InactiveSessions, ActInTheOrderInWhichTheyAreTold) {  // §5.1
  shows(romeo, "away");
  server.router->indicated(juliet.session, juliet.full, client_state::active);
  server.says_without_settling(juliet, "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>");
  server.settle();
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<show>away"), HasSubstr("iq result")));
}

TEST_F(InactiveSessions, HoldNoMoreStanzasThanTheyMay) {
  come(4);
  EXPECT_THAT(server.hears(juliet), IsEmpty());  // L - 1
  come(5);
  EXPECT_THAT(server.hears(juliet), IsEmpty()) << "L; of four it is the newer";
  come(6);
  EXPECT_THAT(server.hears(juliet), SizeIs(6));  // L + 1: all of them
  come(5);
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST_F(InactiveSessions, HoldNoMoreOctetsThanTheyMay) {
  const auto size = [](const std::string& content) {
    return parse_stanza("<presence to='juliet@example.com'>" + content + "</presence>", address("u0@remote.example/x"))
        ->wire_size();
  };
  const auto filler = [&](std::size_t octets) {
    return "<status>" + std::string(octets - size("<status>x</status>") + 1, 'x') + "</status>";
  };
  for (const auto& [octets, expected] : {std::pair{1999U, 0U}, {2000U, 0U}, {2001U, 1U}}) {
    come(1, filler(octets));
    EXPECT_THAT(server.hears(juliet), SizeIs(expected)) << octets;
  }
}

TEST_F(InactiveSessions, LookTheSameToOthers) {  // §6
  is(romeo, client_state::active);
  (void)server.hears(romeo);
  is(juliet, client_state::active);
  is(juliet, client_state::inactive);
  EXPECT_THAT(server.hears(romeo), IsEmpty());
  server.says(romeo, "<presence type='probe' to='juliet@example.com'/>");
  EXPECT_THAT(server.hears(romeo),
              ElementsAre("presence available juliet@example.com/phone -> romeo@example.com/orchard"));
}

TEST_F(InactiveSessions, AreEachOnTheirOwn) {
  const auto desk = server.login("juliet@example.com/desk");
  (void)server.hears(juliet);
  shows(romeo, "away");
  EXPECT_THAT(server.hears(desk), ElementsAre(HasSubstr("<show>away")));
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

TEST_F(InactiveSessions, WhatASiblingTypesWaitsToo) {  // XEP-0280
  server.says(juliet, "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>");
  const auto desk = server.login("juliet@example.com/desk");
  (void)server.hears(juliet);
  composes(desk, "romeo@example.com");
  composes(romeo, "juliet@example.com/desk");
  EXPECT_THAT(server.hears(juliet), Not(Contains(HasSubstr("<composing"))));
  chats(desk, "romeo@example.com");
  EXPECT_THAT(server.hears(juliet), Contains(HasSubstr("<body>hi")));
}

TEST_F(InactiveSessions, BeginActive) {  // §4.2
  server.disconnect(juliet);
  juliet = server.login("juliet@example.com/phone");
  shows(romeo, "away");
  EXPECT_THAT(server.hears(juliet), Contains(HasSubstr("<show>away")));
}

TEST_F(InactiveSessions, SaySoWithoutHavingOne) {
  server.disconnect(juliet);
  is(juliet, client_state::inactive);
  is(juliet, client_state::active);
  EXPECT_THAT(server.hears(juliet), IsEmpty());
}

// --- nothing is lost -------------------------------------------------------------------------------------------------

TEST_F(InactiveSessions, WhatWaitsAtTheEndIsDeliveredElsewhere) {
  server.says(romeo, news);
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  server.disconnect(juliet);
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 1U);
  const auto desk = server.connect("juliet@example.com/desk");
  server.says(desk, "<presence/>");
  EXPECT_THAT(server.hears(desk), Contains(HasSubstr("#event")));
}

TEST_F(InactiveSessions, WhatASiblingHasIsNotDeliveredAgain) {
  const auto desk = server.login("juliet@example.com/desk");
  server.says(romeo, news);
  EXPECT_THAT(server.hears(desk), ElementsAre(HasSubstr("#event")));
  server.disconnect(juliet);
  EXPECT_THAT(server.hears(desk), Not(Contains(HasSubstr("#event"))));
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 0U);
}

TEST_F(InactiveSessions, WhatWaitsIsCountedWhenItIsSent) {  // XEP-0198
  (void)manage(juliet);
  const auto before = sent(juliet);
  shows(romeo, "away");
  composes(romeo, "juliet@example.com");
  EXPECT_EQ(before, sent(juliet));
  is(juliet, client_state::active);
  EXPECT_EQ(before + 2, sent(juliet));
  EXPECT_THAT(server.hears(juliet), SizeIs(2));
}

TEST_F(InactiveSessions, AResumedSessionIsActive) {  // §5.2
  const auto id = manage(juliet);
  shows(romeo, "away");
  breaks(juliet);
  shows(romeo, "dnd");
  juliet = resumes(juliet, id, 0);
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<show>dnd"))) << "the newest, once";
  shows(romeo, "xa");
  EXPECT_THAT(server.hears(juliet), ElementsAre(HasSubstr("<show>xa")));
}

TEST_F(InactiveSessions, ThatAreNeverResumedLoseNothing) {
  (void)manage(juliet);
  server.says(romeo, news);
  breaks(juliet);
  server.homes.advance(301s);
  server.settle();
  EXPECT_EQ(server.store.offline_count(address("juliet@example.com")), 1U);
}

TEST_F(InactiveSessions, WhatWaitsOutlivesARestart) {
  const auto id = manage(juliet);
  chats(romeo, "juliet@example.com");
  shows(romeo, "away");
  server.says(romeo, news);
  breaks(juliet);
  const auto kept = server.router->suspended();
  ASSERT_THAT(kept, SizeIs(1));
  im_server restarted{{.federated = true}};
  restarted.router->restore(kept);
  restarted.settle();
  const client again{.session = restarted.new_session(), .full = juliet.full};
  bool done = false;
  restarted.router->resume(again.session, {.user = juliet.full.bare(), .id = id, .handled = 0},
                           [&](connection::resume_answer a) { done = a.has_value(); });
  restarted.settle();
  ASSERT_TRUE(done);
  restarted.router->resumed(again.session, again.full);
  restarted.settle();
  EXPECT_THAT(restarted.hears(again), ElementsAre(HasSubstr("<body>hi"), HasSubstr("<show>away"), HasSubstr("#event")));
}

TEST_F(InactiveSessions, OweNoMoreAtOnceThanTheyMayNotAcknowledge) {  // THREATS F3
  server.router->configure({"example.com"}, 10, {.resume_timeout = 300s, .queue_stanzas = 4});
  (void)manage(juliet);
  come(2);
  EXPECT_THAT(server.hears(juliet), IsEmpty());
  come(3);
  EXPECT_THAT(server.hears(juliet), SizeIs(3));
  EXPECT_EQ(server.outlet.closed(juliet.session), std::nullopt);
}

}  // namespace
}  // namespace comity::server
