// What an operator can ask: accounts on a store on disk, and everything else on a registry that is told what is there.
#include "server/admin/commands.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <future>
#include <nlohmann/json.hpp>

#include "fakes/folder.hpp"
#include "fakes/recording_log.hpp"
#include "server/admin/table.hpp"
#include "server/storage/sqlite/sqlite_store.hpp"

namespace comity::admin {
namespace {

using json = nlohmann::json;
using connection::connection_info;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

json request(const std::string& command, json args = json::object()) {
  return {{"command", command}, {"args", std::move(args)}};
}

/// One answer, or the failure of there being none or two.
template <typename Run>
json answer_of(Run run) {
  auto promise = std::make_shared<std::promise<std::string>>();
  auto future = promise->get_future();
  run([promise](std::string text) { promise->set_value(std::move(text)); });
  const auto text = future.get();
  EXPECT_EQ(std::string::npos, text.find('\n'));
  return json::parse(text);
}

// --- accounts --------------------------------------------------------------------------------------------------------

class AccountCommands : public ::testing::Test {
protected:
  json ask(const json& what) {
    return answer_of([&](replier reply) { EXPECT_TRUE(commands_.run(what.dump(), reply)) << what; });
  }
  json add(const std::string& user, const std::string& password = "pencil") {
    return ask(request("user add", {{"jid", user}, {"password", password}}));
  }
  std::string error(const json& answer) {
    EXPECT_FALSE(answer.at("ok"));
    return answer.at("error");
  }
  std::string verdict(const std::string& user, std::string_view password) {
    std::promise<connection::password_answer> verdict;
    auth_.check_password(*jid::parse(user), connection::secret{std::string{password}},
                         [&](auto v) { verdict.set_value(std::move(v)); });
    return verdict.get_future().get().value() ? "right" : "wrong";
  }

