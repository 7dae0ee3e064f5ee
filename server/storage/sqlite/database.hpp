// server/storage/sqlite/database.hpp: one connection to an SQLite file, with its prepared statements.
//
// One thread at a time. Errors of a statement come back as storage::error; the reason goes to the log, once a call.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "connection/log.hpp"
#include "server/storage/store.hpp"

struct sqlite3;
struct sqlite3_stmt;

namespace comity::storage {

class database;

/// A statement being run: bind in order, then step. Resets itself at its end.
class query {
public:
  query(query&& other) noexcept;
  query& operator=(query&&) = delete;
  ~query();

  query& bind(std::string_view text);
  query& bind(std::int64_t number);
  query& bind_blob(std::string_view bytes);

  /// True: a row is there. False: no more rows. The error where the statement failed.
  [[nodiscard]] std::expected<bool, error> step();
  /// Runs a statement that has no rows to give.
  [[nodiscard]] std::expected<void, error> run();
  [[nodiscard]] std::string text(int column) const;  // text or blob
  [[nodiscard]] std::int64_t number(int column) const;

private:
  friend class database;
  query(database& owner, sqlite3_stmt* statement) noexcept : owner_{owner}, statement_{statement} {}
  database& owner_;
  sqlite3_stmt* statement_;
  int next_ = 1;
};

class database {
public:
  /// Opens the file as it is, and makes one (mode 0600) where there is none. Nothing is written into an existing file.
  /// An existing empty file is refused: it was truncated. The error is one line.
  [[nodiscard]] static std::expected<std::unique_ptr<database>, std::string> open(const std::filesystem::path& file,
                                                                                  log::sink& log);
  ~database();
  database(const database&) = delete;
  database& operator=(const database&) = delete;

  /// `sql` is a literal: statements are kept by its address. One that cannot be prepared fails when it is stepped.
  [[nodiscard]] query prepare(const char* sql);
  /// Runs SQL without parameters; the error text where it fails.
  [[nodiscard]] std::expected<void, std::string> execute(const std::string& sql);
  /// Rows that the last change touched.
  [[nodiscard]] std::int64_t changes() const noexcept;
  /// False once a transaction has ended, also where SQLite itself took it back (a full disk).
  [[nodiscard]] bool in_transaction() const noexcept;
  /// What the last failure means to a caller; logs it.
  [[nodiscard]] error failure();

private:
  database(sqlite3* handle, log::sink& log) noexcept : handle_{handle}, log_{log} {}
  sqlite3* handle_;
  log::sink& log_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
};

}  // namespace comity::storage
