// tests/system/faulty_machine.cpp: a machine whose clock jumps and whose power fails, for a daemon that knows nothing
// of it. A library for LD_PRELOAD.
//
// COMITY_TEST_CLOCK names a file of eight bytes, a number of seconds in the machine's own order, by which the wall
// clock is off; whoever writes there makes it jump. The steady clock is as it was (THREATS X10).
//
// COMITY_TEST_DISK names a folder that gets what a power cut would leave (THREATS X2): whenever a file is synced, its
// content at that moment. Of the file with inode I there are I.0 and I.1, of which the one byte in I names the good
// one: so it is whole at any moment, and no system call is needed beyond those that a database makes.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <string>

namespace {

using seconds = std::atomic<std::int64_t>;

seconds right{0};
const seconds* off = &right;

__attribute__((constructor)) void look_at_the_clock() {
  const char* path = std::getenv("COMITY_TEST_CLOCK");
  const int file = path != nullptr ? ::open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (file < 0) {
    return;
  }
  void* mapped = ::mmap(nullptr, sizeof(seconds), PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped != MAP_FAILED) {
    off = static_cast<const seconds*>(mapped);
  }
}

int true_time(clockid_t clock, timespec* at) noexcept {
  return static_cast<int>(::syscall(SYS_clock_gettime, clock, at));
}

bool copy(int from, const std::string& to) {
  const int file = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (file < 0) {
    return false;
  }
  static std::array<char, 1 << 16> some;  // under the lock
  bool good = true;
  for (off_t at = 0; good;) {
    const auto size = ::pread(from, some.data(), some.size(), at);
    if (size <= 0) {
      good = size == 0;
      break;
    }
    good = ::pwrite(file, some.data(), static_cast<std::size_t>(size), at) == size;
    at += size;
  }
  ::close(file);
  return good;
}

/// What fsync would have done, and what it returns.
int keep(int descriptor) {
  static const char* const folder = std::getenv("COMITY_TEST_DISK");
  struct stat facts{};
  if (folder == nullptr || ::fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    return 0;
  }
  static std::mutex lock;
  const std::lock_guard hold{lock};
  const auto name = std::string{folder} + "/" + std::to_string(facts.st_ino);
  const int which = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  char good = '1';
  bool done = which >= 0 && ::pread(which, &good, 1, 0) >= 0;
  good = good == '0' ? '1' : '0';
  done = done && copy(descriptor, name + "." + good) && ::pwrite(which, &good, 1, 0) == 1;
  ::close(which);
  if (!done) {
    errno = EIO;
  }
  return done ? 0 : -1;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* at) noexcept {
  const int result = true_time(clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
    at->tv_sec += off->load(std::memory_order_relaxed);
  }
  return result;
}

time_t time(time_t* to) noexcept {
  timespec at{};
  (void)clock_gettime(CLOCK_REALTIME, &at);
  if (to != nullptr) {
    *to = at.tv_sec;
  }
  return at.tv_sec;
}

int gettimeofday(timeval* to, void*) noexcept {
  timespec at{};
  const int result = clock_gettime(CLOCK_REALTIME, &at);
  *to = {.tv_sec = at.tv_sec, .tv_usec = at.tv_nsec / 1000};
  return result;
}

int fsync(int descriptor) {
  return keep(descriptor);
}
int fdatasync(int descriptor) {
  return keep(descriptor);
}

}  // extern "C"
