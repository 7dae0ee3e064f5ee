// `comityctl trace`: what of a stream is shown, whose matters are whose, and that a slow reader holds up nobody.
#include <gmock/gmock.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "connection/connection_info.hpp"
#include "fakes/recording_log.hpp"
#include "server/admin/log_command.hpp"
#include "server/admin/trace_command.hpp"
#include "server/trace/masked.hpp"
#include "server/trace/trace_hub.hpp"

namespace comity::trace {
namespace {

using admin::progress;
using json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// --- what is shown ---------------------------------------------------------------------------------------------------

struct shown {
  const char* xml;
  const char* usual;
  const char* with_bodies;  // nullptr: the same
};

constexpr shown table[] = {
    {"<stream:stream from='a.org' to='b.org' id='x'>", "<stream:stream from='a.org' to='b.org' id='x'>", nullptr},
    {"</stream:stream>", "</stream:stream>", nullptr},
    {"<?xml version='1.0'?><stream:stream to='b.org'><stream:features><bidi/></stream:features>",
     "<?xml version='1.0'?><stream:stream to='b.org'><stream:features><bidi/></stream:features>", nullptr},
    {"<features><mechanisms><mechanism>EXTERNAL</mechanism></mechanisms></features>",
     "<features><mechanisms><mechanism>EXTERNAL</mechanism></mechanisms></features>", nullptr},
    // SASL: nothing of it, whatever its step
    {"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFsaWNlAGNhbmFyeQ==</auth>",
     "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>[masked]</auth>", nullptr},
    {"<challenge>canary</challenge>", "<challenge>[masked]</challenge>", nullptr},
    {"<response>canary</response>", "<response>[masked]</response>", nullptr},
    {"<success>canary</success>", "<success>[masked]</success>", nullptr},
    {"<authenticate><initial-response>canary</initial-response></authenticate>",
     "<authenticate><initial-response>[masked]</initial-response></authenticate>", nullptr},
    {"<token token='canary' expiry='1'/>", "<token token='[masked]' expiry='1'/>", nullptr},
    {"<failure><not-authorized/><text>no</text></failure>", "<failure><not-authorized/><text>no</text></failure>",
     nullptr},
    // dialback keys, with and without a prefix
    {"<db:result from='a' to='b'>canary</db:result>", "<db:result from='a' to='b'>[masked]</db:result>", nullptr},
    {"<verify xmlns='jabber:server:dialback' id='1'>canary</verify>",
     "<verify xmlns='jabber:server:dialback' id='1'>[masked]</verify>", nullptr},
    {"<db:result type='valid'/>", "<db:result type='valid'/>", nullptr},
    // passwords, wherever they stand
    {"<iq type='set'><query xmlns='jabber:iq:register'><username>al</username><password>canary</password></query></iq>",
     "<iq type='set'><query xmlns='jabber:iq:register'><username>[2 "
     "bytes]</username><password>[masked]</password></query></iq>",
     "<iq type='set'><query "
     "xmlns='jabber:iq:register'><username>al</username><password>[masked]</password></query></iq>"},
    {"<iq><x><field var='user'><value>al</value></field><field type='text-private' "
     "var='p'><value>canary</value></field></x></iq>",
     "<iq><x><field var='user'><value>[2 bytes]</value></field><field type='text-private' "
     "var='p'><value>[masked]</value></field></x></iq>",
     "<iq><x><field var='user'><value>al</value></field><field type='text-private' "
     "var='p'><value>[masked]</value></field></x></iq>"},
    {"<iq><x><field var='muc#roomconfig_roomsecret'><value>canary</value></field></x></iq>",
     "<iq><x><field var='muc#roomconfig_roomsecret'><value>[masked]</value></field></x></iq>", nullptr},
    {"<message><x><password><b>canary</b></password></x></message>",
     "<message><x><password><b>[masked]</b></password></x></message>", nullptr},
    // what people say
    {"<message type='chat' from='a@b'><body>Hello</body></message>",
     "<message type='chat' from='a@b'><body>[5 bytes]</body></message>",
     "<message type='chat' from='a@b'><body>Hello</body></message>"},
    {"<message><body>x</body></message>", "<message><body>[1 byte]</body></message>",
     "<message><body>x</body></message>"},
    {"<presence><show>away</show><status>at home</status></presence>",
     "<presence><show>away</show><status>[7 bytes]</status></presence>",
     "<presence><show>away</show><status>at home</status></presence>"},
    {"<message type='error'><body>Hello</body><error type='cancel'><gone/><text>moved</text></error></message>",
     "<message type='error'><body>[5 bytes]</body><error type='cancel'><gone/><text>moved</text></error></message>",
     "<message type='error'><body>Hello</body><error type='cancel'><gone/><text>moved</text></error></message>"},
    {"<iq from='a&gt;b' id='<>'><q a=\"it's >\"/></iq>", "<iq from='a&gt;b' id='<>'><q a=\"it's >\"/></iq>", nullptr},
    {"<presence><show/></presence><message><body>ab</body></message>",
     "<presence><show/></presence><message><body>[2 bytes]</body></message>",
     "<presence><show/></presence><message><body>ab</body></message>"},
    // what a terminal would obey
    {"<message><body>\x1b[2J\r\n</body></message>", "<message><body>[6 bytes]</body></message>",
     "<message><body>\\u001b[2J\\u000d\\n</body></message>"},
    {"<message id='\xe2\x80\xae\xff'/>", "<message id='\\u202e\\xff'/>", nullptr},
    // what cannot be read is not shown
    {"<message><body>canary", "<message><body>[6 bytes]", "<message><body>canary"},
    {"<message id='canary", "…", nullptr},
    {"<message id=canary>", "<message…", nullptr},
    {"<message><![CDATA[canary]]></message>", "<message>…", nullptr},
    {"<!-- canary -->", "…", nullptr},
    {"", "", nullptr},
};

TEST(Masked, ShowsElementsAndNotWhatTheyAreToKeep) {  // THREATS G8
  for (const auto& [xml, usual, with_bodies] : table) {
    EXPECT_EQ(masked(xml), usual);
    EXPECT_EQ(masked(xml, {.bodies = true}), with_bodies != nullptr ? with_bodies : usual) << xml;
  }
}

TEST(Masked, CutsWhatIsLong) {  // L-1, L, L+1
  const std::string xml = "<message><body>ab</body></message>";
  for (const std::size_t most : {xml.size() + 1, xml.size()}) {
    EXPECT_EQ(masked(xml, {.most = most}), "<message><body>[2 bytes]</body></message>");
  }
  EXPECT_EQ(masked(xml, {.most = xml.size() - 1}), "<message><body>[2 bytes]</body>…");
  EXPECT_EQ(masked(xml, {.bodies = true, .most = 16}), "<message><body>…");
}

// --- who is told -----------------------------------------------------------------------------------------------------

struct reader final : progress {
  fate tell(std::string value) override {
    if (gone) {
      return fate::gone;
    }
    if (full) {
      return fate::full;
    }
    auto j = json::parse(value);
    lines.push_back(j.is_string() ? j.get<std::string>() : j.dump());
    return fate::taken;
  }
  void when_gone(std::move_only_function<void()> l) override { left = std::move(l); }
  std::vector<std::string> lines;
  bool full = false, gone = false;
  std::move_only_function<void()> left;
};

connection::connection_info conn(std::uint64_t number, std::string peer, std::string domain) {
  connection::connection_info i;
  i.ref.id = number;
  i.peer = std::move(peer);
  i.domain = std::move(domain);
  return i;
}

class TraceHub : public ::testing::Test {
protected:
  std::shared_ptr<reader> follow(const std::string& party, bool as_json = false) {
    auto to = std::make_shared<reader>();
    last_ = hub_.follow({.party = *jid::parse(party), .as_json = as_json}, to);
    return to;
  }
  void say(const connection::connection_info& of, std::string_view xml) { hub_.part(of, way::in, xml); }
  trace_hub hub_;
  std::uint64_t last_ = 0;
};

TEST_F(TraceHub, IsActiveWhileSomebodyFollows) {
  EXPECT_FALSE(hub_.active());
  const auto first = follow("a.org");
  const auto number = last_;
  const auto second = follow("b.org");
  hub_.stop(number);
  EXPECT_TRUE(hub_.active());
  hub_.stop(last_);
  EXPECT_FALSE(hub_.active());
  follow("a.org");
  hub_.clear();
  EXPECT_FALSE(hub_.active());
}

TEST_F(TraceHub, TellsADomainsConnectionsAndItsStanzas) {
  const auto to = follow("B.org");
  say(conn(1, "b.org", "a.org"), "<features/>");
  say(conn(2, "al@b.org/x", "b.org"), "<r/>");
  say(conn(3, "c.org", "a.org"), "<features/>");
  say(conn(3, "c.org", "a.org"), "<message to='a@a.org' from='a@b.org'/>");
  say(conn(4, "x@a.org/r", "a.org"), "<message type='chat' to='a@b.org/r'/>");
  say(conn(4, "x@a.org/r", "a.org"), "<message from='c.org' id=' to=&apos;b.org'/>");
  ASSERT_THAT(to->lines, SizeIs(4));
  EXPECT_THAT(to->lines[0], EndsWith("Z in    conn=1 <features/>\n"));
  EXPECT_THAT(to->lines[1], HasSubstr("conn=2 "));
  EXPECT_THAT(to->lines[2], HasSubstr("conn=3 <message "));
  EXPECT_THAT(to->lines[3], HasSubstr("conn=4 "));
}

TEST_F(TraceHub, TellsAnAccountOrAResource) {
  const auto account = follow("al@b.org");
  const auto resource = follow("al@b.org/one");
  say(conn(1, "al@b.org/one", "b.org"), "<r/>");
  say(conn(2, "al@b.org/two", "b.org"), "<r/>");
  say(conn(3, "bo@b.org/one", "b.org"), "<r/>");
  say(conn(3, "bo@b.org/one", "b.org"), "<message to='al@b.org/one'/>");
  say(conn(4, "b.org", "c.org"), "<r/>");
  EXPECT_THAT(account->lines, SizeIs(3));
  EXPECT_THAT(resource->lines, SizeIs(2));
}

TEST_F(TraceHub, TellsEventsByNameAndByConnection) {
  fakes::recording_log log;
  traced_log traced{log, hub_};
  const auto to = follow("b.org");
  const auto event = [&](std::string_view name, std::int64_t number, std::string_view field, std::string_view value) {
    traced.write(log::level::debug, name, {{"conn", number}, {field, value}});
  };
  event("s2s.accepted", 1, "address", "b.org");  // nobody has said who that is
  event("s2s.established", 1, "peer", "b.org");
  event("s2s.ignored", 1, "detail", "x");  // known by its number from then on
  event("s2s.ignored", 2, "detail", "b.org");
  traced.write(log::level::info, "s2s.bounced", {{"peer", "b.org"}, {"local", "a.org"}});
  traced.write(log::level::info, "auth.failed", {{"user", "al@b.org"}});
  ASSERT_THAT(to->lines, SizeIs(4));
  EXPECT_THAT(to->lines[0], EndsWith("Z debug s2s.established conn=1 peer=b.org\n"));
  EXPECT_THAT(to->lines[1], HasSubstr(" s2s.ignored conn=1 detail=x"));
  EXPECT_THAT(to->lines[2], HasSubstr("s2s.bounced"));
  EXPECT_THAT(to->lines[3], HasSubstr("auth.failed"));
  EXPECT_THAT(log.lines(), SizeIs(6));  // the log itself has all of it
}

/// A log that takes warnings and what is worse.
struct quiet_log final : log::sink {
  [[nodiscard]] bool enabled(log::level l) const noexcept override { return l >= log::level::warn; }
  void write(log::level, std::string_view, std::initializer_list<log::field>) noexcept override {}
};

TEST_F(TraceHub, HearsEveryLevelWhileSomebodyFollows) {
  quiet_log log;
  const traced_log traced{log, hub_};
  EXPECT_FALSE(traced.enabled(log::level::debug));
  EXPECT_TRUE(traced.enabled(log::level::warn));
  const auto to = follow("b.org");
  EXPECT_TRUE(traced.enabled(log::level::trace));
}

TEST_F(TraceHub, TellsProgramsOneObjectALine) {
  const auto to = follow("b.org", true);
  say(conn(7, "b.org", "a.org"), "<message><body>\xff</body></message>");
  hub_.event(log::level::info, "s2s.closed", {{"conn", std::int64_t{7}}, {"cause", "peer_closed"}});
  ASSERT_THAT(to->lines, SizeIs(2));
  const auto part = json::parse(to->lines[0]);
  EXPECT_EQ(part.at("way"), "in");
  EXPECT_EQ(part.at("conn"), 7);
  EXPECT_EQ(part.at("peer"), "b.org");
  EXPECT_EQ(part.at("xml"), "<message><body>[1 byte]</body></message>");
  EXPECT_EQ(json::parse(to->lines[1]).at("event"), "s2s.closed");
}

TEST_F(TraceHub, CountsWhatASlowReaderLoses) {
  const auto slow = follow("b.org");
  const auto quick = follow("b.org");
  const auto c = conn(1, "b.org", "a.org");
  say(c, "<one/>");
  slow->full = true;
  say(c, "<two/>");
  say(c, "<three/>");
  slow->full = false;
  say(c, "<four/>");
  say(c, "<five/>");
  ASSERT_THAT(slow->lines, SizeIs(4));
  EXPECT_THAT(slow->lines[0], HasSubstr("<one/>"));
  EXPECT_EQ(slow->lines[1], "… 2 lines dropped: they came faster than they were read\n");
  EXPECT_THAT(slow->lines[2], HasSubstr("<four/>"));
  EXPECT_THAT(slow->lines[3], HasSubstr("<five/>"));
  EXPECT_THAT(quick->lines, SizeIs(5));
}

TEST_F(TraceHub, ForgetsWhoHasGone) {
  const auto to = follow("b.org");
  to->gone = true;
  say(conn(1, "b.org", "a.org"), "<one/>");
  EXPECT_FALSE(hub_.active());
}

// --- the commands ----------------------------------------------------------------------------------------------------

TEST_F(TraceHub, IsFollowedByCommandUntilTheOperatorGoes) {
  const admin::trace_command command{hub_};
  const auto to = std::make_shared<reader>();
  bool answered = false;
  command({{"party", "Al@B.org"}}, to, [&answered](const std::string&) { answered = true; });
  EXPECT_TRUE(hub_.active());
  EXPECT_THAT(to->lines, ElementsAre("following al@b.org; Ctrl-C ends it\n"));
  EXPECT_FALSE(answered);
  to->left();
  EXPECT_FALSE(hub_.active());
}

TEST_F(TraceHub, IsNotFollowedByWhoNamesNobody) {
  const admin::trace_command command{hub_};
  std::vector<std::string> answers;
  for (const auto& args : {json{{"party", "@"}}, json{{"party", ""}}, json{{"party", 7}}, json::object()}) {
    command(args, std::make_shared<reader>(), [&](std::string text) { answers.push_back(std::move(text)); });
  }
  ASSERT_THAT(answers, SizeIs(4));
  EXPECT_EQ(json::parse(answers[0]).at("error"), "'@' is no JID; name a domain, an account or one of its resources");
  EXPECT_FALSE(hub_.active());
}

TEST(LogLevelCommand, ShowsAndChangesTheLevel) {
  fakes::recording_log log;
  auto level = log::level::info;
  const admin::log_level_command command{{.now = [&] { return level; },
                                          .configured = [] { return log::level::info; },
                                          .change = [&](log::level l) { level = l; },
                                          .log = log}};
  const auto ask = [&](const json& args) {
    json answer;
    command(args, nullptr, [&](const std::string& text) { answer = json::parse(text); });
    return answer;
  };
  EXPECT_EQ(ask({{"level", ""}}).at("result"), (json{{"level", "info"}, {"configured", "info"}}));
  EXPECT_THAT(log.lines(), IsEmpty());
  EXPECT_EQ(ask({{"level", "debug"}}).at("result"), (json{{"level", "debug"}, {"configured", "info"}}));
  EXPECT_EQ(level, log::level::debug);
  EXPECT_THAT(log.lines(), ElementsAre("log.level before=info now=debug"));
  EXPECT_EQ(ask({{"level", "loud"}}).at("error"), "'loud' is no level; use trace, debug, info, warn or error");
  EXPECT_EQ(level, log::level::debug);
}

}  // namespace
}  // namespace comity::trace
