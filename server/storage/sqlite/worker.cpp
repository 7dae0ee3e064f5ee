#include "server/storage/sqlite/worker.hpp"

#include <pthread.h>

#include <utility>

namespace comity::storage {

namespace {

/// One savepoint a change: what fails takes itself back and leaves the others of its group alone.
std::expected<void, error> apply(database& db, change& c) {
  if (const auto begun = db.prepare("SAVEPOINT one").run(); !begun) {
    return begun;
  }
  auto done = c.apply(db);
  if (!done) {
    (void)db.prepare("ROLLBACK TO one").run();
  }
  const auto released = db.prepare("RELEASE one").run();
  return done ? released : done;
}

}  // namespace

writer_thread::writer_thread(std::unique_ptr<database> db) : db_{std::move(db)}, thread_{[this] { run(); }} {
  ::pthread_setname_np(thread_.native_handle(), "db-writer");
}

writer_thread::~writer_thread() {
  {
    const std::lock_guard hold{lock_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void writer_thread::submit(change c) {
  {
    const std::lock_guard hold{lock_};
    waiting_.push_back(std::move(c));
  }
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
  const auto begun = db_->prepare("BEGIN IMMEDIATE").run();
  auto committed = begun;
  if (begun) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      outcomes[i] = apply(*db_, group[i]);
    }
    committed = db_->prepare("COMMIT").run();
    if (!committed) {
      (void)db_->execute("ROLLBACK");  // an error may have rolled back already; then this says so, and nothing else
    }
  }
  for (std::size_t i = 0; i < group.size(); ++i) {
    group[i].told(committed ? outcomes[i] : std::unexpected{committed.error()});
  }
}

reader_thread::reader_thread(std::unique_ptr<database> db) : db_{std::move(db)}, thread_{[this] { run(); }} {
  ::pthread_setname_np(thread_.native_handle(), "db-reader");
}

reader_thread::~reader_thread() {
  {
    const std::lock_guard hold{lock_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void reader_thread::submit(work w) {
  {
    const std::lock_guard hold{lock_};
    waiting_.push_back(std::move(w));
  }
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
    next(*db_);
    hold.lock();
  }
}

}  // namespace comity::storage
