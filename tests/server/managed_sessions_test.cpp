// Stream management (XEP-0198) as the router keeps it: sessions that outlive their streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "server/ended_sessions.hpp"
#include "server/kept_session.hpp"
#include "tests/server/im_server.hpp"

namespace comity::server {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto request = "<r xmlns='urn:xmpp:sm:3'/>";

class ManagedSessions : public testing::Test {
protected:
  /// Logs in and enables stream management; the id of the session.
  client managed(std::string_view full, std::string& id, bool resume = true) {
    auto c = server_.login(full);
    id = enable(c, resume);
    return c;
  }
  std::string enable(const client& c, bool resume = true) {
    server_.router->manage(c.session, c.full, {.resume = resume, .max_seconds = {}});
    server_.settle();
    const auto said = server_.outlet.take_said(c.session);
    EXPECT_EQ(said.size(), 1U);
    std::smatch found;
    const auto text = said.empty() ? std::string{} : said.front();
    return std::regex_search(text, found, std::regex{"id='([^']+)'"}) ? found[1].str() : std::string{};
  }
  std::vector<std::string> said(const client& c) { return server_.outlet.take_said(c.session); }
  void breaks(const client& c) {
    server_.router->unbind(c.session, c.full, true);
    server_.settle();
  }
  void acknowledges(const client& c, std::uint32_t handled) {
    server_.router->acknowledged(c.session, c.full, handled);
    server_.settle();
  }
  connection::resume_answer resumes(const client& c, const std::string& user, const std::string& id, std::uint32_t h) {
    std::optional<connection::resume_answer> got;
    server_.router->resume(c.session, {.user = address(user), .id = id, .handled = h},
                           [&](connection::resume_answer a) { got = std::move(a); });
    server_.settle();
    EXPECT_TRUE(got.has_value());
    if (got && *got) {
      server_.router->resumed(c.session, c.full);
      server_.settle();
    }
    return got ? std::move(*got) : std::unexpected{connection::resume_refusal{}};
  }
  client again(const client& c) { return {.session = server_.new_session(), .full = c.full}; }
  void passes(std::chrono::milliseconds time) {
    server_.homes.advance(time);
    server_.settle();
  }
  void chat(const client& from, const std::string& to, const std::string& id) {
    server_.says(from, "<message type='chat' id='" + id + "' to='" + to + "'><body>" + id + "</body></message>");
  }
  /// The ids of messages among what it heard.
  std::vector<std::string> heard(const client& c) {
    std::vector<std::string> ids;
    for (const auto& each : server_.outlet.take(c.session)) {
      if (each->kind() == stanza_kind::message) {
        ids.push_back(each->id());
      }
    }
    return ids;
  }
  /// What is kept for her is handed over as she comes.
  std::vector<std::string> kept_for(std::string_view full) {
    const auto c = server_.connect(full);
    server_.says(c, "<presence/>");
    return heard(c);
  }

  /// Five may be unacknowledged; the sixth is one too many.
  void floods(bool attached) {
    server_.router->configure({"example.com"}, 10, {.resume_timeout = 300s, .queue_stanzas = 5});
    std::string id;
    const auto juliet = managed("juliet@example.com/balcony", id);
    const auto romeo = server_.login("romeo@example.com/orchard");
    if (!attached) {
      breaks(juliet);
    }
    for (int i = 1; i <= 5; ++i) {
      chat(romeo, "juliet@example.com", std::to_string(i));
    }
    passes(1s);
    EXPECT_EQ(server_.outlet.closed(juliet.session), std::nullopt);
    chat(romeo, "juliet@example.com", "6");
    passes(1s);
    if (attached) {
      EXPECT_EQ(server_.outlet.closed(juliet.session), stream_condition::resource_constraint);
      server_.disconnect(juliet);
    }
    EXPECT_FALSE(resumes(again(juliet), "juliet@example.com", id, 0));
    EXPECT_THAT(kept_for("juliet@example.com/chamber"), ElementsAre("1", "2", "3", "4", "5", "6"));
  }

  im_server server_;
};

TEST_F(ManagedSessions, AcknowledgeWhatWasHandledAndAskForTheRest) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  EXPECT_GE(id.size(), 20U);
  chat(juliet, "romeo@example.com", "1");
  chat(juliet, "romeo@example.com", "2");
  server_.router->acknowledge(juliet.session, juliet.full);
  server_.settle();
  EXPECT_THAT(said(juliet), ElementsAre("<a xmlns='urn:xmpp:sm:3' h='2'/>"));
  chat(romeo, "juliet@example.com", "3");
  chat(romeo, "juliet@example.com", "4");
  EXPECT_THAT(said(juliet), ElementsAre(request)) << "one is enough";
  acknowledges(juliet, 1);
  EXPECT_THAT(said(juliet), ElementsAre(request)) << "for what came after the first";
  acknowledges(juliet, 1);
  EXPECT_THAT(said(juliet), IsEmpty()) << "nothing new";
  acknowledges(juliet, 2);
  EXPECT_THAT(said(juliet), IsEmpty()) << "nothing left";
}

