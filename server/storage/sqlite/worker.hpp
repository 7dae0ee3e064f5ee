// server/storage/sqlite/worker.hpp: a thread with a database connection and a queue of work for it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "server/storage/sqlite/database.hpp"

namespace comity::storage {

/// Work that runs inside a transaction of many, and what is told once that is committed (or not). `apply` may be run
/// more than once, when the transaction around it had to be begun anew.
struct change {
  std::move_only_function<std::expected<void, error>(database&)> apply;
  std::move_only_function<void(std::expected<void, error>)> told;
};

/// Commits changes in groups: what came in while the last group was being written makes the next one.
class writer_thread {
public:
  explicit writer_thread(std::unique_ptr<database> db);
  ~writer_thread();
  /// Commits what waits, tells, and ends the thread. What is submitted afterwards is neither done nor told.
  void finish();
  void submit(change);

private:
  void run();
  void commit(std::vector<change>& group);
  std::unique_ptr<database> db_;
  std::mutex lock_;
  std::condition_variable wake_;
  std::vector<change> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

class reader_thread {
public:
  using work = std::move_only_function<void(database&)>;
  explicit reader_thread(std::unique_ptr<database> db);
  ~reader_thread();
  /// Answers what waits and ends the thread. What is submitted afterwards is not answered.
  void finish();
  void submit(work);

private:
  void run();
  std::unique_ptr<database> db_;
  std::mutex lock_;
  std::condition_variable wake_;
  std::deque<work> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace comity::storage
