// tests/bench/allocations.cpp: counts what a process allocates, without a change to it.
//
// A library for LD_PRELOAD: each malloc, calloc, realloc and aligned_alloc adds one to a number in the file that
// COMITY_BENCH_ALLOCATIONS names, eight bytes in the machine's own order, which comity-bench reads while the process
// runs (--allocations). glibc's own allocator does the work.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t) noexcept;
void* __libc_calloc(std::size_t, std::size_t) noexcept;
void* __libc_realloc(void*, std::size_t) noexcept;
void* __libc_memalign(std::size_t, std::size_t) noexcept;
}

namespace {

using counter = std::atomic<std::uint64_t>;

counter unshared;  // until the file is there, and without one
counter* count = &unshared;

__attribute__((constructor)) void share() {
  const char* path = std::getenv("COMITY_BENCH_ALLOCATIONS");
  const int file = path != nullptr ? ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (file < 0 || ::ftruncate(file, sizeof(counter)) != 0) {
    return;
  }
  void* mapped = ::mmap(nullptr, sizeof(counter), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped != MAP_FAILED) {
    count = static_cast<counter*>(mapped);
  }
}

void add() noexcept {
  count->fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) noexcept {
  add();
  return __libc_malloc(size);
}

void* calloc(std::size_t number, std::size_t size) noexcept {
  add();
  return __libc_calloc(number, size);
}

void* realloc(void* old, std::size_t size) noexcept {
  add();
  return __libc_realloc(old, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  add();
  return __libc_memalign(alignment, size);
}

}  // extern "C"