TEST_F(ManagedSessions, AcknowledgeWhatIsStoredOnceItIs) {  // THREATS X1
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto sends = [&](const std::string& n) {
    server_.says_without_settling(juliet,
                                  "<message type='chat' id='" + n + "' to='romeo@example.com'><body/></message>");
    server_.homes.turn();
    server_.router->acknowledge(juliet.session, juliet.full);
    server_.homes.turn();
  };
  sends("1");
  sends("2");
  EXPECT_THAT(said(juliet), IsEmpty()) << "neither is stored";
  while (server_.store.offline_count(address("romeo@example.com")) == 0) {
    EXPECT_THAT(said(juliet), IsEmpty()) << "nor when it is known whether he blocks her";
    ASSERT_TRUE(server_.store.step());
    server_.homes.turn();
  }
  EXPECT_THAT(said(juliet), ElementsAre("<a xmlns='urn:xmpp:sm:3' h='1'/>"));
  sends("3");
  EXPECT_THAT(said(juliet), IsEmpty());
  server_.settle();
  EXPECT_THAT(said(juliet), ElementsAre("<a xmlns='urn:xmpp:sm:3' h='2'/>", "<a xmlns='urn:xmpp:sm:3' h='3'/>"));
  // What cannot be stored is returned, and dealt with by that.
  server_.store.fail = true;
  sends("4");
  server_.settle();
  EXPECT_THAT(said(juliet), testing::Contains("<a xmlns='urn:xmpp:sm:3' h='4'/>"));
  EXPECT_THAT(heard(juliet), ElementsAre("4"));
}

TEST_F(ManagedSessions, AreResumedOnceWhatTheySentIsStored) {  // THREATS X1
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  server_.says_without_settling(juliet, "<message type='chat' id='1' to='romeo@example.com'><body/></message>");
  server_.homes.turn();
  std::optional<connection::resume_answer> got;
  server_.router->resume(server_.new_session(), {.user = address("juliet@example.com"), .id = id, .handled = 0},
                         [&](connection::resume_answer a) { got = std::move(a); });
  server_.homes.turn();
  EXPECT_FALSE(got.has_value());
  server_.settle();
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->handled, 1U);
}

TEST_F(ManagedSessions, AreResumedWithNothingLostAndNothingTwice) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  chat(juliet, "romeo@example.com", "0");
  chat(romeo, "juliet@example.com", "1");
  chat(romeo, "juliet@example.com", "2");
  EXPECT_THAT(heard(juliet), ElementsAre("1", "2"));
  breaks(juliet);
  chat(romeo, "juliet@example.com", "3");
  chat(romeo, "juliet@example.com/balcony", "4");
  const auto back = again(juliet);
  const auto answer = resumes(back, "juliet@example.com", id, 1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->full, juliet.full);
  EXPECT_EQ(answer->handled, 1U);
  EXPECT_THAT(heard(back), ElementsAre("2", "3", "4"));
  EXPECT_THAT(said(back), ElementsAre(request));
  chat(romeo, "juliet@example.com", "5");
  EXPECT_THAT(heard(back), ElementsAre("5"));
  acknowledges(back, 5);
  server_.disconnect(back);
  EXPECT_THAT(kept_for("juliet@example.com/balcony"), IsEmpty());
}

TEST_F(ManagedSessions, StayAvailableToOthersUntilTheirTimeIsOver) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  server_.befriend(juliet, romeo);
  acknowledges(juliet, 0);
  (void)server_.hears(romeo);
  breaks(juliet);
  passes(299s);
  EXPECT_THAT(server_.hears(romeo), IsEmpty());
  passes(2s);
  EXPECT_THAT(server_.hears(romeo), ElementsAre(HasSubstr("presence unavailable juliet@example.com/balcony")));
  EXPECT_FALSE(resumes(again(juliet), "juliet@example.com", id, 0));
}

