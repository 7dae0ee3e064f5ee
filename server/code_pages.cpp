#include "server/code_pages.hpp"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstdint>
#include <span>

namespace comity::server {

namespace {

int let_go_of(dl_phdr_info* object, std::size_t /*size*/, void* sum) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (const auto& part : std::span{object->dlpi_phdr, object->dlpi_phnum}) {
    // Only what nobody can have written to: it is the same in the file.
    if (part.p_type != PT_LOAD || (part.p_flags & PF_X) == 0 || (part.p_flags & PF_W) != 0) {
      continue;
    }
    const auto begin = (object->dlpi_addr + part.p_vaddr) & ~(page - 1);
    const auto end = (object->dlpi_addr + part.p_vaddr + part.p_memsz + page - 1) & ~(page - 1);
    if (::madvise(std::bit_cast<void*>(begin), end - begin, MADV_DONTNEED) == 0) {
      *static_cast<std::size_t*>(sum) += end - begin;
    }
  }
  return 0;
}

}  // namespace

std::size_t let_go_of_code() {
  std::size_t sum = 0;
  ::dl_iterate_phdr(let_go_of, &sum);
  return sum;
}

}  // namespace comity::server
