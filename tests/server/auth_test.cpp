// Keys and verdicts for those who are there and those who are not, and what happens under too much work.
#include "server/auth/authenticator.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <future>
#include <latch>
#include <set>
#include <thread>

#include "fakes/stepped_store.hpp"
#include "server/storage/sqlite/sqlite_store.hpp"

namespace comity::auth {
namespace {

using connection::keys_answer;
using connection::password_answer;
using connection::secret;
using ::testing::SizeIs;

class silent final : public log::sink {
public:
  [[nodiscard]] bool enabled(log::level) const noexcept override { return false; }
  void write(log::level, std::string_view, std::initializer_list<log::field>) noexcept override {}
};

template <typename T, typename Call>
T answer(Call call) {
  auto promise = std::make_shared<std::promise<T>>();
  auto future = promise->get_future();
  call([promise](T r) { promise->set_value(std::move(r)); });
  return future.get();
}

std::string shown(const password_answer& a) {
  return !a ? std::string{to_string(a.error())} : *a ? "right" : "wrong";
}

const jid alice = jid::parse("alice@a.example").value();
const jid nobody = jid::parse("nobody@a.example").value();

// ---- with a store on disk ----

class Authenticator : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "comity-auth-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    start();
    const auto made = answer<std::expected<storage::credentials, authenticator::make_error>>(
        [&](auto done) { auth_->make_credentials(secret{std::string{"pencil"}}, std::move(done)); });
    ASSERT_TRUE(made);
    ASSERT_TRUE((answer<std::expected<void, storage::error>>(
        [&](auto done) { store_->account_create(alice, *made, std::move(done)); })));
  }
  void TearDown() override {
    auth_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void start() {
    auth_.reset();
    store_.reset();
    store_ = storage::open_sqlite(folder_ / "comity.db", log_).value();
    auth_ = std::make_unique<authenticator>(*store_);
  }
  connection::found_keys keys(const jid& user, tls::hash h = tls::hash::sha256) {
    return answer<keys_answer>([&](auto done) { auth_->keys(user, h, std::move(done)); }).value();
  }
  std::string verdict(const jid& user, std::string_view password) {
    return shown(answer<password_answer>(
        [&](auto done) { auth_->check_password(user, secret{std::string{password}}, std::move(done)); }));
  }

  silent log_;
  std::filesystem::path folder_;
  std::unique_ptr<storage::store> store_;
  std::unique_ptr<authenticator> auth_;
};

TEST_F(Authenticator, KeysThatItMadeAreThoseOfThePassword) {
  for (const auto h : {tls::hash::sha1, tls::hash::sha256, tls::hash::sha512}) {
    const auto found = keys(alice, h);
    EXPECT_TRUE(found.real);
    EXPECT_THAT(found.keys.salt, SizeIs(16));
    EXPECT_EQ(10'000U, found.keys.iterations);
    EXPECT_EQ(connection::derive_scram_keys(h, "pencil", found.keys.salt, 10'000), found.keys);
  }
  EXPECT_NE(keys(alice, tls::hash::sha1).keys.salt, keys(alice, tls::hash::sha256).keys.salt);
}

TEST_F(Authenticator, JudgesPasswords) {
  EXPECT_EQ("right", verdict(alice, "pencil"));
  EXPECT_EQ("right", verdict(alice,
                             "pen\xC2\xAD"
                             "cil"));  // prepared alike
  EXPECT_EQ("wrong", verdict(alice, "Pencil"));
  EXPECT_EQ("wrong", verdict(alice, ""));
  EXPECT_EQ("wrong", verdict(alice, "\xFF"));
  EXPECT_EQ("wrong", verdict(nobody, "pencil"));
}

TEST_F(Authenticator, TheAbsentLookLikeThePresent) {  // THREATS C2
  for (const auto h : {tls::hash::sha1, tls::hash::sha256, tls::hash::sha512}) {
    const auto present = keys(alice, h);
    const auto absent = keys(nobody, h);
    EXPECT_FALSE(absent.real);
    EXPECT_EQ(present.keys.salt.size(), absent.keys.salt.size());
    EXPECT_EQ(present.keys.iterations, absent.keys.iterations);
    EXPECT_EQ(present.keys.stored_key.size(), absent.keys.stored_key.size());
    EXPECT_EQ(present.keys.server_key.size(), absent.keys.server_key.size());
    EXPECT_NE(absent.keys.stored_key, absent.keys.server_key);
  }
}

TEST_F(Authenticator, TheAbsentStayTheSameOverRestarts) {  // THREATS C2
  const auto all = [&] {
    std::vector<connection::scram_keys> made;
    for (int i = 0; i < 100; ++i) {
      for (const auto h : {tls::hash::sha1, tls::hash::sha256, tls::hash::sha512}) {
        made.push_back(keys(jid::parse("user" + std::to_string(i) + "@a.example").value(), h).keys);
      }
    }
    return made;
  };
  const auto first = all();
  EXPECT_EQ(first, all());
  start();
  EXPECT_EQ(first, all());
  std::set<std::string> salts;
  for (const auto& k : first) {
    salts.insert(k.salt);
  }
  EXPECT_THAT(salts, SizeIs(300));  // of each user and hash its own
}

TEST_F(Authenticator, AnotherServerMakesUpOthers) {  // THREATS C2: else anybody could compute them
  const auto here = keys(nobody).keys.salt;
  auth_.reset();
  store_.reset();
  std::filesystem::remove(folder_ / "comity.db");
  start();
  EXPECT_NE(here, keys(nobody).keys.salt);
}

TEST_F(Authenticator, UnfitPasswordsMakeNoCredentials) {
  for (const auto* bad : {"", "\x07", "\xFF"}) {
    const auto made = answer<std::expected<storage::credentials, authenticator::make_error>>(
        [&](auto done) { auth_->make_credentials(secret{std::string{bad}}, std::move(done)); });
    ASSERT_FALSE(made);
    EXPECT_EQ(authenticator::make_error::unfit_password, made.error());
  }
}

// ---- too much work ----

TEST_F(Authenticator, QueuesSixtyFourAndRefusesMore) {  // THREATS C8
  std::latch started{1};
  std::promise<void> go;
  auto gate = go.get_future().share();
  auth_->make_credentials(secret{std::string{"first"}}, [&](const auto&) {
    started.count_down();
    gate.wait();  // holds the one thread that hashes
  });
  started.wait();
  std::atomic<int> told{0};
  for (std::size_t i = 0; i < authenticator::queue_limit - 1; ++i) {
    auth_->make_credentials(secret{std::string{}}, [&](const auto&) { ++told; });
  }
  EXPECT_EQ(0, told);
  std::promise<std::string> last;  // the 64th waits
  auth_->check_password(alice, secret{std::string{"pencil"}},
                        [&](const password_answer& a) { last.set_value(shown(a)); });
  // The store answers in order, so that by the next answer the one before it waits.
  EXPECT_EQ("temporary-auth-failure", verdict(alice, "pencil"));
  EXPECT_EQ("temporary-auth-failure", verdict(nobody, "pencil"));
  std::optional<authenticator::make_error> refused;
  auth_->make_credentials(secret{std::string{"x"}}, [&](const auto& made) { refused = made.error(); });
  EXPECT_EQ(authenticator::make_error::busy, refused);
  EXPECT_TRUE(keys(alice).real);  // SCRAM needs none of it
  go.set_value();
  EXPECT_EQ("right", last.get_future().get());
  EXPECT_EQ(63, told);
  EXPECT_EQ("right", verdict(alice, "pencil"));
}

TEST_F(Authenticator, AtItsEndDropsWhatWaitsWithoutCallingBack) {
  std::latch started{1};
  std::promise<void> go;
  auto gate = go.get_future().share();
  std::atomic<bool> first{false}, second{false};
  auth_->make_credentials(secret{std::string{"first"}}, [&](const auto&) {
    started.count_down();
    gate.wait();
    first = true;
  });
  started.wait();
  std::latch dropped{1};
  auto token = std::shared_ptr<void>{nullptr, [&](void*) { dropped.count_down(); }};
  auth_->make_credentials(secret{std::string{"second"}}, [&, held = std::move(token)](const auto&) { second = true; });
  std::thread ending{[&] { auth_.reset(); }};
  dropped.wait();
  EXPECT_FALSE(first);  // which is waited for
  go.set_value();
  ending.join();
  EXPECT_FALSE(second);
  EXPECT_TRUE(first);
}

TEST_F(Authenticator, ServesManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 5; ++i) {
        right += verdict(t % 2 == 0 ? alice : nobody, "pencil") == "right" ? 1 : 0;
        right += keys(alice).real ? 1 : 0;
      }
    });
  }
  for (auto& t : threads) {
    t.join();
  }
  EXPECT_EQ(10 + 20, right);
}