  fakes::folder folder_;
  fakes::recording_log log_;
  std::unique_ptr<storage::store> store_ = storage::open_sqlite(folder_.path() / "comity.db", log_).value();
  auth::authenticator auth_{*store_};
  std::vector<std::pair<std::string, stream_condition>> ended_;
  account_commands commands_{
      {.store = *store_,
       .authenticator = auth_,
       .hosts = [](std::string_view domain) { return domain == "a.example" || domain == "b.example"; },
       .end_sessions = [this](const jid& user, stream_condition why) { ended_.emplace_back(user.text(), why); }}};
};

TEST_F(AccountCommands, MakeListAndDeleteAccounts) {
  EXPECT_EQ((json{{"ok", true}, {"result", {{"jid", "alice@a.example"}}}}), add("alice@a.example"));
  EXPECT_TRUE(add("bob@b.example").at("ok"));
  EXPECT_EQ("right", verdict("alice@a.example", "pencil"));
  EXPECT_EQ((json{{"ok", true}, {"result", {{{"jid", "alice@a.example"}}, {{"jid", "bob@b.example"}}}}}),
            ask(request("user list")));
  EXPECT_EQ(json::array({{{"jid", "bob@b.example"}}}),
            ask(request("user list", {{"domain", "B.Example"}})).at("result"));
  EXPECT_TRUE(ask(request("user delete", {{"jid", "alice@a.example"}})).at("ok"));
  EXPECT_EQ(json::array({{{"jid", "bob@b.example"}}}), ask(request("user list")).at("result"));
}

TEST_F(AccountCommands, NamesAreEnforced) {
  EXPECT_EQ("alice@a.example", add("Alice@A.Example").at("result").at("jid"));
  EXPECT_THAT(error(add("ALICE@a.example")), HasSubstr("alice@a.example"));
}

TEST_F(AccountCommands, ANewPasswordCountsAtOnceAndEndsSessions) {  // THREATS C9
  add("alice@a.example");
  EXPECT_THAT(ended_, IsEmpty());
  EXPECT_TRUE(ask(request("user passwd", {{"jid", "alice@a.example"}, {"password", "crayon"}})).at("ok"));
  EXPECT_EQ("right", verdict("alice@a.example", "crayon"));
  EXPECT_EQ("wrong", verdict("alice@a.example", "pencil"));
  EXPECT_THAT(ended_, ElementsAre(Pair("alice@a.example", stream_condition::reset)));
}

TEST_F(AccountCommands, ADeletedAccountsSessionsEnd) {  // THREATS C9
  add("alice@a.example");
  EXPECT_TRUE(ask(request("user delete", {{"jid", "alice@a.example"}})).at("ok"));
  EXPECT_THAT(ended_, ElementsAre(Pair("alice@a.example", stream_condition::not_authorized)));
}

TEST_F(AccountCommands, SayWhatIsWrong) {
  add("alice@a.example");
  EXPECT_THAT(error(add("alice@a.example")), HasSubstr("alice@a.example: "));
  EXPECT_THAT(error(ask(request("user passwd", {{"jid", "bob@a.example"}, {"password", "x"}}))),
              HasSubstr("bob@a.example: "));
  EXPECT_THAT(error(ask(request("user delete", {{"jid", "bob@a.example"}}))), HasSubstr("bob@a.example: "));
  EXPECT_THAT(error(add("carol@elsewhere.example")), HasSubstr("'elsewhere.example' is not served here"));
  EXPECT_THAT(error(add("a.example")), HasSubstr("names no account"));
  EXPECT_THAT(error(add("carol@a.example/desk")), HasSubstr("names no account"));
  EXPECT_THAT(error(add("car ol@a.example")), HasSubstr("is no JID"));
  EXPECT_THAT(error(add("")), HasSubstr("is no JID"));
  EXPECT_THAT(error(add("carol@a.example", "")), HasSubstr("the password is empty"));
  EXPECT_THAT(error(add("carol@a.example", "tab\there")), HasSubstr("no client could send"));
  EXPECT_THAT(error(ask(request("user list", {{"domain", "elsewhere.example"}}))), HasSubstr("is not served here"));
  EXPECT_THAT(ended_, IsEmpty());
}

TEST_F(AccountCommands, TakeArgumentsOfTheWrongKindForNone) {
  EXPECT_THAT(error(ask({{"command", "user add"}, {"args", {{"jid", 7}, {"password", {"x"}}}}})),
              HasSubstr("is no JID"));
  EXPECT_THAT(error(ask({{"command", "user add"}, {"args", "alice@a.example"}})), HasSubstr("is no JID"));
  EXPECT_THAT(error(ask({{"command", "user add"}})), HasSubstr("is no JID"));
}

TEST_F(AccountCommands, LeaveOtherRequestsAlone) {
  for (const auto* other : {R"({"command":"status"})", R"({"command":"user"})", R"({"command":"user rename"})", "{}",
                            "[]", "", "no json", R"({"command":1})"}) {
    replier reply = [](std::string) { FAIL(); };
    EXPECT_FALSE(commands_.run(other, reply)) << other;
    EXPECT_TRUE(reply) << other;
  }
}

TEST_F(AccountCommands, EachOfTooManyAtOnceIsAnswered) {  // THREATS C8
  constexpr std::size_t count = auth::authenticator::queue_limit + 20;
  std::atomic<std::size_t> made = 0;
  std::atomic<std::size_t> busy = 0;
  std::atomic<std::size_t> answered = 0;
  std::promise<void> all;
  for (std::size_t i = 0; i < count; ++i) {
    replier reply = [&](const std::string& text) {
      const auto answer = json::parse(text);
      (answer.at("ok") ? made : busy) += 1;
      if (!answer.at("ok")) {
        EXPECT_THAT(std::string{answer.at("error")}, HasSubstr("too many passwords"));
      }
      if (++answered == count) {
        all.set_value();
      }
    };
    ASSERT_TRUE(commands_.run(
        request("user add", {{"jid", "u" + std::to_string(i) + "@a.example"}, {"password", "x"}}).dump(), reply));
  }
  all.get_future().wait();
  EXPECT_GE(made, auth::authenticator::queue_limit);
  EXPECT_GT(busy, 0U);
  EXPECT_EQ(made, ask(request("user list")).at("result").size());
}

// --- everything else -------------------------------------------------------------------------------------------------

class fake_registry final : public connection::connection_registry {
public:
  void list(std::move_only_function<void(std::vector<connection_info>)> done) override { done(there); }
  void close(connection::session_ref ref, stream_condition why, std::string,
             std::move_only_function<void(bool)> done) override {
    EXPECT_EQ(stream_condition::reset, why);
    closed.push_back(ref.id);
    done(!gone_meanwhile.contains(ref.id));
  }
  std::vector<connection_info> there;
  std::vector<std::uint64_t> closed;
  std::set<std::uint64_t> gone_meanwhile;
};

connection_info info(std::uint64_t id, const std::string& peer, const std::string& domain, bool established = true) {
  connection_info i;
  i.ref = {0, id};
  i.peer = peer;
  i.domain = domain;
  i.established = established;
  i.address = "192.0.2.1:" + std::to_string(id);
  i.route = {connection::scope::c2s, connection::direction::inbound, connection::method::starttls};
  return i;
}

class Commands : public AccountCommands {
protected:
  json run(const json& what) { return run_text(what.dump()); }
  json run_text(const std::string& what) {
    return answer_of([&](replier reply) { all_.run(what, std::move(reply)); });
  }
  json close(const std::string& target) { return run(request("close", {{"target", target}})); }

