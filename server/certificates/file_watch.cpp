#include "server/certificates/file_watch.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <asio.hpp>
#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "server/certificates/watch_points.hpp"

namespace comity::server {

namespace {

/// IN_ATTRIB: a key that everybody could read is good once they cannot.
constexpr std::uint32_t changes =
    IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

std::string reason() {
  return std::generic_category().message(errno);
}

}  // namespace

struct file_watch::state {
  state(asio::io_context& control, int descriptor, std::function<void()> c)
      : events{control, descriptor}, changed{std::move(c)} {}

  void wait() {
    events.async_wait(asio::posix::stream_descriptor::wait_read, [this](std::error_code aborted) {
      if (!aborted) {
        const bool heard = read();
        wait();
        if (heard) {
          changed();
        }
      }
    });
  }

  /// Empties the queue. True where something that is watched for was in it.
  bool read() {
    bool heard = false;
    alignas(inotify_event) std::array<char, 4096> buffer;
    for (;;) {
      const auto size = ::read(events.native_handle(), buffer.data(), buffer.size());
      if (size <= 0) {
        return heard;
      }
      for (auto at = 0L; at < size;) {
        inotify_event event;  // followed by its name, padded with zeros
        std::memcpy(&event, buffer.data() + at, sizeof event);
        const char* name = event.len > 0 ? buffer.data() + at + sizeof event : "";
        heard = matters(event, name) || heard;
        at += static_cast<long>(sizeof event + event.len);
      }
    }
  }

  [[nodiscard]] bool matters(const inotify_event& event, const char* name) const {
    if ((event.mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF)) != 0) {
      return true;
    }
    const auto found = names.find(event.wd);
    return found != names.end() && found->second.contains(name);
  }

  asio::posix::stream_descriptor events;
  std::function<void()> changed;
  std::map<int, std::set<std::string>> names;  // by watch
};

std::expected<std::unique_ptr<file_watch>, std::string> file_watch::open(asio::io_context& control,
                                                                         std::function<void()> changed) {
  const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (descriptor < 0) {
    return std::unexpected{"inotify: " + reason()};
  }
  auto made = std::make_unique<state>(control, descriptor, std::move(changed));
  made->wait();
  return std::unique_ptr<file_watch>{new file_watch{std::move(made)}};
}

file_watch::file_watch(std::unique_ptr<state> s) noexcept : state_{std::move(s)} {
}
file_watch::~file_watch() = default;

std::string file_watch::aim(const std::vector<std::filesystem::path>& files) {
  std::string missed;
  const int descriptor = state_->events.native_handle();
  auto before = std::exchange(state_->names, {});
  for (const auto& [directory, names] : points_of(files)) {
    const int watch = ::inotify_add_watch(descriptor, directory.c_str(), changes | IN_ONLYDIR);
    if (watch >= 0) {
      state_->names[watch].insert(names.begin(), names.end());  // a directory may have two names
      before.erase(watch);
    } else if (errno != ENOENT) {  // gone since points_of() looked: what is above it tells
      missed = directory.native() + ": " + reason();
    }
  }
  for (const auto& [watch, names] : before) {
    ::inotify_rm_watch(descriptor, watch);
  }
  return missed;
}

}  // namespace comity::server
