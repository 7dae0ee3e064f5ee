#include "server/sandbox/landlock.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "server/descriptor.hpp"

namespace comity::sandbox {
namespace {

// linux/landlock.h of Debian 12 is older than kernels that it runs on, so the interface is written out here.
constexpr long create_ruleset = 444, add_rule = 445, restrict_self = 446;
constexpr std::uint32_t ask_version = 1;
constexpr int rule_path_beneath = 1, rule_net_port = 2;
constexpr int knows_refer = 2, knows_truncate = 3, knows_net = 4, knows_devices = 5;

struct ruleset_attributes {
  std::uint64_t files = 0;
  std::uint64_t net = 0;  // from version 4 on
};
struct [[gnu::packed]] path_beneath {
  std::uint64_t allowed = 0;
  std::int32_t parent = -1;
};
struct net_port {
  std::uint64_t allowed = 0;
  std::uint64_t port = 0;
};

constexpr std::uint64_t bit(unsigned n) {
  return std::uint64_t{1} << n;
}
constexpr std::uint64_t write_file = bit(1), read_file = bit(2), read_folder = bit(3), remove_file = bit(5),
                        make_file = bit(8), make_socket = bit(9), refer = bit(13), truncate = bit(14),
                        device_calls = bit(15);
constexpr std::uint64_t of_the_first = bit(13) - 1;
constexpr std::uint64_t net_all = bit(0) | bit(1), net_connect = bit(1);
constexpr std::uint64_t of_files = write_file | read_file | truncate;  // and not of folders alone
constexpr std::uint64_t reading = read_file | read_folder;
constexpr std::uint64_t writing = reading | write_file | remove_file | make_file | truncate,
                        making_sockets = remove_file | make_socket;

std::string error_text() {
  return std::generic_category().message(errno);
}

std::expected<void, std::string> let(int rules, const std::filesystem::path& path, std::uint64_t access) {
  const descriptor at{::open(path.c_str(), O_PATH | O_CLOEXEC)};
  struct stat facts{};
  if (at.number() < 0 || ::fstat(at.number(), &facts) != 0) {
    return {};  // what is not there needs no permission
  }
  const path_beneath rule{.allowed = S_ISDIR(facts.st_mode) ? access : access & of_files, .parent = at.number()};
  if (::syscall(add_rule, rules, rule_path_beneath, &rule, 0) != 0) {
    return std::unexpected{"Landlock: " + path.native() + ": " + error_text()};
  }
  return {};
}

}  // namespace

int landlock_version() noexcept {
  return static_cast<int>(std::max(0L, ::syscall(create_ruleset, nullptr, 0, ask_version)));
}

std::expected<void, std::string> confine_to(const reach& r) {
  const int version = landlock_version();
  if (version == 0) {
    return {};
  }
  ruleset_attributes judged{.files = of_the_first, .net = 0};
  judged.files |= version >= knows_refer ? refer : 0;
  judged.files |= version >= knows_truncate ? truncate : 0;
  judged.files |= version >= knows_devices ? device_calls : 0;
  const bool ports = version >= knows_net && r.tcp_ports;
  judged.net = ports ? net_all : 0;
  const auto size = version >= knows_net ? sizeof judged : sizeof judged.files;
  const descriptor rules{static_cast<int>(::syscall(create_ruleset, &judged, size, 0))};
  if (rules.number() < 0) {
    return std::unexpected{"Landlock: " + error_text()};
  }
  for (const auto& [paths, access] :
       {std::pair{&r.readable, reading}, std::pair{&r.writable, writing}, std::pair{&r.sockets, making_sockets}}) {
    for (const auto& path : *paths) {
      if (auto allowed = let(rules.number(), path, access & judged.files); !allowed) {
        return allowed;
      }
    }
  }
  for (const auto port : ports ? *r.tcp_ports : std::vector<std::uint16_t>{}) {
    const net_port rule{.allowed = net_connect, .port = port};
    if (::syscall(add_rule, rules.number(), rule_net_port, &rule, 0) != 0) {
      return std::unexpected{"Landlock: port " + std::to_string(port) + ": " + error_text()};
    }
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::syscall(restrict_self, rules.number(), 0) != 0) {
    return std::unexpected{"Landlock: " + error_text()};
  }
  return {};
}

}  // namespace comity::sandbox
