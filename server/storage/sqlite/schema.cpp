#include "server/storage/sqlite/schema.hpp"

#include <array>

namespace comity::storage {

namespace {

/// The i-th entry leads from version i to i + 1. Entries are never changed, only added.
constexpr std::array<const char*, 1> migrations{
    R"(CREATE TABLE accounts (user TEXT PRIMARY KEY, domain TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE credentials (
  user TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, hash TEXT NOT NULL,
  salt BLOB NOT NULL, iterations INTEGER NOT NULL, stored_key BLOB NOT NULL, server_key BLOB NOT NULL,
  PRIMARY KEY (user, hash)) WITHOUT ROWID;
CREATE TABLE rosters (
  user TEXT PRIMARY KEY REFERENCES accounts ON DELETE CASCADE,
  version INTEGER NOT NULL, complete_since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE roster_items (
  user TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, contact TEXT NOT NULL, name TEXT NOT NULL,
  subscription INTEGER NOT NULL, pending_out INTEGER NOT NULL, pending_in INTEGER NOT NULL, approved INTEGER NOT NULL,
  in_roster INTEGER NOT NULL, groups BLOB NOT NULL, request BLOB NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (user, contact)) WITHOUT ROWID;
CREATE TABLE roster_removed (
  user TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, contact TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (user, contact)) WITHOUT ROWID;
CREATE TABLE offline (
  id INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, wire BLOB NOT NULL);
CREATE INDEX offline_user ON offline (user, id);
CREATE TABLE vcards (user TEXT PRIMARY KEY REFERENCES accounts ON DELETE CASCADE, xml BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE last_presence (
  user TEXT PRIMARY KEY REFERENCES accounts ON DELETE CASCADE, seconds INTEGER NOT NULL, status TEXT NOT NULL)
  WITHOUT ROWID;
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;)"};

}  // namespace

std::expected<void, std::string> migrate(database& db) {
  if (auto begun = db.execute("BEGIN IMMEDIATE"); !begun) {
    return begun;
  }
  const auto undo = [&](std::string why) {
    (void)db.execute("ROLLBACK");
    return std::unexpected{std::move(why)};
  };
  std::int64_t version = 0;
  {
    auto q = db.prepare("PRAGMA user_version");
    if (const auto row = q.step(); !row || !*row) {
      return undo("its version cannot be read");
    }
    version = q.number(0);
  }
  const auto newest = static_cast<std::int64_t>(migrations.size());
  if (version > newest) {
    return undo("it is of version " + std::to_string(version) + ", made by a newer server; this one knows version " +
                std::to_string(newest) + " and leaves it untouched");
  }
  for (; version < newest; ++version) {
    if (auto step = db.execute(migrations.at(static_cast<std::size_t>(version))); !step) {
      return undo(step.error());
    }
    if (auto step = db.execute("PRAGMA user_version=" + std::to_string(version + 1)); !step) {
      return undo(step.error());
    }
  }
  return db.execute("COMMIT");
}

}  // namespace comity::storage
