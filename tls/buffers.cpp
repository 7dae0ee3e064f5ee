#include "tls/buffers.hpp"

#include <malloc.h>
#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdlib>

namespace comity::tls {

namespace {

// A record with its head, its tag and room for alignment lies between these; all such blocks are of one size.
constexpr std::size_t smallest = 16U * 1024U;
constexpr std::size_t block = 18U * 1024U;

struct shelf {
  std::array<void*, 8> blocks{};
  std::size_t count = 0;
  bool closed = false;
};
thread_local shelf mine;  // needs no destructor, so OpenSSL may still free when the thread's other objects have gone

struct closing {
  closing() = default;
  closing(const closing&) = delete;
  closing& operator=(const closing&) = delete;
  ~closing() {
    while (mine.count > 0) {
      std::free(mine.blocks.at(--mine.count));
    }
    mine.closed = true;
  }
};

void* allocate(std::size_t size, const char* /*file*/, int /*line*/) {
  if (size < smallest || size > block) {
    return std::malloc(size);
  }
  return mine.count > 0 ? mine.blocks.at(--mine.count) : std::malloc(block);
}

void release(void* p, const char* /*file*/, int /*line*/) {
  static constexpr std::size_t rounding = 32;  // of the allocator's
  const auto size = p == nullptr ? 0 : ::malloc_usable_size(p);
  if (size < block || size > block + rounding || mine.closed || mine.count == mine.blocks.size()) {
    return std::free(p);
  }
  static thread_local const closing at_thread_end;
  mine.blocks.at(mine.count++) = p;
}

void* reallocate(void* p, std::size_t size, const char* file, int line) {
  if (size == 0) {
    release(p, file, line);
    return nullptr;
  }
  return std::realloc(p, size);
}

}  // namespace

void keep_record_buffers() noexcept {
  CRYPTO_set_mem_functions(allocate, reallocate, release);
}

}  // namespace comity::tls
