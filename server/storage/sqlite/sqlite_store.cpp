#include "server/storage/sqlite/sqlite_store.hpp"

#include <sqlite3.h>

#include <sys/stat.h>

#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <shared_mutex>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "server/storage/sqlite/accounts.hpp"
#include "server/storage/sqlite/rosters.hpp"
#include "server/storage/sqlite/schema.hpp"
#include "server/storage/sqlite/worker.hpp"

namespace comity::storage {

namespace {

/// Who blocks somebody, or did; few do, and each login asks. A user that is mistaken for another is only asked after.
class blockers {
public:
  [[nodiscard]] bool contains(const jid& user) const {
    const std::shared_lock lock{lock_};
    return hashes_.contains(hash_of(user.text()));
  }
  void add(const jid& user) {
    const std::unique_lock lock{lock_};
    hashes_.insert(hash_of(user.text()));
  }
  [[nodiscard]] std::expected<void, error> load(database& db) {
    auto q = db.prepare("SELECT DISTINCT user FROM blocked");
    for (;;) {
      const auto more = q.step();
      if (!more || !*more) {
        return more ? std::expected<void, error>{} : std::unexpected{more.error()};
      }
      hashes_.insert(hash_of(q.text(0)));
    }
  }

private:
  static std::size_t hash_of(std::string_view user) noexcept { return std::hash<std::string_view>{}(user); }

  mutable std::shared_mutex lock_;
  std::unordered_set<std::size_t> hashes_;
};

class sqlite_store final : public store {
public:
  sqlite_store(std::unique_ptr<database> writing, std::unique_ptr<database> reading, std::unique_ptr<blockers> known)
      : blockers_{std::move(known)}, writer_{std::move(writing)}, reader_{std::move(reading)} {}

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
    reader_.submit([user, done = std::move(done)](database& db) mutable {
      // Outlives the answer: what is thrown away of somebody else's takes its time after it (THREATS C2).
      credentials found;
      std::expected<bool, error> there = std::unexpected{error::failed};
      try {
        there = load_credentials(db, user, found);
      } catch (const std::exception&) {  // no memory for it (THREATS X13)
      }
      done(!there   ? std::unexpected{there.error()}
           : *there ? std::expected<credentials, error>{std::move(found)}
                    : std::unexpected{error::not_found});
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
    write_for<std::uint64_t>([user, item = std::move(item)](database& db) { return put_item(db, user, item); },
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

  [[nodiscard]] bool may_block(const jid& user) const override { return blockers_->contains(user); }

  void blocked_add(const jid& user, std::vector<jid> more, completion<void> done) override {
    blockers_->add(user);
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

  void secret(std::string name, completion<tls::secret> done) override {
    write_for<tls::secret>(
        [name = std::move(name)](database& db) -> std::expected<tls::secret, error> {
          auto made = db.prepare("INSERT OR IGNORE INTO secrets VALUES (?,?)")
                          .bind(name)
                          .bind_blob(tls::secret{tls::random_bytes(32)}.reveal())
                          .run();
          if (!made) {
            return std::unexpected{made.error()};
          }
          auto q = db.prepare("SELECT value FROM secrets WHERE name=?");
          const auto row = q.bind(name).step();
          if (!row || !*row) {
            return std::unexpected{row ? error::failed : row.error()};
          }
          return tls::secret{q.text(0)};
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
    reader_.submit([done = std::move(done), ask = std::move(ask)](database& db) mutable {
      std::expected<T, error> found = std::unexpected{error::failed};
      try {
        found = ask(db);
      } catch (const std::exception&) {  // no memory for it (THREATS X13)
      }
      done(std::move(found));
    });
  }

  std::unique_ptr<blockers> blockers_;
  writer_thread writer_;
  reader_thread reader_;
};

}  // namespace

std::expected<void, std::string> make_folder_of(const std::filesystem::path& file) {
  const auto folder = file.parent_path();
  std::error_code fault;
  if (!folder.empty() && !std::filesystem::exists(folder, fault)) {
    std::filesystem::create_directories(folder, fault);
    if (fault) {
      return std::unexpected{"cannot make the data directory " + folder.string() + ": " + fault.message()};
    }
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, fault);
  }
  return {};
}

std::expected<std::unique_ptr<store>, std::string> open_sqlite(const std::filesystem::path& file, log::sink& log) {
  if (auto made = make_folder_of(file); !made) {
    return std::unexpected{std::move(made.error())};
  }
  if (sqlite3_temp_directory == nullptr) {
    // What does not fit into memory while it is sorted is as private as the rest, and lies where we may write.
    sqlite3_temp_directory = sqlite3_mprintf("%s", file.parent_path().c_str());
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
  auto known = std::make_unique<blockers>();
  if (auto loaded = known->load(**writing); !loaded) {
    return std::unexpected{"cannot read the database " + file.string() + ": " + std::string{to_string(loaded.error())}};
  }
  return std::make_unique<sqlite_store>(std::move(*writing), std::move(*reading), std::move(known));
}

}  // namespace comity::storage