TEST_F(ManagedSessions, SayWhatTheyHandledOnceTheirTimeIsOver) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  chat(juliet, "romeo@example.com", "1");
  chat(juliet, "romeo@example.com", "2");
  breaks(juliet);
  passes(301s);
  const auto handled = [&](const std::string& user, const std::string& of) {
    const auto a = resumes(again(juliet), user, of, 0);
    EXPECT_FALSE(a);
    EXPECT_EQ(a.error().condition, stanza_condition::item_not_found);
    return a.error().handled;
  };
  EXPECT_EQ(handled("juliet@example.com", id), 2U);
  EXPECT_EQ(handled("juliet@example.com", id), 2U) << "as often as it is asked for";
  EXPECT_EQ(handled("romeo@example.com", id), std::nullopt) << "nobody else's";  // THREATS F1
  EXPECT_EQ(handled("juliet@example.com", id + "x"), std::nullopt);
}

TEST_F(ManagedSessions, SayWhatTheyHandledOnceItIsStored) {  // THREATS X1
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  server_.says_without_settling(juliet, "<message type='chat' id='1' to='romeo@example.com'><body/></message>");
  server_.homes.turn();
  server_.router->unbind(juliet.session, juliet.full, true);
  server_.homes.turn();
  server_.homes.advance(301s);
  server_.homes.turn();
  std::optional<connection::resume_answer> got;
  server_.router->resume(server_.new_session(), {.user = address("juliet@example.com"), .id = id, .handled = 0},
                         [&](connection::resume_answer a) { got = std::move(a); });
  server_.homes.turn();
  while (server_.store.offline_count(address("romeo@example.com")) == 0) {
    EXPECT_FALSE(got) << "a crash would lose it yet";
    ASSERT_TRUE(server_.store.step());
    server_.homes.turn();
  }
  server_.settle();
  ASSERT_TRUE(got);
  ASSERT_FALSE(*got);
  EXPECT_EQ(got->error().handled, 1U);
}

TEST(EndedSessions, AreKnownAsLongAsNotTooManyCameAfterThem) {
  ended_sessions all;
  all.remember({.id = "first", .user = "juliet@example.com", .handled = 7, .unstored = {}});
  for (std::size_t i = 1; i < ended_sessions::most; ++i) {
    EXPECT_NE(all.find("first", "juliet@example.com"), nullptr) << i;
    all.remember({.id = std::to_string(i), .user = "romeo@example.com", .handled = 0, .unstored = {}});
  }
  ASSERT_NE(all.find("first", "juliet@example.com"), nullptr);
  EXPECT_EQ(all.find("first", "juliet@example.com")->handled, 7U);
  all.remember({.id = "one more", .user = "romeo@example.com", .handled = 0, .unstored = {}});
  EXPECT_EQ(all.find("first", "juliet@example.com"), nullptr);
  EXPECT_NE(all.find("1", "romeo@example.com"), nullptr);
  EXPECT_NE(all.find("one more", "romeo@example.com"), nullptr);
}

TEST_F(ManagedSessions, LeaveWhatWasNotAcknowledgedToOfflineStorageOrToItsSender) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  for (const auto* each : {"1", "2", "3"}) {
    chat(romeo, "juliet@example.com/balcony", each);
  }
  acknowledges(juliet, 1);
  breaks(juliet);
  chat(romeo, "juliet@example.com", "4");
  server_.says(romeo, "<message type='groupchat' id='5' to='juliet@example.com/balcony'><body>x</body></message>");
  server_.says(juliet, "<message type='chat' id='stale' to='romeo@example.com'><body>x</body></message>");
  EXPECT_THAT(server_.hears(romeo), IsEmpty()) << "what a stream says that has lost its session is not heard";
  passes(301s);
  EXPECT_THAT(server_.hears(romeo), ElementsAre(HasSubstr("message error juliet@example.com/balcony")));
  EXPECT_THAT(kept_for("juliet@example.com/chamber"), ElementsAre("2", "3", "4"));
}

TEST_F(ManagedSessions, ThatAreClosedAreNotKept) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  chat(romeo, "juliet@example.com", "1");
  server_.disconnect(juliet);
  EXPECT_FALSE(resumes(again(juliet), "juliet@example.com", id, 0));
  EXPECT_THAT(kept_for("juliet@example.com/chamber"), ElementsAre("1"));
}

TEST_F(ManagedSessions, WithoutResumptionLoseNothingEither) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id, false);
  const auto romeo = server_.login("romeo@example.com/orchard");
  EXPECT_EQ(id, "");
  chat(romeo, "juliet@example.com", "1");
  chat(romeo, "juliet@example.com", "2");
  acknowledges(juliet, 1);
  breaks(juliet);
  EXPECT_THAT(kept_for("juliet@example.com/chamber"), ElementsAre("2"));
}