  fake_registry registry_;
  std::vector<std::string> called_;
  std::expected<void, std::string> reloaded_;
  sandbox::hardening hardened_{false};
  commands all_{
      {.accounts = commands_,
       .connections = registry_,
       .sessions_by_host =
           [] { return std::vector<std::pair<std::string, std::size_t>>{{"a.example", 2}, {"b.example", 1}}; },
       .count_timers = [](auto counted) { counted(7); },
       .close_remote = [this](const std::string& domain) { called_.emplace_back("close " + domain); },
       .reload =
           [this] {
             called_.emplace_back("reload");
             return reloaded_;
           },
       .drain = [this] { called_.emplace_back("drain"); },
       .stop = [this] { called_.emplace_back("stop"); },
       .version = "1.2",
       .started = std::chrono::steady_clock::now() - std::chrono::seconds{100},
       .hardened = hardened_}};
};

TEST_F(Commands, StatusCountsEstablishedConnectionsByTheirLabels) {
  registry_.there = {info(1, "a@a.example/x", "a.example"), info(2, "b@a.example/x", "a.example"),
                     info(3, "", "a.example", false), info(4, "c@a.example/x", "a.example")};
  registry_.there[3].route.method = connection::method::direct_tls;
  const auto status = run(request("status")).at("result");
  EXPECT_EQ("1.2", status.at("version"));
  EXPECT_GE(status.at("uptime"), 100);
  EXPECT_EQ(3, status.at("sessions"));
  EXPECT_EQ(7, status.at("timers"));
  EXPECT_EQ(json::parse(R"({"applied":[],"lacking":[]})"), status.at("hardening"));
  EXPECT_EQ((json{{{"host", "a.example"}, {"sessions", 2}}, {{"host", "b.example"}, {"sessions", 1}}}),
            status.at("hosts"));
  EXPECT_EQ(json::parse(R"([{"scope":"c2s","direction":"inbound","method":"direct_tls","count":1},
                            {"scope":"c2s","direction":"inbound","method":"starttls","count":2}])"),
            status.at("connections"));
}

TEST_F(Commands, ConnectionsAreRowsInTheOrderOfTheirNumbers) {  // L10
  auto i = info(7, "a@a.example/x", "a.example");
  i.alpn = "xmpp-client";
  i.tls_version = "TLSv1.3";
  i.cipher = "TLS_AES_256_GCM_SHA384";
  i.authentication = "SCRAM-SHA-256-PLUS";
  i.age = std::chrono::seconds{61};
  i.bytes_received = 10;
  i.bytes_sent = 20;
  i.queue_bytes = 30;
  registry_.there = {i, info(3, "", "", false)};
  const auto rows = run(request("connections")).at("result");
  ASSERT_EQ(2U, rows.size());
  EXPECT_EQ(3, rows[0].at("id"));
  EXPECT_EQ(json::parse(R"({"id":7,"peer":"a@a.example/x","address":"192.0.2.1:7","domain":"a.example","scope":"c2s",
      "direction":"inbound","method":"starttls","established":true,"alpn":"xmpp-client","tls_version":"TLSv1.3",
      "cipher":"TLS_AES_256_GCM_SHA384","authentication":"SCRAM-SHA-256-PLUS","trust":"","age":61,
      "bytes_received":10,"bytes_sent":20,"queue":30})"),
            rows[1]);
}

