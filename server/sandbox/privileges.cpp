#include "server/sandbox/privileges.hpp"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

namespace comity::sandbox {
namespace {

/// Debian's nobody, and the kernel's own word for a user that is none (/proc/sys/kernel/overflowuid).
constexpr unsigned nobody = 65534;

}  // namespace

void hide_memory() noexcept {
  (void)::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

std::expected<std::string, std::string> give_up_privileges() {
  const auto failed = [](const char* what) {
    return std::unexpected{std::string{"cannot give up "} + what + ": " + std::generic_category().message(errno)};
  };
  std::string done;
  if (::geteuid() == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
        ::setresuid(nobody, nobody, nobody) != 0) {
      return failed("root");
    }
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);  // another user's process is not told any more, until it asks again
    done = "as user " + std::to_string(nobody);
  }
  (void)::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  // A service manager may forbid the call to those who have none, and it is not needed by them.
  if (::syscall(SYS_capset, &header, none.data()) != 0 && errno != EPERM) {
    return failed("capabilities");
  }
  return done;
}

}  // namespace comity::sandbox