TEST_F(ManagedSessions, AreNobodyElsesAndOneStreamsAtATime) {  // THREATS F1
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto refused = [&](const connection::resume_answer& a) {
    return !a && a.error().condition == stanza_condition::item_not_found;
  };
  EXPECT_TRUE(refused(resumes(again(juliet), "romeo@example.com", id, 0)));
  EXPECT_TRUE(refused(resumes(again(juliet), "juliet@example.com", id + "x", 0)));
  EXPECT_TRUE(refused(resumes(again(juliet), "juliet@example.com", "", 0)));
  // Two at once: the first has it, and the stream of before is told.
  std::vector<connection::resume_answer> got;
  const auto one = again(juliet);
  const auto two = again(juliet);
  for (const auto& each : {one, two}) {
    server_.router->resume(each.session, {.user = address("juliet@example.com"), .id = id, .handled = 0},
                           [&](connection::resume_answer a) { got.push_back(std::move(a)); });
  }
  server_.settle();
  ASSERT_EQ(got.size(), 2U);
  EXPECT_TRUE(got[0]);
  EXPECT_TRUE(refused(got[1]));
  EXPECT_EQ(server_.outlet.closed(juliet.session), stream_condition::conflict);
  // The stream it went to is gone before the answer: it is to be had once more.
  server_.router->unbind(one.session, one.full, true);
  server_.settle();
  EXPECT_TRUE(resumes(two, "juliet@example.com", id, 0));
}

TEST_F(ManagedSessions, EndForWhoAcknowledgesTooMuch) {  // THREATS F2
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  acknowledges(juliet, 5);
  EXPECT_THAT(said(juliet), ElementsAre("too high 5 of 0"));
  chat(romeo, "juliet@example.com", "1");
  (void)said(juliet);
  acknowledges(juliet, 1);
  acknowledges(juliet, 0);
  EXPECT_THAT(said(juliet), ElementsAre("too high 0 of 1")) << "going backwards";
  const auto late = resumes(again(juliet), "juliet@example.com", id, 9);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().sent, 1U);
}

TEST_F(ManagedSessions, EndWhereTooMuchIsUnacknowledged) {  // THREATS F3
  floods(true);
}

TEST_F(ManagedSessions, EndWhereTooMuchWaitsForTheirStream) {  // THREATS F3
  floods(false);
}

TEST_F(ManagedSessions, MakeRoomForOnesThatHaveAStream) {
  server_.router->configure({"example.com"}, 2, {});
  std::string first;
  std::string second;
  const auto one = managed("juliet@example.com/1", first);
  const auto two = managed("juliet@example.com/2", second);
  EXPECT_FALSE(server_.bind(server_.new_session(), "juliet@example.com", "3"));
  breaks(two);
  EXPECT_TRUE(server_.bind(server_.new_session(), "juliet@example.com", "3"));
  EXPECT_FALSE(resumes(again(two), "juliet@example.com", second, 0));
  EXPECT_EQ(server_.outlet.closed(one.session), std::nullopt);
}

TEST_F(ManagedSessions, GiveTheirResourceAndWhatWaitsToWhoBindsItAnew) {
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  chat(romeo, "juliet@example.com/balcony", "1");
  breaks(juliet);
  EXPECT_THAT(kept_for("juliet@example.com/balcony"), ElementsAre("1"));
}

