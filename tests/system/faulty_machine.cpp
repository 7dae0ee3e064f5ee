// tests/system/faulty_machine.cpp: a machine whose clock jumps and whose power fails, for a daemon that knows nothing
// of it. A library for LD_PRELOAD.
//
// COMITY_TEST_CLOCK names a file of eight bytes, a number of seconds in the machine's own order, by which the wall
// clock is off; whoever writes there makes it jump. The steady clock is as it was (THREATS X10).
//
// COMITY_TEST_DISK names a folder that gets what a power cut would leave (THREATS X2): whenever a file is synced, its
// content at that moment. Of the file with inode I there are I.0 and I.1, of which the one byte in I names the good
// one: so it is whole at any moment, and no system call is needed beyond those that a database makes.
//
// COMITY_TEST_MEMORY names a file of four numbers of eight bytes (THREATS X13): how many objects more are made (by
// operator new, which is the daemon's own) until one is not, 0 being never; how many were; and the same of pieces of
// memory that are given to whomever, the libraries among them.
//
// COMITY_TEST_HURRY is a number by which the times are divided after which the kernel gives a silent TCP peer up, so
// that a test need not wait a minute (THREATS X7).
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <new>
#include <string>

namespace {

using seconds = std::atomic<std::int64_t>;

seconds right{0};
const seconds* off = &right;

struct supply {
  std::atomic<std::int64_t> left{0};
  std::atomic<std::int64_t> given{0};

  /// Another one, unless this is the one that is not.
  bool gives() noexcept {
    given.fetch_add(1, std::memory_order_relaxed);
    return left.load(std::memory_order_relaxed) <= 0 || left.fetch_sub(1) != 1;
  }
};
struct supplies {
  supply objects, pieces;
};

supplies plenty;
supplies* memory = &plenty;

/// The file that this variable names, mapped; nullptr without one.
void* mapped(const char* variable, std::size_t size, bool written) {
  const char* path = std::getenv(variable);
  const int file = path != nullptr ? ::open(path, (written ? O_RDWR : O_RDONLY) | O_CLOEXEC) : -1;
  if (file < 0) {
    return nullptr;
  }
  void* at = ::mmap(nullptr, size, PROT_READ | (written ? PROT_WRITE : 0), MAP_SHARED, file, 0);
  ::close(file);
  return at == MAP_FAILED ? nullptr : at;
}

__attribute__((constructor)) void look_at_the_machine() {
  if (const void* clock = mapped("COMITY_TEST_CLOCK", sizeof(seconds), false); clock != nullptr) {
    off = static_cast<const seconds*>(clock);
  }
  if (void* counts = mapped("COMITY_TEST_MEMORY", sizeof(supplies), true); counts != nullptr) {
    memory = static_cast<supplies*>(counts);
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

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);

void* malloc(std::size_t size) noexcept {
  if (memory->pieces.gives()) {
    return __libc_malloc(size);
  }
  errno = ENOMEM;
  return nullptr;
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  if (memory->pieces.gives()) {
    return __libc_calloc(count, size);
  }
  errno = ENOMEM;
  return nullptr;
}

void* realloc(void* at, std::size_t size) noexcept {
  if (memory->pieces.gives()) {
    return __libc_realloc(at, size);
  }
  errno = ENOMEM;
  return nullptr;
}

int setsockopt(int socket, int level, int option, const void* value, socklen_t size) noexcept {
  static const char* const hurry = std::getenv("COMITY_TEST_HURRY");
  int number = 0;
  if (hurry != nullptr && level == IPPROTO_TCP && size == sizeof number &&
      (option == TCP_KEEPIDLE || option == TCP_KEEPINTVL || option == TCP_USER_TIMEOUT)) {
    std::memcpy(&number, value, sizeof number);
    number = std::max(1, number / std::atoi(hurry));
    value = &number;
  }
  return static_cast<int>(::syscall(SYS_setsockopt, socket, level, option, value, size));
}

int fsync(int descriptor) {
  return keep(descriptor);
}
int fdatasync(int descriptor) {
  return keep(descriptor);
}

}  // extern "C"

void* operator new(std::size_t size) {
  for (;;) {
    if (void* at = memory->objects.gives() ? std::malloc(size) : nullptr; at != nullptr) {
      return at;
    }
    const auto handler = std::get_new_handler();
    if (handler == nullptr) {
      throw std::bad_alloc{};
    }
    handler();
  }
}
