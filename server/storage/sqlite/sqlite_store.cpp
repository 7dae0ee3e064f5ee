#include "server/storage/sqlite/sqlite_store.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>

#include "server/storage/sqlite/schema.hpp"
#include "server/storage/sqlite/worker.hpp"

namespace comity::storage {

namespace {

/// How many removed contacts of a roster are remembered for answers by difference (RFC 6121 §2.6).
constexpr std::int64_t removed_kept = 500;
/// Parts groups; no XML text can hold it.
constexpr char group_separator = '\x1f';

std::string joined(const std::vector<std::string>& groups) {
  std::string all;
  for (const auto& g : groups) {
    all += g;
    all += group_separator;
  }
  return all;
}

std::vector<std::string> parted(std::string_view all) {
  std::vector<std::string> groups;
  while (!all.empty()) {
    const auto end = all.find(group_separator);
    groups.emplace_back(all.substr(0, end));
    all.remove_prefix(std::min(end, all.size() - 1) + 1);
  }
  return groups;
}

std::string_view name_of(tls::hash h) {
  switch (h) {
    case tls::hash::sha1:
      return "sha-1";
    case tls::hash::sha256:
      return "sha-256";
    case tls::hash::sha512:
      return "sha-512";
  }
  return {};
}

std::optional<tls::hash> hash_named(std::string_view name) {
  for (const auto h : {tls::hash::sha1, tls::hash::sha256, tls::hash::sha512}) {
    if (name_of(h) == name) {
      return h;
    }
  }
  return std::nullopt;
}

std::expected<void, error> put_credentials(database& db, const jid& user, const credentials& c) {
  if (auto gone = db.prepare("DELETE FROM credentials WHERE user=?").bind(user.text()).run(); !gone) {
    return gone;
  }
  for (const auto& [hash, keys] : c.scram) {
    auto put = db.prepare("INSERT INTO credentials VALUES (?,?,?,?,?,?)")
                   .bind(user.text())
                   .bind(name_of(hash))
                   .bind_blob(keys.salt)
                   .bind(static_cast<std::int64_t>(keys.iterations))
                   .bind_blob(keys.stored_key)
                   .bind_blob(keys.server_key)
                   .run();
    if (!put) {
      return put;
    }
  }
  return {};
}

std::expected<bool, error> account_there(database& db, const jid& user) {
  return db.prepare("SELECT 1 FROM accounts WHERE user=?").bind(user.text()).step();
}

/// The next version of a user's roster, taken.
std::expected<std::uint64_t, error> next_version(database& db, const jid& user) {
  auto bumped = db.prepare(
      "INSERT INTO rosters VALUES (?,1,0) ON CONFLICT (user) DO UPDATE SET version=version+1 RETURNING version");
  bumped.bind(user.text());
  const auto row = bumped.step();
  if (!row) {
    return std::unexpected{row.error()};
  }
  const auto version = static_cast<std::uint64_t>(bumped.number(0));
  const auto ended = bumped.step();  // only at its end does the change count
  return ended ? std::expected<std::uint64_t, error>{version} : std::unexpected{ended.error()};
}

/// Whether clients see the contact in the roster.
std::expected<bool, error> shown(database& db, const jid& user, const jid& contact) {
  auto q = db.prepare("SELECT in_roster FROM roster_items WHERE user=? AND contact=?");
  const auto row = q.bind(user.text()).bind(contact.text()).step();
  if (!row) {
    return row;
  }
  return *row && q.number(0) != 0;
}

/// Keeps that the contact left the roster at that version, for answers by difference; the oldest are forgotten.
std::expected<void, error> remember_removed(database& db, const jid& user, const jid& contact, std::uint64_t version) {
  auto kept = db.prepare("INSERT OR REPLACE INTO roster_removed VALUES (?,?,?)")
                  .bind(user.text())
                  .bind(contact.text())
                  .bind(static_cast<std::int64_t>(version))
                  .run();
  if (kept) {
    // What is forgotten moves the point before which no answer by difference is complete.
    kept = db.prepare(
                 "UPDATE rosters SET complete_since=max(complete_since, coalesce((SELECT version FROM roster_removed "
                 "WHERE user=?1 ORDER BY version DESC LIMIT 1 OFFSET ?2), 0)) WHERE user=?1")
               .bind(user.text())
               .bind(removed_kept)
               .run();
  }
  if (kept) {
    kept = db.prepare(
                 "DELETE FROM roster_removed WHERE user=?1 AND version<=(SELECT complete_since FROM rosters WHERE "
                 "user=?1)")
               .bind(user.text())
               .run();
  }
  return kept;
}

class sqlite_store final : public store {
public:
  sqlite_store(std::unique_ptr<database> writing, std::unique_ptr<database> reading)
      : writer_{std::move(writing)}, reader_{std::move(reading)} {}