// ---- with a store that is slow or fails ----

class AuthenticatorWithoutStore : public ::testing::Test {
protected:
  fakes::stepped_store store_;
  std::unique_ptr<authenticator> auth_ = std::make_unique<authenticator>(store_);
  std::vector<std::string> told_;
  void ask() {
    auth_->keys(alice, tls::hash::sha1,
                [this](const keys_answer& a) { told_.emplace_back(a ? "keys" : to_string(a.error())); });
  }
};

TEST_F(AuthenticatorWithoutStore, AsksForItsSecretOnceAndAnswersWaitForIt) {
  ask();
  ask();
  EXPECT_EQ(3U, store_.calls);  // the secret at the start, and an account each
  EXPECT_THAT(told_, SizeIs(0));
  store_.run();
  EXPECT_EQ((std::vector<std::string>{"keys", "keys"}), told_);
  ask();
  EXPECT_EQ(4U, store_.calls);
}

TEST_F(AuthenticatorWithoutStore, AFailingStoreIsATemporaryFailure) {
  store_.fail = true;
  ask();
  store_.run();
  EXPECT_EQ((std::vector<std::string>{"temporary-auth-failure"}), told_);
  std::string verdict;
  auth_->check_password(alice, secret{std::string{"x"}}, [&](const password_answer& a) { verdict = shown(a); });
  store_.run();
  EXPECT_EQ("temporary-auth-failure", verdict);
  store_.fail = false;
  ask();
  store_.run();  // the secret is asked for anew
  EXPECT_EQ("keys", told_.back());
}

TEST_F(AuthenticatorWithoutStore, ASecretThatFailsIsATemporaryFailureToo) {
  store_.fail_only = 1;
  ask();
  store_.run();
  ask();
  store_.run();
  EXPECT_EQ((std::vector<std::string>{"keys", "keys"}), told_);  // the account came later, and asked anew
  store_.fail = true;
  ask();
  store_.run();
  EXPECT_EQ("temporary-auth-failure", told_.back());
}

TEST_F(AuthenticatorWithoutStore, WhatTheStoreStillOwesAtItsEndIsNotTold) {
  ask();
  auth_->check_password(alice, secret{std::string{"x"}},
                        [&](const password_answer&) { told_.emplace_back("verdict"); });
  ASSERT_TRUE(store_.step());  // the secret is there; the accounts are not
  auth_.reset();
  store_.run();
  EXPECT_THAT(told_, SizeIs(0));
}

}  // namespace
}  // namespace comity::auth
