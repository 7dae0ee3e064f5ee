// The contract of storage::store, held by the embedded store on real files.
#include <gmock/gmock.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include "server/auth/authenticator.hpp"
#include "server/sqlite_store_test.hpp"

namespace comity::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// ---- accounts ----

TEST_F(SqliteStore, AnAccountIsMadeOnceAndGivesBackItsKeys) {
  EXPECT_EQ("done", shown(create(juliet)));
  EXPECT_EQ(error::exists, create(juliet, keys("other")).error());
  EXPECT_EQ(keys().scram, credentials_of(juliet)->scram);
  EXPECT_EQ(error::not_found, credentials_of(nurse).error());
  EXPECT_TRUE(*answer<bool>([&](auto done) { store_->account_exists(juliet, std::move(done)); }));
  EXPECT_FALSE(*answer<bool>([&](auto done) { store_->account_exists(nurse, std::move(done)); }));
}

/// What each statement that reads credentials cost SQLite, in steps of its machine, on whatever connection.
class credential_reads {
public:
  credential_reads() {
    taken().clear();
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(&watch));
  }
  ~credential_reads() { sqlite3_reset_auto_extension(); }
  credential_reads(const credential_reads&) = delete;
  credential_reads& operator=(const credential_reads&) = delete;
  [[nodiscard]] static int last() { return taken().back(); }

private:
  static std::vector<int>& taken() {
    static std::vector<int> steps;
    return steps;
  }
  static int watch(sqlite3* db, char**, const sqlite3_api_routines*) {
    return sqlite3_trace_v2(
        db, SQLITE_TRACE_PROFILE,
        [](unsigned, void*, void* statement, void*) {
          auto* s = static_cast<sqlite3_stmt*>(statement);
          if (std::string_view{sqlite3_sql(s)}.contains("stored_key, server_key")) {
            taken().push_back(sqlite3_stmt_status(s, SQLITE_STMTSTATUS_VM_STEP, 1));
          }
          return 0;
        },
        nullptr);
  }
};

TEST_F(SqliteStore, ReadsAsMuchOfTheAbsentAsOfThePresent) {  // THREATS C2
  const credential_reads reads;
  reopen();
  const auto cost = [&](const jid& user) {
    (void)credentials_of(user);
    return credential_reads::last();
  };
  const auto named = [](int n) { return jid::parse("user" + std::to_string(n) + "@a.example").value(); };
  for (int n = 101; n < 200; n += 2) {
    ASSERT_TRUE(create(named(n)));
  }
  const auto present = cost(named(151));
  ASSERT_GT(present, 20);
  // At either end of the table it is a branch more or less; a row is ten steps.
  for (const int there : {101, 103, 197, 199}) {
    EXPECT_NEAR(cost(named(there)), present, 4) << there;
  }
  for (const int absent : {100, 150, 198, 200}) {
    EXPECT_EQ(error::not_found, credentials_of(named(absent)).error());
    EXPECT_NEAR(cost(named(absent)), present, 4) << absent;
  }
}

TEST_F(SqliteStore, OfAnAccountWithoutKeysThereAreNone) {
  ASSERT_TRUE(create(juliet, {}));
  ASSERT_TRUE(create(nurse));
  EXPECT_THAT(credentials_of(juliet)->scram, IsEmpty());
}

TEST_F(SqliteStore, ANewPasswordReplacesAllKeys) {
  const auto change = [&](const jid& user, credentials c) {
    return answer<void>([&](auto done) { store_->account_passwd(user, std::move(c), std::move(done)); });
  };
  EXPECT_EQ(error::not_found, change(juliet, keys()).error());
  ASSERT_TRUE(create(juliet));
  credentials one;
  one.scram[tls::hash::sha256] = {"new", 1, tls::secret{"a"}, tls::secret{"b"}};
  EXPECT_EQ("done", shown(change(juliet, one)));
  EXPECT_EQ(one.scram, credentials_of(juliet)->scram);
}

TEST_F(SqliteStore, AccountsAreListedByDomain) {
  for (const auto& user : {nurse, tybalt, juliet}) {
    ASSERT_TRUE(create(user));
  }
  const auto list = [&](const std::string& domain) {
    return answer<std::vector<jid>>([&](auto done) { store_->account_list(domain, std::move(done)); }).value();
  };
  EXPECT_THAT(list("a.example"), ElementsAre(juliet, nurse));
  EXPECT_THAT(list("b.example"), ElementsAre(tybalt));
  EXPECT_THAT(list(""), ElementsAre(juliet, nurse, tybalt));
  EXPECT_THAT(list("c.example"), IsEmpty());
}