  /// Changes first: what is told of them may read.
  ~sqlite_store() override {
    writer_.finish();
    reader_.finish();
  }

  void account_create(const jid& user, credentials c, completion<void> done) override {
    write(
        [user, c = std::move(c)](database& db) -> std::expected<void, error> {
          const auto now =
              std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
          auto made = db.prepare("INSERT INTO accounts VALUES (?,?,?)")
                          .bind(user.text())
                          .bind(user.domainpart())
                          .bind(static_cast<std::int64_t>(now.count()))
                          .run();
          return made ? put_credentials(db, user, c) : made;
        },
        std::move(done));
  }

  void account_passwd(const jid& user, credentials c, completion<void> done) override {
    write(
        [user, c = std::move(c)](database& db) -> std::expected<void, error> {
          const auto there = account_there(db, user);
          if (!there || !*there) {
            return std::unexpected{there ? error::not_found : there.error()};
          }
          return put_credentials(db, user, c);
        },
        std::move(done));
  }

  void account_delete(const jid& user, completion<void> done) override {
    write(
        [user](database& db) -> std::expected<void, error> {
          auto gone = db.prepare("DELETE FROM accounts WHERE user=?").bind(user.text()).run();
          return gone && db.changes() == 0 ? std::unexpected{error::not_found} : gone;
        },
        std::move(done));
  }

  void account_list(std::string domain, completion<std::vector<jid>> done) override {
    read(std::move(done), [domain = std::move(domain)](database& db) -> std::expected<std::vector<jid>, error> {
      std::vector<jid> users;
      auto q = domain.empty() ? db.prepare("SELECT user FROM accounts ORDER BY domain, user")
                              : db.prepare("SELECT user FROM accounts WHERE domain=? ORDER BY user");
      if (!domain.empty()) {
        q.bind(domain);
      }
      for (auto row = q.step(); !row || *row; row = q.step()) {
        if (!row) {
          return std::unexpected{row.error()};
        }
        if (auto user = jid::parse(q.text(0))) {
          users.push_back(std::move(*user));
        }
      }
      return users;
    });
  }

  void account_credentials(const jid& user, completion<credentials> done) override {
    read(std::move(done), [user](database& db) -> std::expected<credentials, error> {
      // One statement for a user who is there and one who is not: it takes as long (THREATS C2).
      credentials found;
      bool there = false;
      auto q = db.prepare(
          "SELECT hash, salt, iterations, stored_key, server_key FROM accounts LEFT JOIN credentials USING (user) "
          "WHERE user=?");
      q.bind(user.text());
      for (auto row = q.step(); !row || *row; row = q.step()) {
        if (!row) {
          return std::unexpected{row.error()};
        }
        there = true;
        if (const auto hash = hash_named(q.text(0))) {
          found.scram[*hash] = {q.text(1), static_cast<std::uint32_t>(q.number(2)), q.text(3), q.text(4)};
        }
      }
      return there ? std::expected<credentials, error>{std::move(found)} : std::unexpected{error::not_found};
    });
  }

  void account_exists(const jid& user, completion<bool> done) override {
    read(std::move(done), [user](database& db) { return account_there(db, user); });
  }

  void roster_load(const jid& user, completion<roster> done) override {
    read(std::move(done), [user](database& db) -> std::expected<roster, error> {
      // One snapshot for its parts, whatever is committed meanwhile.
      if (const auto begun = db.prepare("BEGIN").run(); !begun) {
        return std::unexpected{begun.error()};
      }
      auto loaded = load_roster(db, user);
      const auto ended = db.prepare("COMMIT").run();
      return ended ? std::move(loaded) : std::unexpected{ended.error()};
    });
  }