TEST(KeptSessions, GoOnInTheNextServer) {
  const auto juliet_at = address("juliet@example.com");
  const auto enable = [](im_server& s, const client& c) {
    s.router->manage(c.session, c.full, {.resume = true, .max_seconds = {}});
    s.settle();
    const auto said = s.outlet.take_said(c.session).at(0);
    const auto from = said.find("id='") + 4;
    return said.substr(from, said.find('\'', from) - from);
  };
  const auto bodies = [](im_server& s, const client& c) {
    std::vector<std::string> ids;
    for (const auto& each : s.outlet.take(c.session)) {
      if (each->kind() == stanza_kind::message) {
        ids.push_back(each->id());
      }
    }
    return ids;
  };
  std::vector<std::string> kept;
  std::string balcony;
  std::string phone;
  {
    im_server before;
    const auto one = before.login("juliet@example.com/balcony");
    const auto two = before.login("juliet@example.com/phone");
    balcony = enable(before, one);
    phone = enable(before, two);
    const auto romeo = before.login("romeo@example.com/orchard");
    before.says(one, "<message type='chat' id='x' to='nurse@example.com'><body>x</body></message>");
    before.says(romeo, "<message type='chat' id='1' to='juliet@example.com/balcony'><body>x</body></message>");
    before.says(romeo, "<message type='chat' id='2' to='juliet@example.com'><body>x</body></message>");
    before.router->unbind(one.session, one.full, true);
    before.router->unbind(two.session, two.full, true);
    before.settle();
    kept = before.router->suspended();
  }
  ASSERT_EQ(kept.size(), 2U);
  im_server after;
  kept.emplace_back("damaged");
  after.router->restore(kept);
  after.settle();
  EXPECT_THAT(after.router->sessions_by_host(), testing::Contains(testing::Pair("example.com", 2U)));
  const client back{.session = after.new_session(), .full = address("juliet@example.com/balcony")};
  std::optional<connection::resume_answer> got;
  after.router->resume(back.session, {.user = juliet_at, .id = balcony, .handled = 0},
                       [&](connection::resume_answer a) { got = std::move(a); });
  after.settle();
  ASSERT_TRUE(got && *got);
  EXPECT_EQ((*got)->handled, 1U);
  after.router->resumed(back.session, back.full);
  after.settle();
  EXPECT_THAT(bodies(after, back), ElementsAre("1", "2"));
  EXPECT_EQ(after.homes.delayed_work(), 1U) << "the end of the other, and no longer this one's";
  after.router->acknowledged(back.session, back.full, 2);
  after.settle();
  // The other is not resumed: what it shared with the first is not lost, and what it had is nobody's any more.
  after.homes.advance(301s);
  after.settle();
  EXPECT_THAT(after.router->sessions_by_host(), testing::Contains(testing::Pair("example.com", 1U)));
  EXPECT_THAT(bodies(after, back), IsEmpty());
  EXPECT_EQ(after.store.offline_count(juliet_at), 0U);
  EXPECT_EQ(after.homes.delayed_work(), 0U);
}

TEST_F(ManagedSessions, ThatHaveTooMuchToHoldLoseNothingToARestartBeforeTheirEnd) {  // THREATS F3
  server_.router->configure({"example.com"}, 10, {.resume_timeout = 300s, .queue_stanzas = 5});
  std::string id;
  const auto juliet = managed("juliet@example.com/balcony", id);
  const auto romeo = server_.login("romeo@example.com/orchard");
  breaks(juliet);
  for (int i = 1; i <= 6; ++i) {
    chat(romeo, "juliet@example.com", std::to_string(i));
  }
  const auto kept = server_.router->suspended();
  ASSERT_EQ(kept.size(), 1U);
  im_server after;
  after.router->restore(kept);
  after.settle();
  after.homes.advance(1s);
  after.settle();
  EXPECT_THAT(after.router->sessions_by_host(), testing::Not(testing::Contains(testing::Pair("example.com", 1U))));
  EXPECT_EQ(after.store.offline_count(address("juliet@example.com")), 6U);
}

TEST_F(ManagedSessions, OfSeveralDevicesKeepAMessageOnce) {
  std::string id;
  std::string other;
  const auto phone = managed("juliet@example.com/phone", id);
  const auto laptop = managed("juliet@example.com/laptop", other);
  const auto romeo = server_.login("romeo@example.com/orchard");
  (void)said(phone);
  chat(romeo, "juliet@example.com", "1");
  breaks(phone);
  breaks(laptop);
  passes(301s);
  EXPECT_THAT(kept_for("juliet@example.com/chamber"), ElementsAre("1"));
}

TEST(KeptSession, OfADamagedStoreIsRefusedForANumberThatIsNone) {  // THREATS X20
  kept_session session;
  session.id = "abc";
  session.full = address("juliet@example.com/balcony");
  session.unacknowledged.push_back(
      {.stanza = parse_stanza("<message to='juliet@example.com'/>", address("romeo@example.com/x")), .at = {}});
  const auto sound = written(session);
  ASSERT_TRUE(read_session(sound));
  for (const std::string name : {"resume_within", "handled", "acknowledged", "at", "copies"}) {
    const auto with = [&](std::string_view number) {
      const auto begin = sound.find("\"" + name + "\":") + name.size() + 3;
      auto changed = sound;
      return changed.replace(begin, sound.find_first_of(",}", begin) - begin, number);
    };
    EXPECT_TRUE(read_session(with("4294967295"))) << name;
    for (const auto* number :
         {"-1", "1e3", "1.9e39", "-1e400", "0.5", "18446744073709551616", "true", "null", "\"1\""}) {
      EXPECT_FALSE(read_session(with(number))) << with(number);
    }
    const bool counter = name != "at" && name != "copies";  // of 32 bits
    EXPECT_EQ(!counter, read_session(with("4294967296")).has_value()) << name;
  }
}

}  // namespace
}  // namespace comity::server