TEST_F(Commands, ConnectionsAreChosenByScopeAndDomain) {
  registry_.there = {info(1, "a@a.example/x", "a.example"), info(2, "b@b.example/x", "b.example")};
  registry_.there[1].route.scope = connection::scope::s2s;
  const auto ids = [&](json args) {
    std::vector<int> all;
    for (const auto& row : run(request("connections", std::move(args))).at("result")) {
      all.push_back(row.at("id"));
    }
    return all;
  };
  EXPECT_THAT(ids({{"scope", "c2s"}}), ElementsAre(1));
  EXPECT_THAT(ids({{"scope", "s2s"}}), ElementsAre(2));
  EXPECT_THAT(ids({{"domain", "b.example"}}), ElementsAre(2));
  EXPECT_THAT(ids({{"domain", "B.Example"}}), ElementsAre(2));
  EXPECT_THAT(ids({{"scope", "c2s"}, {"domain", "b.example"}}), IsEmpty());
  EXPECT_THAT(error(run(request("connections", {{"domain", "not a domain"}}))), HasSubstr("is no domain"));
}

TEST_F(Commands, CloseTakesANumberAJidOrADomain) {
  registry_.there = {info(1, "a@a.example/x", "a.example"), info(2, "a@a.example/y", "a.example"),
                     info(3, "b@b.example/x", "b.example"), info(12, "", "b.example", false)};
  const auto closed = [&](const std::string& target) {
    registry_.closed.clear();
    EXPECT_TRUE(close(target).at("ok")) << target;
    return registry_.closed;
  };
  EXPECT_THAT(closed("1"), ElementsAre(1));
  EXPECT_THAT(closed("a@a.example/y"), ElementsAre(2));
  EXPECT_THAT(closed("A@a.example"), UnorderedElementsAre(1, 2));
  EXPECT_THAT(closed("b.example"), UnorderedElementsAre(3, 12));
}

TEST_F(Commands, CloseOfADomainEndsWhatWaitsForItToo) {
  registry_.there = {info(1, "far.example", "a.example"), info(2, "near.example", "a.example")};
  EXPECT_EQ((json{{"ok", true}, {"result", {{"closed", 1}}}}), close("Far.Example."));
  EXPECT_THAT(registry_.closed, ElementsAre(1));
  EXPECT_THAT(error(close("queued.example")), HasSubstr("no connection of 'queued.example'"));
  (void)close("u@far.example");
  (void)close("2");
  EXPECT_THAT(called_, ElementsAre("close far.example", "close queued.example"));
}

TEST_F(Commands, ConnectionsOfADomainAreThoseOfEitherEnd) {
  registry_.there = {info(1, "far.example", "a.example"), info(2, "u@a.example/r", "a.example"),
                     info(3, "", "b.example")};
  const auto listed = [&](const std::string& domain) {
    std::vector<std::uint64_t> ids;
    for (const auto& row : run(request("connections", {{"domain", domain}})).at("result")) {
      ids.push_back(row.at("id"));
    }
    return ids;
  };
  EXPECT_THAT(listed("far.example"), ElementsAre(1));
  EXPECT_THAT(listed("a.example"), ElementsAre(1, 2));
  EXPECT_THAT(listed("c.example"), IsEmpty());
}

TEST_F(Commands, CloseCountsWhatWasStillThere) {
  registry_.there = {info(1, "a@a.example/x", "a.example"), info(2, "a@a.example/y", "a.example")};
  registry_.gone_meanwhile = {2};
  EXPECT_EQ((json{{"ok", true}, {"result", {{"closed", 1}}}}), close("a@a.example"));
}