TEST_F(SqliteStore, ADeletedAccountTakesAllItsDataWithIt) {
  const auto erase = [&] { return answer<void>([&](auto done) { store_->account_delete(juliet, std::move(done)); }); };
  EXPECT_EQ(error::not_found, erase().error());
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(put(juliet, item(romeo)));
  ASSERT_TRUE(add(juliet, "<message/>"));
  ASSERT_TRUE(block(juliet, {romeo}));
  ASSERT_TRUE(answer<void>([&](auto done) { store_->vcard_put(juliet, "<vCard/>", std::move(done)); }));
  ASSERT_TRUE(answer<void>([&](auto done) { store_->last_put(juliet, {7, "away"}, std::move(done)); }));
  EXPECT_EQ("done", shown(erase()));
  EXPECT_EQ(error::not_found, roster_of(juliet).error());
  ASSERT_TRUE(create(juliet));
  EXPECT_THAT(roster_of(juliet)->items, IsEmpty());
  EXPECT_THAT(offline(juliet), IsEmpty());
  EXPECT_THAT(blocked(juliet), IsEmpty());
  EXPECT_EQ(std::nullopt,
            *answer<std::optional<std::string>>([&](auto done) { store_->vcard_load(juliet, std::move(done)); }));
  EXPECT_FALSE(answer<std::optional<store::last_presence>>([&](auto done) {
                 store_->last_load(juliet, std::move(done));
               })->has_value());
}

TEST_F(SqliteStore, NothingIsKeptForNobody) {
  EXPECT_EQ(error::not_found, add(juliet, "<message/>").error());
  EXPECT_EQ(error::not_found, put(juliet, item(romeo)).error());
  EXPECT_EQ(error::not_found, block(juliet, {romeo}).error());
  EXPECT_THAT(blocked(juliet), IsEmpty());
  EXPECT_EQ(error::not_found,
            answer<void>([&](auto done) { store_->vcard_put(juliet, "<vCard/>", std::move(done)); }).error());
  EXPECT_EQ(error::not_found, answer<void>([&](auto done) { store_->last_put(juliet, {}, std::move(done)); }).error());
  ASSERT_TRUE(create(juliet));
  EXPECT_THAT(offline(juliet), IsEmpty());
}

// ---- rosters ----

TEST_F(SqliteStore, ARosterItemComesBackAsItWent) {
  ASSERT_TRUE(create(juliet));
  EXPECT_EQ(0U, roster_of(juliet)->version);
  roster_item full{romeo,
                   "Römeo \"'<&",
                   subscription::both,
                   true,
                   true,
                   true,
                   false,
                   {"Friends", "", "a\tb", "ü"},
                   "<presence type='subscribe'/>",
                   0};
  EXPECT_EQ(1U, put(juliet, full));
  full.version = 1;
  EXPECT_EQ(std::vector{full}, roster_of(juliet)->items);
  for (const auto s : {subscription::none, subscription::to, subscription::from}) {
    full.subscription = s;
    full.version = put(juliet, full).value();
    EXPECT_EQ(std::vector{full}, roster_of(juliet)->items);
  }
  EXPECT_EQ(4U, roster_of(juliet)->version);
}

TEST_F(SqliteStore, VersionsGrowByOneWithEachChangeOfThatUserAlone) {
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(create(nurse));
  EXPECT_EQ(1U, put(juliet, item(contact(1))));
  EXPECT_EQ(1U, put(nurse, item(contact(1))));
  EXPECT_EQ(2U, put(juliet, item(contact(2))));
  EXPECT_EQ(3U, put(juliet, item(contact(1))));
  EXPECT_EQ(4U, remove(juliet, contact(2)));
  const auto r = roster_of(juliet).value();
  EXPECT_EQ(4U, r.version);
  ASSERT_THAT(r.items, SizeIs(1));
  EXPECT_EQ(3U, r.items[0].version);
  EXPECT_THAT(r.removed, ElementsAre(std::pair{contact(2), 4U}));
  EXPECT_EQ(1U, roster_of(nurse)->version);
}

TEST_F(SqliteStore, AContactThatComesBackIsNotRemovedAnyMore) {
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(put(juliet, item(romeo)));
  ASSERT_TRUE(remove(juliet, romeo));
  ASSERT_TRUE(put(juliet, item(romeo)));
  EXPECT_THAT(roster_of(juliet)->removed, IsEmpty());
}