  void roster_put(const jid& user, roster_item item, completion<std::uint64_t> done) override {
    write_for<std::uint64_t>(
        [user, item = std::move(item)](database& db) -> std::expected<std::uint64_t, error> {
          const auto version = next_version(db, user);
          if (!version) {
            return version;
          }
          const auto was = shown(db, user, item.contact);
          if (!was) {
            return std::unexpected{was.error()};
          }
          auto put = db.prepare("INSERT OR REPLACE INTO roster_items VALUES (?,?,?,?,?,?,?,?,?,?,?)")
                         .bind(user.text())
                         .bind(item.contact.text())
                         .bind(item.name)
                         .bind(static_cast<std::int64_t>(std::to_underlying(item.subscription)))
                         .bind(static_cast<std::int64_t>(item.pending_out))
                         .bind(static_cast<std::int64_t>(item.pending_in))
                         .bind(static_cast<std::int64_t>(item.approved))
                         .bind(static_cast<std::int64_t>(item.in_roster))
                         .bind_blob(joined(item.groups))
                         .bind_blob(item.request)
                         .bind(static_cast<std::int64_t>(*version))
                         .run();
          if (put && item.in_roster) {
            put = db.prepare("DELETE FROM roster_removed WHERE user=? AND contact=?")
                      .bind(user.text())
                      .bind(item.contact.text())
                      .run();
          } else if (put && *was) {
            put = remember_removed(db, user, item.contact, *version);  // what clients saw is gone from their view
          }
          return put ? version : std::unexpected{put.error()};
        },
        std::move(done));
  }

  void roster_remove(const jid& user, const jid& contact, completion<std::uint64_t> done) override {
    write_for<std::uint64_t>([user, contact](database& db) { return remove_item(db, user, contact); }, std::move(done));
  }

  void blocked_load(const jid& user, completion<std::vector<jid>> done) override {
    read(std::move(done), [user](database& db) -> std::expected<std::vector<jid>, error> {
      std::vector<jid> all;
      auto q = db.prepare("SELECT jid FROM blocked WHERE user=? ORDER BY jid");
      q.bind(user.text());
      for (auto row = q.step(); !row || *row; row = q.step()) {
        if (!row) {
          return std::unexpected{row.error()};
        }
        if (auto blocked = jid::parse(q.text(0))) {
          all.push_back(std::move(*blocked));
        }
      }
      return all;
    });
  }

  void blocked_add(const jid& user, std::vector<jid> more, completion<void> done) override {
    each_blocked("INSERT OR IGNORE INTO blocked VALUES (?,?)", user, std::move(more), std::move(done));
  }

  void blocked_remove(const jid& user, std::vector<jid> fewer, completion<void> done) override {
    each_blocked("DELETE FROM blocked WHERE user=? AND jid=?", user, std::move(fewer), std::move(done));
  }

  void offline_add(const jid& user, std::string wire, std::size_t limit, completion<void> done) override {
    write(
        [user, wire = std::move(wire), limit](database& db) -> std::expected<void, error> {
          {
            auto q = db.prepare("SELECT count(*) FROM offline WHERE user=?");
            const auto row = q.bind(user.text()).step();
            if (!row) {
              return std::unexpected{row.error()};
            }
            if (static_cast<std::size_t>(q.number(0)) >= limit) {
              return std::unexpected{error::full};
            }
          }
          return db.prepare("INSERT INTO offline (user, wire) VALUES (?,?)").bind(user.text()).bind_blob(wire).run();
        },
        std::move(done));
  }

  void offline_load(const jid& user, completion<std::vector<offline_message>> done) override {
    read(std::move(done), [user](database& db) -> std::expected<std::vector<offline_message>, error> {
      std::vector<offline_message> all;
      auto q = db.prepare("SELECT id, wire FROM offline WHERE user=? ORDER BY id");
      q.bind(user.text());
      for (auto row = q.step(); !row || *row; row = q.step()) {
        if (!row) {
          return std::unexpected{row.error()};
        }
        all.push_back({static_cast<std::uint64_t>(q.number(0)), q.text(1)});
      }
      return all;
    });
  }

  void offline_remove(const jid& user, std::uint64_t up_to, completion<void> done) override {
    write(
        [user, up_to](database& db) {
          return db.prepare("DELETE FROM offline WHERE user=? AND id<=?")
              .bind(user.text())
              .bind(static_cast<std::int64_t>(up_to))
              .run();
        },
        std::move(done));
  }

  void sessions_keep(std::vector<std::string> states, completion<void> done) override {
    write(
        [states = std::move(states)](database& db) -> std::expected<void, error> {
          if (auto gone = db.prepare("DELETE FROM sessions").run(); !gone) {
            return gone;
          }
          for (const auto& state : states) {
            if (auto put = db.prepare("INSERT INTO sessions (state) VALUES (?)").bind_blob(state).run(); !put) {
              return put;
            }
          }
          return {};
        },
        std::move(done));
  }

