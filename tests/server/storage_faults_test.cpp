// What the embedded store makes of a disk that fails at one operation, whichever it is, and of databases that older
// servers left: THREATS X5, X20.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <iterator>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "fakes/failing_files.hpp"
#include "fakes/survived.hpp"
#include "server/sqlite_store_test.hpp"
#include "server/storage/sqlite/worker.hpp"

namespace comity::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class FailingDisk : public SqliteStore {
protected:
  FailingDisk() { where_ = "/dev/shm/"; }  // what is synced hundreds of times need not be

  /// A database anew, and nothing open.
  void from_nothing() {
    store_.reset();
    std::filesystem::remove_all(file_.parent_path());
  }
  /// Opens it and does a little of everything; what was told done is in `kept` and `contacts`. What the opening
  /// said, where it refused.
  std::string use() {
    auto opened = open_sqlite(file_, log_);
    if (!opened) {
      return opened.error();
    }
    store_ = std::move(*opened);
    if (create(juliet)) {
      made_ = true;
    }
    for (int i = 0; i < 2; ++i) {
      if (const auto wire = std::string(3000, static_cast<char>('a' + i)); add(juliet, wire)) {
        kept_.push_back(wire);
      }
      if (put(juliet, item(contact(i)))) {
        contacts_.insert(contact(i).text());
      }
      (void)roster_of(juliet);
    }
    if (remove(juliet, contact(0))) {
      contacts_.erase(contact(0).text());
    }
    (void)credentials_of(juliet);
    store_.reset();  // which checkpoints
    return {};
  }
  /// All that was told done is there, and nothing that was refused.
  void expect_what_was_told() {
    const auto refused = refusal();
    ASSERT_EQ("", refused);
    open();
    ASSERT_EQ(made_, *answer<bool>([&](auto done) { store_->account_exists(juliet, std::move(done)); }));
    if (!made_) {
      EXPECT_THAT(kept_, IsEmpty());
      EXPECT_THAT(contacts_, IsEmpty());
      return;
    }
    EXPECT_EQ(kept_, offline(juliet));
    std::set<std::string> there;
    const auto roster = roster_of(juliet).value();
    for (const auto& each : roster.items) {
      EXPECT_LE(each.version, roster.version);
      there.insert(each.contact.text());
    }
    EXPECT_EQ(contacts_, there);
    EXPECT_EQ("done", shown(add(juliet, "after")));
  }

  bool made_ = false;
  std::vector<std::string> kept_;
  std::set<std::string> contacts_;
  fakes::failing_files disk_;
};

TEST_F(FailingDisk, OneFailingOperationIsOneCleanErrorWhereverItFalls) {  // THREATS X5
  from_nothing();
  disk_.calls = 0;
  ASSERT_EQ("", use());
  const auto all = disk_.calls.load();
  ASSERT_GT(all, 50U);
  std::size_t refused = 0;
  fakes::survived faults{"failing disk", "X5"};
  for (const bool full : {false, true}) {
    disk_.full = full;
    for (std::size_t n = 1; n <= all; ++n) {
      SCOPED_TRACE((full ? "full at " : "broken at ") + std::to_string(n));
      from_nothing();
      made_ = false;
      kept_.clear();
      contacts_.clear();
      disk_.calls = 0;
      disk_.fail_only = n;
      const auto why = use();
      EXPECT_THAT(why, Not(HasSubstr("\n")));
      refused += why.empty() && kept_.size() == 2 && contacts_.size() == 1 ? 0U : 1U;
      disk_.fail_only = 0;
      expect_what_was_told();
      if (HasFatalFailure()) {
        return;
      }
      faults.one_more();
    }
  }
  EXPECT_GT(refused, all / 2);  // the faults were felt
}

TEST_F(SqliteStore, TakesUpADatabaseOfEachOlderServer) {  // THREATS X20
  sqlite3* db = nullptr;
  ASSERT_EQ(SQLITE_OK, sqlite3_open(file_.c_str(), &db));
  std::string newest;
  sqlite3_exec(
      db, "PRAGMA user_version",
      [](void* to, int, char** row, char**) {
        *static_cast<std::string*>(to) = row[0];
        return 0;
      },
      &newest, nullptr);
  sqlite3_close(db);
  for (int version = 1; version < std::stoi(newest); ++version) {
    SCOPED_TRACE(version);
    std::ifstream in{std::filesystem::path{COMITY_SOURCE_DIR} / "tests/server/schemas" /
                     (std::to_string(version) + ".sql")};
    ASSERT_TRUE(in) << "what version " << version << " left must be kept there";
    store_.reset();
    std::filesystem::remove_all(file_.parent_path());
    std::filesystem::create_directory(file_.parent_path());
    std::filesystem::permissions(file_.parent_path(), std::filesystem::perms{0700});
    sql({std::istreambuf_iterator<char>{in}, {}});
    std::filesystem::permissions(file_, std::filesystem::perms{0600});
    open();
    if (HasFatalFailure()) {
      return;
    }
    EXPECT_EQ("salt", credentials_of(juliet)->scram.at(tls::hash::sha256).salt);
    EXPECT_THAT(offline(juliet), ElementsAre("kept"));
    const auto roster = roster_of(juliet).value();
    EXPECT_EQ(7U, roster.version);
    ASSERT_THAT(roster.items, SizeIs(1));
    EXPECT_EQ("Nurse", roster.items[0].name);
    EXPECT_EQ("done", shown(add(juliet, "after")));
    reopen();
    EXPECT_THAT(offline(juliet), ElementsAre("kept", "after"));
  }
}

// THREATS X13: a change or a question for which there is no memory fails alone.
class NoMemory : public SqliteStore {
protected:
  std::unique_ptr<database> another() { return std::move(*database::open(file_, log_)); }
  static std::expected<void, error> has_no_memory(database&) { throw std::bad_alloc{}; }
};

TEST_F(NoMemory, FailsTheChangeAndNotItsGroup) {
  writer_thread writer{another()};
  std::vector<std::string> told;
  std::promise<void> last;
  const auto note = [&told](std::expected<void, error> r) { told.push_back(shown(r)); };
  ASSERT_TRUE(create(juliet));
  const auto insert = [](database& db) {
    return db.prepare("INSERT INTO offline (user, wire) VALUES (?, 'w')").bind(juliet.text()).run();
  };
  writer.submit({insert, note});
  writer.submit({has_no_memory, note});
  writer.submit({insert, [](auto&&) { throw std::bad_alloc{}; }});
  writer.submit({insert, [&](std::expected<void, error> r) {
                   note(r);
                   last.set_value();
                 }});
  last.get_future().get();
  writer.finish();
  EXPECT_THAT(told, ElementsAre("done", shown(std::unexpected{error::failed}), "done"));
  auto reading = another();
  auto count = reading->prepare("SELECT count(*) FROM offline");
  ASSERT_TRUE(count.step().value_or(false));
  EXPECT_EQ(3, count.number(0));
}

TEST_F(NoMemory, FailsTheQuestionAndNotThoseBehindIt) {
  reader_thread reader{another()};
  std::promise<int> told;
  reader.submit([](database&) { throw std::bad_alloc{}; });
  reader.submit([&told](database&) { told.set_value(1); });
  EXPECT_EQ(1, told.get_future().get());
}

}  // namespace
}  // namespace comity::storage