TEST_F(SqliteStore, AnItemThatWasNeverShownIsNotRememberedAsRemoved) {
  ASSERT_TRUE(create(juliet));
  auto hidden = item(romeo);
  hidden.in_roster = false;
  ASSERT_TRUE(put(juliet, hidden));
  ASSERT_TRUE(remove(juliet, romeo));
  EXPECT_THAT(roster_of(juliet)->removed, IsEmpty());
  EXPECT_THAT(roster_of(juliet)->items, IsEmpty());
}

TEST_F(SqliteStore, RemembersFiveHundredRemovedContacts) {  // XEP-0237 §4
  ASSERT_TRUE(create(juliet));
  std::atomic<int> done{0};
  for (int i = 0; i < 501; ++i) {
    store_->roster_put(juliet, item(contact(i)), [&](auto r) { done += r ? 1 : 0; });
  }
  for (int i = 0; i < 498; ++i) {
    store_->roster_remove(juliet, contact(i), [&](auto r) { done += r ? 1 : 0; });
  }
  for (int i = 498; i < 501; ++i) {
    const auto version = remove(juliet, contact(i)).value();
    const auto r = roster_of(juliet).value();
    const auto removed = static_cast<std::size_t>(i) + 1;
    EXPECT_EQ(std::min<std::size_t>(removed, 500), r.removed.size()) << removed;
    EXPECT_EQ(removed <= 500 ? 0U : 502U, r.complete_since) << removed;  // the first removal had version 502
    EXPECT_EQ(version, r.removed.back().second);
  }
  EXPECT_EQ(501 + 498, done);
}

// ---- offline messages ----

TEST_F(SqliteStore, OfflineMessagesKeepTheirOrderAndTheirBytes) {
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(create(nurse));
  for (const auto* wire : {"<message>1 ö</message>", "<message>2</message>", "<message>3</message>"}) {
    ASSERT_TRUE(add(juliet, wire));
    ASSERT_TRUE(add(nurse, "other"));
  }
  EXPECT_THAT(offline(juliet), ElementsAre("<message>1 ö</message>", "<message>2</message>", "<message>3</message>"));
  const auto all =
      answer<std::vector<offline_message>>([&](auto done) { store_->offline_load(juliet, std::move(done)); }).value();
  ASSERT_TRUE(answer<void>([&](auto done) { store_->offline_remove(juliet, all[1].id, std::move(done)); }));
  EXPECT_THAT(offline(juliet), ElementsAre("<message>3</message>"));
  EXPECT_THAT(offline(nurse), SizeIs(3));
}

TEST_F(SqliteStore, OfflineMessagesAreBoundedForEachUser) {
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(create(nurse));
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ("done", shown(add(juliet, "m", 5)));  // up to L - 1
  }
  EXPECT_EQ("done", shown(add(juliet, "m", 5)));        // L
  EXPECT_EQ(error::full, add(juliet, "m", 5).error());  // L + 1
  EXPECT_EQ("done", shown(add(nurse, "m", 5)));
  EXPECT_EQ(error::full, add(nurse, "m", 0).error());
  EXPECT_THAT(offline(juliet), SizeIs(5));
}

TEST_F(SqliteStore, IdsAreNeverUsedAgain) {
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(add(juliet, "1"));
  const auto load = [&] {
    return answer<std::vector<offline_message>>([&](auto done) { store_->offline_load(juliet, std::move(done)); })
        .value();
  };
  const auto first = load().at(0).id;
  ASSERT_TRUE(answer<void>([&](auto done) { store_->offline_remove(juliet, first, std::move(done)); }));
  reopen();
  ASSERT_TRUE(add(juliet, "2"));
  EXPECT_GT(load().at(0).id, first);
}

// ---- block lists ----