  void sessions_take(completion<std::vector<std::string>> done) override {
    write_for<std::vector<std::string>>(
        [](database& db) -> std::expected<std::vector<std::string>, error> {
          std::vector<std::string> all;
          {
            auto q = db.prepare("SELECT state FROM sessions ORDER BY id");
            for (;;) {
              const auto row = q.step();
              if (!row) {
                return std::unexpected{row.error()};
              }
              if (!*row) {
                break;
              }
              all.push_back(q.text(0));
            }
          }
          if (auto gone = db.prepare("DELETE FROM sessions").run(); !gone) {
            return std::unexpected{gone.error()};
          }
          return all;
        },
        std::move(done));
  }

  void vcard_load(const jid& user, completion<std::optional<std::string>> done) override {
    read(std::move(done), [user](database& db) -> std::expected<std::optional<std::string>, error> {
      auto q = db.prepare("SELECT xml FROM vcards WHERE user=?");
      const auto row = q.bind(user.text()).step();
      if (!row) {
        return std::unexpected{row.error()};
      }
      return *row ? std::optional{q.text(0)} : std::nullopt;
    });
  }

  void vcard_put(const jid& user, std::string xml, completion<void> done) override {
    write(
        [user, xml = std::move(xml)](database& db) {
          return db.prepare("INSERT OR REPLACE INTO vcards VALUES (?,?)").bind(user.text()).bind_blob(xml).run();
        },
        std::move(done));
  }

  void last_put(const jid& user, last_presence last, completion<void> done) override {
    write(
        [user, last = std::move(last)](database& db) {
          return db.prepare("INSERT OR REPLACE INTO last_presence VALUES (?,?,?)")
              .bind(user.text())
              .bind(last.unix_seconds)
              .bind(last.status)
              .run();
        },
        std::move(done));
  }

  void last_load(const jid& user, completion<std::optional<last_presence>> done) override {
    read(std::move(done), [user](database& db) -> std::expected<std::optional<last_presence>, error> {
      auto q = db.prepare("SELECT seconds, status FROM last_presence WHERE user=?");
      const auto row = q.bind(user.text()).step();
      if (!row) {
        return std::unexpected{row.error()};
      }
      return *row ? std::optional{last_presence{q.number(0), q.text(1)}} : std::nullopt;
    });
  }

  void secret(std::string name, completion<std::string> done) override {
    write_for<std::string>(
        [name = std::move(name)](database& db) -> std::expected<std::string, error> {
          auto made = db.prepare("INSERT OR IGNORE INTO secrets VALUES (?,?)")
                          .bind(name)
                          .bind_blob(tls::random_bytes(32))
                          .run();
          if (!made) {
            return std::unexpected{made.error()};
          }
          auto q = db.prepare("SELECT value FROM secrets WHERE name=?");
          const auto row = q.bind(name).step();
          if (!row || !*row) {
            return std::unexpected{row ? error::failed : row.error()};
          }
          return q.text(0);
        },
        std::move(done));
  }

  void ping(completion<void> done) override {
    read(std::move(done), [](database& db) -> std::expected<void, error> {
      const auto row = db.prepare("SELECT count(*) FROM secrets").step();
      return row ? std::expected<void, error>{} : std::unexpected{row.error()};
    });
  }

private:
  static std::expected<roster, error> load_roster(database& db, const jid& user);
  static std::expected<std::uint64_t, error> remove_item(database& db, const jid& user, const jid& contact);

  void write(std::move_only_function<std::expected<void, error>(database&)> apply, completion<void> done) {
    writer_.submit({std::move(apply), std::move(done)});
  }

  void each_blocked(const char* statement, const jid& user, std::vector<jid> which, completion<void> done) {
    write(
        [statement, user, which = std::move(which)](database& db) -> std::expected<void, error> {
          for (const auto& each : which) {
            if (auto changed = db.prepare(statement).bind(user.text()).bind(each.text()).run(); !changed) {
              return changed;
            }
          }
          return {};
        },
        std::move(done));
  }

  /// A change with a result, which is told once it is committed.
  template <typename T, typename Apply>
  void write_for(Apply apply, completion<T> done) {
    auto result = std::make_shared<std::expected<T, error>>(std::unexpected{error::failed});
    writer_.submit({[result, apply = std::move(apply)](database& db) mutable -> std::expected<void, error> {
                      *result = apply(db);
                      return *result ? std::expected<void, error>{} : std::unexpected{result->error()};
                    },
                    [result, done = std::move(done)](std::expected<void, error> committed) mutable {
                      done(committed ? std::move(*result) : std::unexpected{committed.error()});
                    }});
  }

