#include "server/sandbox/call_filter.hpp"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <system_error>

namespace comity::sandbox {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t architecture = AUDIT_ARCH_X86_64;
#else
constexpr std::uint32_t architecture = 0;
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

constexpr std::uint32_t number_at = offsetof(seccomp_data, nr);
constexpr std::uint32_t architecture_at = offsetof(seccomp_data, arch);
constexpr std::uint32_t arguments_at = offsetof(seccomp_data, args);
/// x32 numbers its calls from here on (asm/unistd.h: __X32_SYSCALL_BIT).
constexpr std::uint32_t first_of_x32 = 0x40000000;
/// Calls that are younger than what this is built against. A C library that is younger as well tries them
/// first, and takes what there was before where the kernel has them not.
constexpr std::uint32_t first_unknown = SYS_set_mempolicy_home_node + 1;

constexpr sock_filter load(std::uint32_t at) {
  return {.code = BPF_LD | BPF_W | BPF_ABS, .jt = 0, .jf = 0, .k = at};
}
constexpr sock_filter jump(std::uint16_t test, std::uint32_t value, std::uint8_t if_so, std::uint8_t if_not) {
  return {.code = static_cast<std::uint16_t>(BPF_JMP | test | BPF_K), .jt = if_so, .jf = if_not, .k = value};
}
constexpr sock_filter give(verdict v) {
  constexpr auto with = [](std::uint32_t action) {
    return sock_filter{.code = BPF_RET | BPF_K, .jt = 0, .jf = 0, .k = action};
  };
  switch (v) {
    case verdict::allow:
      return with(SECCOMP_RET_ALLOW);
    case verdict::refuse:
      return with(SECCOMP_RET_ERRNO | EPERM);
    case verdict::missing:
      return with(SECCOMP_RET_ERRNO | ENOSYS);
    case verdict::kill:
      return with(SECCOMP_RET_KILL_PROCESS);
  }
  return with(SECCOMP_RET_KILL_PROCESS);
}

/// The rule's test of its arguments and its verdict, behind a jump over both.
void add(std::vector<sock_filter>& program, const call_rule& r) {
  std::vector<sock_filter> tests;
  for (const auto& a : r.when) {
    if (a.mask != 0) {
      tests.push_back(load(arguments_at + a.index * static_cast<std::uint32_t>(sizeof(std::uint64_t))));
      tests.push_back({.code = BPF_ALU | BPF_AND | BPF_K, .jt = 0, .jf = 0, .k = a.mask});
      tests.push_back(jump(BPF_JEQ, a.value, 0, 0));  // where it goes else is not known yet
    }
  }
  // Behind the verdict the number is loaded again, if tests have overwritten it.
  const bool overwritten = !tests.empty();
  const auto past_verdict = tests.size() + 1;
  for (std::size_t i = 2; i < tests.size(); i += 3) {
    tests[i].jf = static_cast<std::uint8_t>(past_verdict - i - 1);
  }
  program.push_back(jump(BPF_JEQ, static_cast<std::uint32_t>(r.call), 0,
                         static_cast<std::uint8_t>(past_verdict + (overwritten ? 1 : 0))));
  program.insert(program.end(), tests.begin(), tests.end());
  program.push_back(give(r.then));
  if (overwritten) {
    program.push_back(load(number_at));
  }
}

}  // namespace

bool confinable() noexcept {
  return architecture != 0 && !sanitized;
}

std::vector<sock_filter> compile(std::span<const call_rule> rules, verdict otherwise) {
  std::vector<sock_filter> program{load(architecture_at),
                                   jump(BPF_JEQ, architecture, 1, 0),
                                   give(verdict::kill),
                                   load(number_at),
                                   jump(BPF_JGE, first_of_x32, 0, 1),
                                   give(verdict::kill),
                                   jump(BPF_JGE, first_unknown, 0, 1),
                                   give(verdict::missing)};
  for (const auto& r : rules) {
    add(program, r);
  }
  program.push_back(give(otherwise));
  return program;
}

std::expected<void, std::string> confine_calls(std::span<const call_rule> rules, verdict otherwise) {
  const auto failed = [](const char* what) {
    return std::unexpected{std::string{what} + ": " + std::generic_category().message(errno)};
  };
  auto program = compile(rules, otherwise);
  const sock_fprog filter{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return failed("no_new_privs");
  }
  if (const auto done = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
      done != 0) {
    return done > 0 ? std::unexpected{std::string{"seccomp: a thread has a filter of its own"}} : failed("seccomp");
  }
  return {};
}

}  // namespace comity::sandbox