TEST_F(SqliteStore, BlockListsOutliveARestartAndAreEachUsersOwn) {  // XEP-0191
  const auto domain = jid::parse("b.example").value();
  const auto full = jid::parse("romeo@b.example/Ö 'x'").value();
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(create(nurse));
  EXPECT_THAT(blocked(juliet), IsEmpty());
  EXPECT_FALSE(store_->may_block(juliet));
  EXPECT_EQ("done", shown(block(juliet, {romeo, full, domain})));
  EXPECT_TRUE(store_->may_block(juliet));
  EXPECT_FALSE(store_->may_block(nurse));
  EXPECT_EQ("done", shown(block(juliet, {romeo}))) << "again";
  EXPECT_EQ("done", shown(block(nurse, {tybalt, romeo})));
  reopen();
  EXPECT_TRUE(store_->may_block(juliet));
  EXPECT_FALSE(store_->may_block(tybalt));
  EXPECT_THAT(blocked(juliet), ElementsAre(domain, romeo, full));
  EXPECT_EQ("done", shown(answer<void>(
                        [&](auto done) { store_->blocked_remove(juliet, {romeo, tybalt, domain}, std::move(done)); })));
  reopen();
  EXPECT_THAT(blocked(juliet), ElementsAre(full));
  EXPECT_THAT(blocked(nurse), ElementsAre(romeo, tybalt));
}

TEST_F(SqliteStore, ADatabaseOfBeforeBlockListsGetsThem) {
  ASSERT_TRUE(create(juliet));
  ASSERT_TRUE(put(juliet, item(romeo)));
  store_.reset();
  sql("DROP TABLE blocked; PRAGMA user_version=2");
  open();
  EXPECT_EQ("done", shown(block(juliet, {romeo})));
  EXPECT_THAT(blocked(juliet), ElementsAre(romeo));
  EXPECT_THAT(roster_of(juliet)->items, SizeIs(1));
}

// ---- the rest ----

TEST_F(SqliteStore, VcardsLastPresenceAndSecretsOutliveARestart) {
  ASSERT_TRUE(create(juliet));
  const auto secret = [&](const std::string& name) {
    return answer<tls::secret>([&](auto done) { store_->secret(name, std::move(done)); }).value();
  };
  const auto first = secret("one");
  EXPECT_EQ(first.size(), 32U);
  EXPECT_NE(first, secret("two"));
  ASSERT_TRUE(answer<void>([&](auto done) { store_->vcard_put(juliet, "<vCard>ö</vCard>", std::move(done)); }));
  ASSERT_TRUE(answer<void>([&](auto done) { store_->last_put(juliet, {1'800'000'000'000, "gone"}, std::move(done)); }));
  ASSERT_TRUE(put(juliet, item(romeo)));
  ASSERT_TRUE(add(juliet, "m"));
  reopen();
  EXPECT_EQ(first, secret("one"));
  EXPECT_EQ("<vCard>ö</vCard>",
            *answer<std::optional<std::string>>([&](auto done) { store_->vcard_load(juliet, std::move(done)); }));
  const auto last =
      *answer<std::optional<store::last_presence>>([&](auto done) { store_->last_load(juliet, std::move(done)); });
  EXPECT_EQ(1'800'000'000'000, last->unix_seconds);
  EXPECT_EQ("gone", last->status);
  EXPECT_EQ(1U, roster_of(juliet)->version);
  EXPECT_THAT(offline(juliet), ElementsAre("m"));
  EXPECT_EQ(keys().scram, credentials_of(juliet)->scram);
  EXPECT_EQ("done", shown(answer<void>([&](auto done) { store_->ping(std::move(done)); })));
}

// ---- order, groups, threads ----

TEST_F(SqliteStore, SessionsAreKeptOverARestartAndTakenOnce) {  // XEP-0198
  const auto keep = [&](std::vector<std::string> states) {
    return answer<void>([&](auto done) { store_->sessions_keep(std::move(states), std::move(done)); });
  };
  const auto take = [&] {
    return answer<std::vector<std::string>>([&](auto done) { store_->sessions_take(std::move(done)); });
  };
  EXPECT_TRUE(keep({"old"}));
  EXPECT_TRUE(keep({"one", std::string{"t\0wo", 4}}));
  reopen();
  EXPECT_THAT(take().value(), ElementsAre("one", std::string{"t\0wo", 4}));
  EXPECT_THAT(take().value(), IsEmpty());
}

TEST_F(SqliteStore, ChangesAreAppliedAndToldInTheOrderOfTheirCalls) {
  ASSERT_TRUE(create(juliet));
  std::vector<std::uint64_t> versions;
  for (int i = 0; i < 300; ++i) {
    store_->roster_put(juliet, item(contact(i % 7)), [&](auto v) { versions.push_back(v.value()); });
  }
  ASSERT_TRUE(add(juliet, "last"));  // told after all of them, on the same thread
  ASSERT_THAT(versions, SizeIs(300));
  EXPECT_TRUE(std::ranges::is_sorted(versions));
  EXPECT_EQ(300U, roster_of(juliet)->version);
}

