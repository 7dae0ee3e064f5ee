// tests/server/sqlite_store_test.hpp: an embedded store on files of its own, and its calls as plain functions.
#pragma once

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <expected>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/storage/sqlite/sqlite_store.hpp"

namespace comity::storage {

class silent final : public log::sink {
public:
  [[nodiscard]] bool enabled(log::level) const noexcept override { return true; }
  void write(log::level, std::string_view, std::initializer_list<log::field>) noexcept override {}
};

/// Waits for the answer of one call: `call` starts it with the completion given.
template <typename T, typename Call>
std::expected<T, error> answer(Call call) {
  auto promise = std::make_shared<std::promise<std::expected<T, error>>>();
  auto future = promise->get_future();
  call([promise](std::expected<T, error> r) { promise->set_value(std::move(r)); });
  return future.get();
}

inline std::string shown(const std::expected<void, error>& r) {
  return r ? "done" : std::string{to_string(r.error())};
}

inline const jid juliet = jid::parse("juliet@a.example").value();
inline const jid nurse = jid::parse("nurse@a.example").value();
inline const jid tybalt = jid::parse("tybalt@b.example").value();
inline const jid romeo = jid::parse("romeo@b.example").value();

inline jid contact(int i) {
  return jid::parse("contact" + std::to_string(i) + "@b.example").value();
}

class SqliteStore : public ::testing::Test {
protected:
  void SetUp() override {
    std::string pattern = where_ + "comity-store-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    file_ = folder_ / "data" / "comity.db";
    open();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open() {
    auto opened = open_sqlite(file_, log_);
    ASSERT_TRUE(opened) << opened.error();
    store_ = std::move(*opened);
  }
  void reopen() {
    store_.reset();
    open();
  }
  /// Why the file cannot be opened, "" where it can.
  std::string refusal() {
    auto opened = open_sqlite(file_, log_);
    return opened ? std::string{} : opened.error();
  }

  static credentials keys(std::string_view salt = "salt") {
    credentials c;
    for (const auto h : {tls::hash::sha1, tls::hash::sha256, tls::hash::sha512}) {
      c.scram[h] = {std::string{salt} + std::string{"\0\xff", 2}, 10'000,
                    tls::secret{std::string(tls::digest_size(h), 'k')},
                    tls::secret{std::string(tls::digest_size(h), '\0')}};
    }
    return c;
  }
  std::expected<void, error> create(const jid& user, credentials c = keys()) {
    return answer<void>([&](auto done) { store_->account_create(user, std::move(c), std::move(done)); });
  }
  std::expected<credentials, error> credentials_of(const jid& user) {
    return answer<credentials>([&](auto done) { store_->account_credentials(user, std::move(done)); });
  }
  std::expected<roster, error> roster_of(const jid& user) {
    return answer<roster>([&](auto done) { store_->roster_load(user, std::move(done)); });
  }
  std::expected<std::uint64_t, error> put(const jid& user, roster_item item) {
    return answer<std::uint64_t>([&](auto done) { store_->roster_put(user, std::move(item), std::move(done)); });
  }
  std::expected<std::uint64_t, error> remove(const jid& user, const jid& who) {
    return answer<std::uint64_t>([&](auto done) { store_->roster_remove(user, who, std::move(done)); });
  }
  std::expected<void, error> add(const jid& user, std::string wire, std::size_t limit = 1000) {
    return answer<void>([&](auto done) { store_->offline_add(user, std::move(wire), limit, std::move(done)); });
  }
  std::vector<std::string> offline(const jid& user) {
    std::vector<std::string> wires;
    for (auto& m : answer<std::vector<offline_message>>([&](auto done) {
                     store_->offline_load(user, std::move(done));
                   }).value()) {
      wires.push_back(std::move(m.wire));
    }
    return wires;
  }
  std::expected<void, error> block(const jid& user, std::vector<jid> whom) {
    return answer<void>([&](auto done) { store_->blocked_add(user, std::move(whom), std::move(done)); });
  }
  std::vector<jid> blocked(const jid& user) {
    return answer<std::vector<jid>>([&](auto done) { store_->blocked_load(user, std::move(done)); }).value();
  }
  static roster_item item(const jid& who) {
    roster_item i;
    i.contact = who;
    return i;
  }
  /// Runs SQL past the store.
  void sql(const std::string& text) {
    sqlite3* db = nullptr;
    ASSERT_EQ(SQLITE_OK, sqlite3_open(file_.c_str(), &db));
    EXPECT_EQ(SQLITE_OK, sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr)) << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  std::string bytes(const std::filesystem::path& file) {
    std::ifstream in{file, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }

  std::string where_ = ::testing::TempDir();
  silent log_;
  std::filesystem::path folder_, file_;
  std::unique_ptr<store> store_;
};

}  // namespace comity::storage