  template <typename T, typename Ask>
  void read(completion<T> done, Ask ask) {
    reader_.submit([done = std::move(done), ask = std::move(ask)](database& db) mutable { done(ask(db)); });
  }

  writer_thread writer_;
  reader_thread reader_;
};

std::expected<roster, error> sqlite_store::load_roster(database& db, const jid& user) {
  roster r;
  {
    auto q = db.prepare("SELECT version, complete_since FROM rosters WHERE user=?");
    const auto row = q.bind(user.text()).step();
    if (!row) {
      return std::unexpected{row.error()};
    }
    if (!*row) {
      const auto there = account_there(db, user);
      if (!there || !*there) {
        return std::unexpected{there ? error::not_found : there.error()};
      }
      return r;
    }
    r.version = static_cast<std::uint64_t>(q.number(0));
    r.complete_since = static_cast<std::uint64_t>(q.number(1));
  }
  auto q = db.prepare(
      "SELECT contact, name, subscription, pending_out, pending_in, approved, in_roster, groups, request, version "
      "FROM roster_items WHERE user=? ORDER BY contact");
  q.bind(user.text());
  for (auto row = q.step(); !row || *row; row = q.step()) {
    if (!row) {
      return std::unexpected{row.error()};
    }
    auto contact = jid::parse(q.text(0));
    if (!contact) {
      continue;
    }
    roster_item i;
    i.contact = std::move(*contact);
    i.name = q.text(1);
    i.subscription = static_cast<subscription>(q.number(2) & 3);
    i.pending_out = q.number(3) != 0;
    i.pending_in = q.number(4) != 0;
    i.approved = q.number(5) != 0;
    i.in_roster = q.number(6) != 0;
    i.groups = parted(q.text(7));
    i.request = q.text(8);
    i.version = static_cast<std::uint64_t>(q.number(9));
    r.items.push_back(std::move(i));
  }
  auto removed = db.prepare("SELECT contact, version FROM roster_removed WHERE user=? ORDER BY version");
  removed.bind(user.text());
  for (auto row = removed.step(); !row || *row; row = removed.step()) {
    if (!row) {
      return std::unexpected{row.error()};
    }
    if (auto contact = jid::parse(removed.text(0))) {
      r.removed.emplace_back(std::move(*contact), static_cast<std::uint64_t>(removed.number(1)));
    }
  }
  return r;
}

std::expected<std::uint64_t, error> sqlite_store::remove_item(database& db, const jid& user, const jid& contact) {
  const auto version = next_version(db, user);
  if (!version) {
    return version;
  }
  const auto was = shown(db, user, contact);
  if (!was) {
    return std::unexpected{was.error()};
  }
  auto gone =
      db.prepare("DELETE FROM roster_items WHERE user=? AND contact=?").bind(user.text()).bind(contact.text()).run();
  if (gone && *was) {
    gone = remember_removed(db, user, contact, *version);
  }
  return gone ? version : std::unexpected{gone.error()};
}

}  // namespace

std::expected<std::unique_ptr<store>, std::string> open_sqlite(const std::filesystem::path& file, log::sink& log) {
  const auto folder = file.parent_path();
  std::error_code fault;
  if (!folder.empty() && !std::filesystem::exists(folder, fault)) {
    std::filesystem::create_directories(folder, fault);
    if (fault) {
      return std::unexpected{"cannot make the data directory " + folder.string() + ": " + fault.message()};
    }
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, fault);
  }
  auto writing = database::open(file, log);
  if (!writing) {
    return std::unexpected{std::move(writing.error())};
  }
  if (auto ready = migrate(**writing); !ready) {
    return std::unexpected{"cannot use the database " + file.string() + ": " + ready.error()};
  }
  if (auto durable = (*writing)->execute("PRAGMA synchronous=FULL"); !durable) {
    return std::unexpected{"cannot use the database " + file.string() + ": " + durable.error()};
  }
  auto reading = database::open(file, log);
  if (!reading) {
    return std::unexpected{std::move(reading.error())};
  }
  return std::make_unique<sqlite_store>(std::move(*writing), std::move(*reading));
}

}  // namespace comity::storage