TEST_F(Commands, CloseSaysWhatItDidNotFind) {
  registry_.there = {info(1, "a@a.example/x", "a.example")};
  for (const auto* target : {"2", "b@a.example", "a@a.example/z", "b.example", "@", "1x", "-1"}) {
    EXPECT_THAT(error(close(target)), HasSubstr("no connection of '" + std::string{target} + "'")) << target;
  }
  EXPECT_THAT(error(close("")), HasSubstr("name what to close"));
  EXPECT_THAT(registry_.closed, IsEmpty());
}

TEST_F(Commands, ReloadDrainAndStopAreDoneAndAnswered) {
  EXPECT_EQ("reloaded", run(request("reload")).at("result"));
  reloaded_ = std::unexpected{std::string{"comity.toml:1:1: no\ncomity.toml:2:1: nor this"}};
  EXPECT_EQ("comity.toml:1:1: no\ncomity.toml:2:1: nor this", error(run(request("reload"))));
  EXPECT_EQ("draining", run(request("drain")).at("result"));
  EXPECT_EQ("stopping", run(request("stop")).at("result"));
  EXPECT_THAT(called_, ElementsAre("reload", "reload", "drain", "stop"));
}

TEST_F(Commands, EverythingElseIsRefused) {
  EXPECT_THAT(error(run(request("user rename"))), HasSubstr("no such command: user rename"));
  EXPECT_THAT(error(run(request(""))), HasSubstr("no such command"));
  for (const auto* text : {"", "stop", "{", "[]", "{}", R"({"command":["stop"]})", R"("stop")", "\xff\xfe"}) {
    EXPECT_THAT(error(run_text(text)), HasSubstr("no request")) << text;
  }
  EXPECT_THAT(called_, IsEmpty());
}

TEST_F(Commands, AnswersAreJsonWhateverTheNames) {
  EXPECT_THAT(error(run(request("close", {{"target", "a\"b\\\n\x1b"}}))), HasSubstr("\n\x1b"));
  EXPECT_EQ(R"({"error":"�","ok":false})", refusal("\xff"));
}

TEST_F(Commands, AccountsAreAmongThem) {
  EXPECT_EQ("alice@a.example",
            run(request("user add", {{"jid", "alice@a.example"}, {"password", "x"}})).at("result").at("jid"));
}

// --- rows for people -------------------------------------------------------------------------------------------------

TEST(Table, AlignsItsColumns) {
  EXPECT_EQ(
      "id  peer\n"
      "1   a@a.example\n"
      "12  -\n",
      table({"id", "peer"}, {{"1", "a@a.example"}, {"12", ""}}, 100));
}

TEST(Table, CountsCodePoints) {
  EXPECT_EQ(
      "n   m\n"
      "ü   x\n"
      "ab  y\n",
      table({"n", "m"}, {{"ü", "x"}, {"ab", "y"}}, 100));
}

TEST(Table, CutsTheWidestColumnsToTheWidthOfALine) {
  const auto text = table({"a", "b", "c"}, {{std::string(30, 'x'), "short", std::string(40, 'y')}}, 40);
  EXPECT_EQ("a                b      c\n" + std::string(14, 'x') + "…  short  " + std::string(15, 'y') + "…\n", text);
}

TEST(Table, KeepsColumnsReadableWhereThereIsNoRoom) {
  EXPECT_EQ(
      "a       b\n"
      "xxxxx…  yyyyy…\n",
      table({"a", "b"}, {{"xxxxxxxxxx", "yyyyyyyyyy"}}, 3));
}

TEST(Table, ShowsNoControlCharacters) {  // THREATS G7
  EXPECT_EQ("a\nx?[31m??\n", table({"a"}, {{"x\x1b[31m\n\x7f"}}, 100));
  EXPECT_EQ("a\n?x\n", table({"a"}, {{"\xc2\x9bx"}}, 100));  // CSI as one code point
}

TEST(Duration, IsDaysAndTime) {
  EXPECT_EQ("00:00:00", duration(0));
  EXPECT_EQ("00:01:01", duration(61));
  EXPECT_EQ("23:59:59", duration(86399));
  EXPECT_EQ("1d 00:00:00", duration(86400));
  EXPECT_EQ("3d 04:05:06", duration(3 * 86400 + 4 * 3600 + 5 * 60 + 6));
}

}  // namespace
}  // namespace comity::admin
