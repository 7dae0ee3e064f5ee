#include "server/log.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "server/log_line.hpp"
#include "server/sandbox/privileges.hpp"

namespace comity {
namespace {

/// systemd says which stream is the journal's, so that a redirected one gets no prefixes (systemd.exec(5)).
bool is_journal(int descriptor) {
  const char* const stream = std::getenv("JOURNAL_STREAM");  // NOLINT(concurrency-mt-unsafe): at start
  struct stat info{};
  return stream != nullptr && fstat(descriptor, &info) == 0 && fmt::format("{}:{}", info.st_dev, info.st_ino) == stream;
}

}  // namespace

struct server_log::shared {
  shared(int target, std::size_t most) : descriptor(target), queue_most(most), journal(is_journal(target)) {}
  ~shared() { close(give_up); }
  shared(const shared&) = delete;
  shared& operator=(const shared&) = delete;

  const int descriptor;
  const std::size_t queue_most;
  const bool journal;
  const int give_up = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);  // readable: write no more

  std::mutex mutex;
  std::condition_variable work, idle;
  std::string queue;              // whole lines
  std::size_t queue_lines = 0;    // in `queue`
  std::uint64_t unreported = 0;   // dropped, and not yet said so
  std::uint64_t all_dropped = 0;  // since the start
  bool writing = false;
  bool stopping = false;
  bool finished = false;  // the writer is gone
  std::atomic<config::log_format> format{};

  /// What reached the descriptor before it failed or the log gave up. No write can wait long: it is at most what a
  /// pipe that polls writable takes at once.
  std::size_t put(std::string_view text) const noexcept {
    std::size_t done = 0;
    while (done < text.size()) {
      std::array<pollfd, 2> watched{pollfd{descriptor, POLLOUT, 0}, pollfd{give_up, POLLIN, 0}};
      if (poll(watched.data(), watched.size(), -1) < 0) {
        if (errno == EINTR) {
          continue;
        }
        return done;
      }
      if ((watched[1].revents & POLLIN) != 0) {
        return done;
      }
      auto part = text.substr(done, PIPE_BUF);
      if (part.size() < text.size() - done) {  // whole lines where they fit, so that others' output stays between them
        const auto end = part.rfind('\n');
        part = end == std::string_view::npos ? part : part.substr(0, end + 1);
      }
      const auto written = ::write(descriptor, part.data(), part.size());
      if (written < 0) {
        if (errno == EINTR || errno == EAGAIN) {
          continue;
        }
        return done;
      }
      done += static_cast<std::size_t>(written);
    }
    return done;
  }

  void dropped(std::uint64_t lines) {
    unreported += lines;
    all_dropped += lines;
  }
};

server_log::server_log(const setup& s)
    : shared_(std::make_shared<shared>(s.descriptor, s.queue_bytes)),
      last_wait_(s.last_wait),
      level_(s.settings.level),
      format_(s.settings.format) {
  shared_->format = s.settings.format;
  if (shared_->give_up < 0) {
    throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  // No signal is for the writer: handlers belong to others, and SIGPIPE would end the daemon with its log's reader.
  sigset_t all{};
  sigset_t before{};
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    std::thread{run, shared_}.detach();  // the destructor waits for it, with a bound that join() does not have
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

server_log::~server_log() {
  std::unique_lock lock{shared_->mutex};
  shared_->stopping = true;
  shared_->work.notify_one();
  if (!shared_->idle.wait_for(lock, last_wait_, [&] { return shared_->finished; })) {
    eventfd_write(shared_->give_up, 1);
    // Enough for a writer that waits in poll. One that is stuck in write(2) keeps `shared` and ends with the process.
    shared_->idle.wait_for(lock, std::chrono::milliseconds{100}, [&] { return shared_->finished; });
  }
}

bool server_log::enabled(log::level l) const noexcept {
  return l >= level_.load(std::memory_order_relaxed);
}

void server_log::write(log::level l, std::string_view event, std::initializer_list<log::field> fields) noexcept {
  if (!enabled(l)) {
    return;
  }
  counts_[static_cast<std::size_t>(l)].fetch_add(1, std::memory_order_relaxed);
  auto& s = *shared_;
  try {
    const auto line =
        log_line(format_.load(std::memory_order_relaxed), std::chrono::system_clock::now(), l, event, fields);
    const std::string_view prefix = s.journal ? journal_priority(l) : std::string_view{};
    const std::lock_guard lock{s.mutex};
    if (s.queue.size() + prefix.size() + line.size() > s.queue_most) {
      s.dropped(1);
      return;
    }
    s.queue += prefix;
    s.queue += line;
    ++s.queue_lines;
    s.work.notify_one();
  } catch (...) {  // out of memory: the line is lost, the caller goes on
    const std::lock_guard lock{s.mutex};
    s.dropped(1);
  }
}

void server_log::apply(const config::log_settings& settings) noexcept {
  level_ = settings.level;
  format_ = settings.format;
  shared_->format = settings.format;
}

bool server_log::flush(std::chrono::milliseconds most) noexcept {
  std::unique_lock lock{shared_->mutex};
  return shared_->idle.wait_for(lock, most, [&] { return shared_->queue.empty() && !shared_->writing; });
}

std::array<std::uint64_t, log::level_count> server_log::counts() const noexcept {
  std::array<std::uint64_t, log::level_count> now{};
  std::ranges::transform(counts_, now.begin(), [](const auto& c) { return c.load(std::memory_order_relaxed); });
  return now;
}

std::uint64_t server_log::dropped() const noexcept {
  const std::lock_guard lock{shared_->mutex};
  return shared_->all_dropped;
}

void server_log::run(const std::shared_ptr<shared>& held) noexcept {
  // It was there before those of the daemon had served.
  [[maybe_unused]] const auto none = sandbox::keep_capabilities(0);
  auto& s = *held;  // the thread's own share
  std::string batch;
  bool torn = false;
  std::unique_lock lock{s.mutex};
  for (;;) {
    s.work.wait(lock, [&] { return s.stopping || !s.queue.empty(); });
    if (s.queue.empty() && s.unreported == 0) {
      break;
    }
    batch.clear();
    batch.swap(s.queue);
    const auto lines = std::exchange(s.queue_lines, 0);
    const auto lost = std::exchange(s.unreported, 0);
    s.writing = true;
    lock.unlock();
    if (lost != 0) {
      const log::field count{.name = "count", .value = static_cast<std::int64_t>(lost)};
      if (s.journal) {
        batch += journal_priority(log::level::warn);
      }
      batch += log_line(s.format, std::chrono::system_clock::now(), log::level::warn, "log.dropped", {&count, 1});
    }
    if (torn && s.put("\n") == 1) {
      torn = false;  // what failed in the middle of a line must not run into this one
    }
    const auto done = s.put(batch);
    torn = torn || (done != 0 && batch[done - 1] != '\n');
    const auto whole = static_cast<std::uint64_t>(std::ranges::count(std::string_view{batch}.substr(0, done), '\n'));
    lock.lock();
    s.writing = false;
    if (whole < lines) {
      s.dropped(lines - whole);
    }
    if (lost != 0 && whole < lines + 1) {
      s.unreported += lost;  // the report itself did not get through
    }
    if (s.queue.empty()) {
      s.idle.notify_all();
    }
    if (s.stopping && whole < lines + (lost != 0 ? 1 : 0)) {
      break;  // nothing gets through any more, or the wait is over
    }
  }
  s.finished = true;
  s.idle.notify_all();
}

}  // namespace comity
