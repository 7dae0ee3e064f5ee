#include "server/storage/sqlite/worker.hpp"

#include <pthread.h>

#include <exception>
#include <utility>

namespace comity::storage {

namespace {

constexpr unsigned attempts_at_a_group = 4;

/// One savepoint a change: what fails takes itself back and leaves the others of its group alone.
std::expected<void, error> apply(database& db, change& c) {
  if (const auto begun = db.prepare("SAVEPOINT one").run(); !begun) {
    return begun;
  }
  std::expected<void, error> done = std::unexpected{error::failed};
  try {
    done = c.apply(db);
  } catch (const std::exception&) {  // no memory for it (THREATS X13): as if it had failed
  }
  if (!done) {
    if (!db.in_transaction()) {
      return done;  // SQLite has taken everything back already
    }
    if (const auto undone = db.prepare("ROLLBACK TO one").run(); !undone) {
      return undone;
    }
  }
  const auto released = db.prepare("RELEASE one").run();
  return done ? released : done;
}

}  // namespace

writer_thread::writer_thread(std::unique_ptr<database> db)
    : db_{std::move(db)}, thread_{[this] {
        ::pthread_setname_np(::pthread_self(), "db-writer");
        run();
      }} {
}

writer_thread::~writer_thread() {
  finish();
}

void writer_thread::finish() {
  {
    const std::lock_guard hold{lock_};
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void writer_thread::submit(change c) {
  // Woken under the lock: once the change is answered, its giver may end this while submit() has not returned yet.
  const std::lock_guard hold{lock_};
  waiting_.push_back(std::move(c));
  wake_.notify_one();
}

void writer_thread::run() {
  std::vector<change> group;
  for (;;) {
    {
      std::unique_lock hold{lock_};
      wake_.wait(hold, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) {
        return;
      }
      group.swap(waiting_);
    }
    commit(group);
    group.clear();
  }
}

void writer_thread::commit(std::vector<change>& group) {
  std::vector<std::expected<void, error>> outcomes(group.size());
  std::vector<bool> given_up(group.size());
  std::expected<void, error> committed;
  // A full disk makes SQLite take the whole transaction back, not the one change that met it: the others are done anew
  // without it, a few times; then it is everybody's trouble.
  for (unsigned attempt = 0; attempt < attempts_at_a_group; ++attempt) {
    committed = db_->prepare("BEGIN IMMEDIATE").run();
    for (std::size_t i = 0; i < group.size() && committed; ++i) {
      if (given_up[i]) {
        continue;
      }
      outcomes[i] = apply(*db_, group[i]);
      if (!db_->in_transaction()) {
        given_up[i] = true;
        if (outcomes[i]) {
          outcomes[i] = std::unexpected{error::failed};
        }
        committed = outcomes[i];
      }
    }
    const bool whole = committed.has_value();
    if (whole) {
      committed = db_->prepare("COMMIT").run();
    }
    if (db_->in_transaction()) {
      if (!db_->execute("ROLLBACK")) {
        committed = std::unexpected{error::failed};
      }
    }
    if (whole || (committed.error() != error::full && committed.error() != error::failed)) {
      break;
    }
  }
  for (std::size_t i = 0; i < group.size(); ++i) {
    try {
      group[i].told(committed || given_up[i] ? outcomes[i] : std::unexpected{committed.error()});
    } catch (const std::exception&) {  // nor for who is told: the others are
    }
  }
}

reader_thread::reader_thread(std::unique_ptr<database> db)
    : db_{std::move(db)}, thread_{[this] {
        ::pthread_setname_np(::pthread_self(), "db-reader");
        run();
      }} {
}

reader_thread::~reader_thread() {
  finish();
}

void reader_thread::finish() {
  {
    const std::lock_guard hold{lock_};
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void reader_thread::submit(work w) {
  const std::lock_guard hold{lock_};  // as with a change
  waiting_.push_back(std::move(w));
  wake_.notify_one();
}

void reader_thread::run() {
  std::unique_lock hold{lock_};
  for (;;) {
    wake_.wait(hold, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) {
      return;
    }
    auto next = std::move(waiting_.front());
    waiting_.pop_front();
    hold.unlock();
    try {
      next(*db_);
    } catch (const std::exception&) {  // no memory to tell what was found: the others are told
    }
    next = {};
    hold.lock();
  }
}

}  // namespace comity::storage
