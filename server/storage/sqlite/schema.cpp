#include "server/storage/sqlite/schema.hpp"

#include <array>

namespace comity::storage {

namespace {

/// The i-th entry leads from version i to i + 1. Entries are never changed, only added.
constexpr std::array<const char*, 3> migrations{
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
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;)",
    "CREATE TABLE sessions (id INTEGER PRIMARY KEY, state BLOB NOT NULL);",
    R"(CREATE TABLE blocked (
  user TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, jid TEXT NOT NULL, PRIMARY KEY (user, jid))
  WITHOUT ROWID;)"};

/// "CMTY", in the header of each of our files.
constexpr std::int64_t application_id = 0x434d5459;

/// One number that a statement gives.
std::expected<std::int64_t, std::string> number(database& db, const char* sql) {
  auto q = db.prepare(sql);
  const auto row = q.step();
  if (!row || !*row) {
    return std::unexpected{std::string{"it is damaged, or no database at all; restore it, or remove it to begin anew"}};
  }
  return q.number(0);
}

/// Only reads: what is refused here is left as it was (THREATS X20).
std::expected<std::int64_t, std::string> usable_version(database& db) {
  const auto newest = static_cast<std::int64_t>(migrations.size());
  const auto tables = number(db, "SELECT count(*) FROM sqlite_schema");
  const auto version = tables ? number(db, "PRAGMA user_version") : tables;
  const auto owner = version ? number(db, "PRAGMA application_id") : version;
  if (!owner) {
    return owner;
  }
  if (*tables != 0 && *owner != application_id) {
    return std::unexpected{std::string{"it belongs to another program; name another file in storage.url"}};
  }
  if (*version > newest) {
    return std::unexpected{"it is of version " + std::to_string(*version) +
                           ", made by a newer server; this one knows version " + std::to_string(newest) +
                           " and leaves it untouched"};
  }
  return version;
}

}  // namespace

std::expected<void, std::string> migrate(database& db) {
  auto version = usable_version(db);
  if (!version) {
    return std::unexpected{version.error()};
  }
  if (auto set = db.execute("PRAGMA journal_mode=WAL"); !set) {
    return set;
  }
  if (auto begun = db.execute("BEGIN IMMEDIATE"); !begun) {
    return begun;
  }
  version = usable_version(db);  // another process may have been quicker
  const auto newest = static_cast<std::int64_t>(migrations.size());
  std::expected<void, std::string> step;
  if (!version) {
    step = std::unexpected{version.error()};
  }
  for (; step && *version < newest; ++*version) {
    step = db.execute(migrations.at(static_cast<std::size_t>(*version)) +
                      ("PRAGMA application_id=" + std::to_string(application_id)) +
                      ";PRAGMA user_version=" + std::to_string(*version + 1));
  }
  if (!step) {
    if (const auto undone = db.execute("ROLLBACK"); !undone) {
      return std::unexpected{step.error() + "; and what was begun could not be taken back: " + undone.error()};
    }
    return step;
  }
  return db.execute("COMMIT");
}

}  // namespace comity::storage
