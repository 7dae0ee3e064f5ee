// server/sandbox/call_filter.hpp: which system calls a process may make from now on (seccomp(2)), as a list that reads.
//
// The first rule for a call whose arguments are those that it names decides. Of an argument the lower 32 bits are
// looked at, which are all that the kernel takes of what is judged here: flags, families, types.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

namespace comity::sandbox {

enum class verdict : std::uint8_t {
  allow,
  refuse,   // EPERM
  missing,  // ENOSYS: whoever calls it has another way
  kill      // the process, by SIGSYS
};

/// (argument & mask) == value. A mask of 0 always holds.
struct argument {
  unsigned index = 0;
  std::uint32_t mask = 0;
  std::uint32_t value = 0;
};

struct call_rule {
  int call = 0;  // its number on this architecture
  verdict then = verdict::allow;
  std::array<argument, 2> when{};
};

/// Whether this build can be confined: not under a sanitizer, whose runtime makes calls of its own, and not on an
/// architecture whose calls nobody has looked at.
[[nodiscard]] bool confinable() noexcept;

/// The filter as the kernel takes it. A call by another architecture's numbers kills.
[[nodiscard]] std::vector<sock_filter> compile(std::span<const call_rule>, verdict otherwise);

/// For every thread of the process, and for good; nobody gains privileges by execve(2) any more either. The error is a
/// sentence.
[[nodiscard]] std::expected<void, std::string> confine_calls(std::span<const call_rule>, verdict otherwise);

}  // namespace comity::sandbox
