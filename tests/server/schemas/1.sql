-- A database as version 1 of the schema left it.
PRAGMA application_id=1129141337;
PRAGMA user_version=1;
CREATE TABLE accounts (user TEXT PRIMARY KEY, domain TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
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
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO accounts VALUES ('juliet@a.example', 'a.example', 1764000000);
INSERT INTO credentials VALUES ('juliet@a.example', 'sha-256', x'73616c74', 10000, zeroblob(32), zeroblob(32));
INSERT INTO rosters VALUES ('juliet@a.example', 7, 3);
INSERT INTO roster_items VALUES ('juliet@a.example', 'nurse@a.example', 'Nurse', 3, 0, 0, 0, 1, x'', x'', 7);
INSERT INTO offline (user, wire) VALUES ('juliet@a.example', 'kept');
INSERT INTO vcards VALUES ('juliet@a.example', '<FN>Juliet</FN>');
