#include "server/storage/sqlite/database.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "server/descriptor.hpp"

namespace comity::storage {

namespace {
constexpr int busy_milliseconds = 5000;  // another process (comityctl) may be writing

/// Sees that a new name in the folder outlives a power cut.
bool sync_folder_of(const std::filesystem::path& file) {
  const auto folder = file.parent_path();
  const descriptor opened{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  return opened.number() >= 0 && ::fsync(opened.number()) == 0;
}

/// SQLite's caches take memory page by page, and not for twenty pages at once. Before any database is opened.
void take_pages_as_needed() {
  static const int done = sqlite3_config(SQLITE_CONFIG_PAGECACHE, nullptr, 0, 0);
  static_cast<void>(done);  // it works as well without
}

/// Makes a database with no tables. It gets its name once it is whole and on disk, so that one which is found empty has
/// lost what it held. It is never readable by others. Who finds that another process was quicker has that one's.
std::expected<void, std::string> make(const std::filesystem::path& file) {
  auto draft = file.string() + ".XXXXXX";
  const int descriptor = ::mkostemp(draft.data(), O_CLOEXEC);
  if (descriptor < 0) {
    return std::unexpected{std::generic_category().message(errno)};
  }
  ::close(descriptor);
  sqlite3* handle = nullptr;
  std::string why;
  if (sqlite3_open_v2(draft.c_str(), &handle, SQLITE_OPEN_READWRITE, nullptr) != SQLITE_OK ||
      sqlite3_exec(handle, "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr) != SQLITE_OK) {
    why = sqlite3_errmsg(handle);
  }
  sqlite3_close(handle);
  if (why.empty() && ::link(draft.c_str(), file.c_str()) != 0 && errno != EEXIST) {
    why = std::generic_category().message(errno);
  }
  ::unlink(draft.c_str());
  if (why.empty() && !sync_folder_of(file)) {
    why = std::generic_category().message(errno);
  }
  return why.empty() ? std::expected<void, std::string>{} : std::unexpected{why};
}
}  // namespace

query::query(query&& other) noexcept
    : owner_{other.owner_}, statement_{std::exchange(other.statement_, nullptr)}, next_{other.next_} {
}

query::~query() {
  if (statement_ != nullptr) {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
}

query& query::bind(std::string_view text) {
  // Empty is not NULL: SQLite tells them apart by the pointer.
  if (statement_ != nullptr) {
    sqlite3_bind_text64(statement_, next_++, text.data() != nullptr ? text.data() : "", text.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
  }
  return *this;
}

query& query::bind(std::int64_t number) {
  if (statement_ != nullptr) {
    sqlite3_bind_int64(statement_, next_++, number);
  }
  return *this;
}

query& query::bind_blob(std::string_view bytes) {
  if (statement_ != nullptr) {
    sqlite3_bind_blob64(statement_, next_++, bytes.data() != nullptr ? bytes.data() : "", bytes.size(),
                        SQLITE_TRANSIENT);
  }
  return *this;
}

std::expected<bool, error> query::step() {
  switch (statement_ == nullptr ? SQLITE_ERROR : sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return std::unexpected{owner_.failure()};
  }
}

std::expected<void, error> query::run() {
  const auto stepped = step();
  return stepped ? std::expected<void, error>{} : std::unexpected{stepped.error()};
}

std::string query::text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  const auto size = sqlite3_column_bytes(statement_, column);
  return bytes == nullptr ? std::string{} : std::string{bytes, static_cast<std::size_t>(size)};
}

std::int64_t query::number(int column) const {
  return sqlite3_column_int64(statement_, column);
}

std::expected<std::unique_ptr<database>, std::string> database::open(const std::filesystem::path& file,
                                                                     log::sink& log) {
  const auto cannot = [&](const std::string& why) {
    return std::unexpected{"cannot open the database " + file.string() + ": " + why};
  };
  take_pages_as_needed();
  int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT) {
    if (auto made = make(file); !made) {
      return cannot(made.error());
    }
    descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  }
  if (descriptor < 0) {
    return cannot(std::generic_category().message(errno));
  }
  struct stat facts{};
  const bool known = ::fstat(descriptor, &facts) == 0;
  const bool exposed = known && (facts.st_mode & (S_IRWXG | S_IRWXO)) != 0;
  const bool tight = !exposed || ::fchmod(descriptor, S_IRUSR | S_IWUSR) == 0;
  ::close(descriptor);
  if (!known || !tight) {
    return cannot("others may read it; make it readable by its owner alone (chmod 600)");
  }
  if (facts.st_size == 0) {
    return cannot("it is empty, so it was truncated; restore it, or remove it to begin anew");
  }
  sqlite3* handle = nullptr;
  const int opened = sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  auto db = std::unique_ptr<database>{new database{handle, log}};
  if (opened != SQLITE_OK) {
    return cannot(sqlite3_errmsg(handle));
  }
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, busy_milliseconds);
  if (auto set = db->execute("PRAGMA foreign_keys=ON"); !set) {
    return cannot(set.error());
  }
  return db;
}

database::~database() {
  for (const auto& [sql, statement] : statements_) {
    sqlite3_finalize(statement);
  }
  sqlite3_close(handle_);
}

query database::prepare(const char* sql) {
  auto& statement = statements_[sql];
  if (statement == nullptr) {
    (void)sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  }
  return query{*this, statement};
}

std::expected<void, std::string> database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return std::unexpected{std::string{sqlite3_errmsg(handle_)}};
  }
  return {};
}

std::int64_t database::changes() const noexcept {
  return sqlite3_changes64(handle_);
}

bool database::in_transaction() const noexcept {
  return sqlite3_get_autocommit(handle_) == 0;
}

error database::failure() {
  const int code = sqlite3_extended_errcode(handle_);
  switch (code) {
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return error::not_found;  // every table hangs on an account
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
      return error::exists;
    default:
      break;
  }
  log_.write(log::level::error, "storage.failed",
             {{"detail", std::string_view{sqlite3_errmsg(handle_)}}, {"code", static_cast<std::int64_t>(code)}});
  return (code & 0xff) == SQLITE_FULL ? error::full : error::failed;
}

}  // namespace comity::storage
