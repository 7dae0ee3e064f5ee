#include "server/sandbox/privileges.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>
#include <utility>

namespace comity::sandbox {
namespace {

/// Debian's nobody, and the kernel's own word for a user that is none (/proc/sys/kernel/overflowuid).
constexpr unsigned nobody = 65534;

std::unexpected<std::string> cannot_give_up(const char* what) {
  return std::unexpected{std::string{"cannot give up "} + what + ": " + std::generic_category().message(errno)};
}

constexpr unsigned bits = 32;  // a word of a set

}  // namespace

void hide_memory() noexcept {
  (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

std::expected<void, std::string> keep_capabilities(std::uint64_t kept) {
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // Takes a capability of its own, so it is done while there may be one; whoever has none gains none by it.
  for (unsigned long each = 0; ::prctl(PR_CAPBSET_READ, each, 0, 0, 0) >= 0; ++each) {
    (void)::prctl(PR_CAPBSET_DROP, each, 0, 0, 0);
  }
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> now{};
  if (::syscall(SYS_capget, &header, now.data()) != 0) {
    return cannot_give_up("capabilities");
  }
  bool more = false;
  auto left = now;
  for (auto& word : left) {
    const auto mask = static_cast<std::uint32_t>(kept);
    kept >>= bits;
    more = more || (word.permitted & ~mask) != 0;
    word.permitted &= mask;
    word.effective &= mask;
    word.inheritable = 0;
  }
  // A service manager may forbid the call to those who have none, and it is not needed by them.
  if (::syscall(SYS_capset, &header, left.data()) != 0 && more) {
    return cannot_give_up("capabilities");
  }
  return {};
}

std::expected<std::string, std::string> give_up_privileges() {
  std::string done;
  if (::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
        ::setresuid(nobody, nobody, nobody) != 0) {
      return cannot_give_up("root");
    }
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);  // another user's process is not told any more, until it asks again
    done = "as user " + std::to_string(nobody);
  }
  if (auto none = keep_capabilities(0); !none) {
    return std::unexpected{std::move(none.error())};
  }
  return done;
}

}  // namespace comity::sandbox