TEST_F(SqliteStore, AFailingChangeLeavesTheOthersOfItsGroupAlone) {  // THREATS X5
  ASSERT_TRUE(create(juliet));
  std::vector<std::string> told;
  for (int i = 0; i < 100; ++i) {
    store_->offline_add(juliet, "m", 1000, [&](auto r) { told.push_back(shown(r)); });
    store_->account_create(juliet, keys(), [&](auto r) { told.push_back(shown(r)); });
    store_->offline_add(nurse, "m", 1000, [&](auto r) { told.push_back(shown(r)); });
  }
  ASSERT_TRUE(add(juliet, "last"));
  ASSERT_THAT(told, SizeIs(300));
  for (std::size_t i = 0; i < told.size(); i += 3) {
    EXPECT_EQ("done", told[i]);
    EXPECT_EQ("the account exists already", told[i + 1]);
    EXPECT_EQ("no such account", told[i + 2]);
  }
  EXPECT_THAT(offline(juliet), SizeIs(101));
}

TEST_F(SqliteStore, WhatWaitsAtTheEndIsDoneAndTold) {
  ASSERT_TRUE(create(juliet));
  int told = 0;
  for (int i = 0; i < 200; ++i) {
    store_->offline_add(juliet, "m", 1000, [&](auto r) { told += r ? 1 : 0; });
  }
  reopen();
  EXPECT_EQ(200, told);
  EXPECT_THAT(offline(juliet), SizeIs(200));
}

TEST_F(SqliteStore, ServesManyThreads) {
  ASSERT_TRUE(create(juliet));
  std::vector<std::thread> threads;
  std::atomic<int> told{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        store_->roster_put(juliet, item(contact((t * 50) + i)), [&](auto r) { told += r ? 1 : 0; });
        store_->roster_load(juliet, [&](auto r) {
          // One snapshot: no item is newer than the version that stands over it.
          for (const auto& each : r->items) {
            EXPECT_LE(each.version, r->version);
          }
          ++told;
        });
      }
    });
  }
  for (auto& t : threads) {
    t.join();
  }
  EXPECT_EQ(200U, [&] {
    reopen();
    return roster_of(juliet)->version;
  }());
  EXPECT_EQ(400, told);
}

// ---- files ----

TEST_F(SqliteStore, FilesAreOursAlone) {
  ASSERT_TRUE(create(juliet));
  const auto mode = [](const std::filesystem::path& p) {
    struct stat facts{};
    EXPECT_EQ(0, ::stat(p.c_str(), &facts)) << p;
    return facts.st_mode & 07777U;
  };
  EXPECT_EQ(0700U, mode(file_.parent_path()));
  EXPECT_EQ(0600U, mode(file_));
  EXPECT_EQ(0600U, mode(file_.string() + "-wal"));
  EXPECT_EQ(0600U, mode(file_.string() + "-shm"));
}

TEST_F(SqliteStore, RefusesADatabaseOfANewerServerAndLeavesItUntouched) {  // THREATS X20
  ASSERT_TRUE(create(juliet));
  store_.reset();
  sql("PRAGMA user_version=99");
  const auto before = bytes(file_);
  EXPECT_THAT(refusal(), HasSubstr("version 99, made by a newer server"));
  EXPECT_THAT(refusal(), Not(HasSubstr("\n")));
  EXPECT_EQ(before, bytes(file_));
}

TEST_F(SqliteStore, RefusesWhatIsNoDatabaseOfOurs) {  // THREATS X20
  ASSERT_TRUE(create(juliet));
  store_.reset();
  const auto good = bytes(file_);
  const auto write = [&](std::string_view content) {
    std::filesystem::remove(file_);
    std::ofstream{file_, std::ios::binary} << content;
    std::filesystem::permissions(file_, std::filesystem::perms{0600});
  };
  for (const auto& content : {std::string{}, std::string{"garbage"}, std::string(8192, 'g'), good.substr(0, 50),
                              good.substr(0, good.size() / 2)}) {
    write(content);
    const auto why = refusal();
    EXPECT_NE("", why) << content.size() << " bytes";
    EXPECT_THAT(why, Not(HasSubstr("\n")));
    EXPECT_THAT(why, HasSubstr(file_.string()));
    EXPECT_EQ(content, bytes(file_));
  }
  std::filesystem::remove(file_);
  sql("CREATE TABLE of_another (program TEXT)");
  EXPECT_THAT(refusal(), HasSubstr("belongs to another program"));
  write(good);
  EXPECT_EQ("", refusal());
}

TEST_F(SqliteStore, AFolderThatCannotBeMadeIsNamed) {
  store_.reset();
  file_ = folder_ / "data" / "comity.db" / "below-a-file" / "x.db";
  EXPECT_THAT(refusal(), HasSubstr("below-a-file"));
}

TEST_F(SqliteStore, NeverHoldsAPassword) {  // THREATS G8
  const std::string canary = "canary-Pa55word-7f3a";
  {
    auth::authenticator maker{*store_};
    std::promise<credentials> made;
    maker.make_credentials(connection::secret{canary}, [&](auto c) { made.set_value(std::move(*c)); });
    ASSERT_TRUE(create(juliet, made.get_future().get()));
  }
  for (const auto* suffix : {"", "-wal", "-shm"}) {
    EXPECT_THAT(bytes(file_.string() + suffix), Not(HasSubstr(canary)));
  }
  EXPECT_THAT(bytes(file_.string() + "-wal"), HasSubstr("juliet@a.example"));  // which shows that the search finds
}

TEST_F(SqliteStore, AFullDiskFailsChangesAndRecovers) {  // THREATS X3
  ASSERT_TRUE(create(juliet));
  ASSERT_NE(SIG_ERR, ::signal(SIGXFSZ, SIG_IGN));
  struct rlimit was{};
  ASSERT_EQ(0, ::getrlimit(RLIMIT_FSIZE, &was));
  auto tight = was;
  tight.rlim_cur = 512UL * 1024;  // no file may grow beyond
  ASSERT_EQ(0, ::setrlimit(RLIMIT_FSIZE, &tight));
  std::atomic<int> stored{0}, failed{0};
  for (int i = 0; i < 200; ++i) {
    store_->offline_add(juliet, std::string(10'000, 'm'), 1000, [&](auto r) { ++(r ? stored : failed); });
  }
  EXPECT_FALSE(add(juliet, std::string(600'000, 'm')));
  ASSERT_EQ(0, ::setrlimit(RLIMIT_FSIZE, &was));
  EXPECT_GT(failed, 0);
  EXPECT_EQ(200, stored + failed);
  EXPECT_THAT(offline(juliet), SizeIs(static_cast<std::size_t>(stored)));  // all of what was told, and nothing else
  EXPECT_EQ("done", shown(add(juliet, "after")));
  reopen();
  EXPECT_THAT(offline(juliet), SizeIs(static_cast<std::size_t>(stored) + 1));
}

TEST_F(SqliteStore, WhatWasToldDoneOutlivesAKill) {  // THREATS X1
  ASSERT_TRUE(create(juliet));
  store_.reset();
  std::size_t acknowledged = 0;
  for (int kill = 0; kill < 20; ++kill) {
    std::array<int, 2> pipe{};
    ASSERT_EQ(0, ::pipe(pipe.data()));
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(pipe[0]);
      auto opened = open_sqlite(file_, log_);
      if (!opened) {
        ::_exit(1);
      }
      for (std::size_t i = acknowledged;; ++i) {
        (*opened)->offline_add(juliet, std::to_string(i), 1'000'000, [&pipe](auto r) {
          const char told = r ? '+' : '-';
          if (::write(pipe[1], &told, 1) != 1) {
            ::_exit(2);
          }
        });
        if (i % 8 == 7) {
          // Lets the writer catch up: a removal of nothing, told after all before it.
          (void)answer<void>([&](auto done) { (*opened)->offline_remove(juliet, 0, std::move(done)); });
        }
      }
    }
    ::close(pipe[1]);
    std::size_t told = 0;
    for (char c = 0; told < static_cast<std::size_t>(kill * 5) + 1 && ::read(pipe[0], &c, 1) == 1; ++told) {
      ASSERT_EQ('+', c);
    }
    ::kill(child, SIGKILL);
    for (char c = 0; ::read(pipe[0], &c, 1) == 1; ++told) {  // said before it died
      ASSERT_EQ('+', c);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(pipe[0]);
    ASSERT_TRUE(WIFSIGNALED(status));
    open();
    const auto kept = offline(juliet);
    ASSERT_GE(kept.size(), acknowledged + told);
    for (std::size_t i = 0; i < kept.size(); ++i) {
      ASSERT_EQ(std::to_string(i), kept[i]);
    }
    acknowledged = kept.size();
    store_.reset();
  }
}

}  // namespace
}  // namespace comity::storage
